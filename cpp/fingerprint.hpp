// What stands for a cell where its text need not be known (keyed_hash.hpp).
#pragma once

#include <cstdint>

namespace netsieve {

// Two of them are equal for equal cells, and else with a probability of 2^-128. All zeros: there is no value.
struct Fingerprint {
    std::uint64_t low = 0;
    std::uint64_t high = 0;

    bool operator==(const Fingerprint&) const = default;
    bool is_missing() const { return low == 0 && high == 0; }
};

}  // namespace netsieve
