// Keyed fingerprints of cells: who does not know the key cannot find two cells with one fingerprint.
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <cstdint>

namespace netsieve {

// Two of them are equal for equal cells, and else with a probability of 2^-128. All zeros: there is no value.
struct Fingerprint {
    std::uint64_t low = 0;
    std::uint64_t high = 0;

    bool operator==(const Fingerprint&) const = default;
    bool is_missing() const { return low == 0 && high == 0; }
};

// SipHash-2-4 with 128 bits (Aumasson and Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012).
Fingerprint siphash(const std::uint8_t* text, std::size_t size, const Fingerprint& key);

void register_keyed_hash(nanobind::module_& module);

}  // namespace netsieve
