// Keyed fingerprints of cells: who does not know the key cannot find two cells with one fingerprint.
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <cstdint>

#include "fingerprint.hpp"

namespace netsieve {

// SipHash-2-4 with 128 bits (Aumasson and Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012).
Fingerprint siphash(const std::uint8_t* text, std::size_t size, const Fingerprint& key);

void register_keyed_hash(nanobind::module_& module);

}  // namespace netsieve
