// Points of time as microseconds since 1970.
#pragma once

#include <cstdint>
#include <string_view>

namespace netsieve {

// ISO 8601 as logs have it: "2021-06-06T14:05:06.123456+0000", a blank for the T, any number of places (cut at
// microseconds), Z, +02, +02:00 or no zone, which is UTC. Returns whether it is one.
bool parse_iso_time(std::string_view text, std::int64_t& microseconds);

// Seconds since 1970, rounded to microseconds. Returns whether they are within range.
bool epoch_time(double seconds, std::int64_t& microseconds);

}  // namespace netsieve
