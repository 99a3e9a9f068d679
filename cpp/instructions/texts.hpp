// Logs and a capture as sensors write them, made up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "numbers.hpp"

namespace netsieve::instructions {

std::string flow_csv(Numbers& numbers, std::size_t records);               // without a header line
std::string suricata_events(Numbers& numbers, std::size_t records);        // flow events, and among them dns
std::string zeek_connections(Numbers& numbers, std::size_t records);       // tab-separated, with header lines
std::vector<std::uint8_t> capture(Numbers& numbers, std::size_t packets);  // pcap: TCP and UDP over IPv4 and IPv6

}  // namespace netsieve::instructions
