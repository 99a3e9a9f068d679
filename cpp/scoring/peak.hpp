// The most multiplications and additions that the machine does, to compare kernels with.
#pragma once

#include <cstdint>

#include "lanes.hpp"

namespace netsieve::NETSIEVE_VARIANT {

// Enough for two multipliers of four cycles, and few enough for 16 registers
inline constexpr int chains = 12;

// Independent chains of multiply-adds in registers; returns the operations done. `result` keeps them from being left
// out.
inline double multiply_adds(std::int64_t rounds, float* result) noexcept {
    Floats values[chains];
    for (int i = 0; i < chains; ++i) values[i] = broadcast(static_cast<float>(i));
    const Floats factor = broadcast(0.999999f);
    const Floats term = broadcast(1e-7f);
    for (std::int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 12
        for (int i = 0; i < chains; ++i) values[i] = fma(values[i], factor, term);
    Floats sum = values[0];
    for (int i = 1; i < chains; ++i) sum += values[i];
    *result = sum[0];
    return 2.0 * LANES * chains * static_cast<double>(rounds);
}

}  // namespace netsieve::NETSIEVE_VARIANT
