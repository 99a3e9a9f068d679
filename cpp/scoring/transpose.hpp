// From rows to lanes and back.
#pragma once

#include <cstddef>

#include "lanes.hpp"

namespace netsieve::NETSIEVE_VARIANT {

// x [rows, features] -> raw [stripes][features][48], the last row repeated up to whole stripes
inline void transpose_rows(const float* x, std::size_t rows, int features, float* raw) noexcept {
    const auto width = static_cast<std::size_t>(features);
    const std::size_t all = (rows + stripe_rows - 1) / stripe_rows * stripe_rows;
    for (std::size_t row = 0; row < all; ++row) {
        const float* const from = x + (row < rows ? row : rows - 1) * width;
        float* const to = raw + row / stripe_rows * stripe_rows * width + row % stripe_rows;
        for (std::size_t column = 0; column < width; ++column) to[column * stripe_rows] = from[column];
    }
}

// columns [stripes][count][48] -> out [rows, count]
inline void transpose_columns(const float* columns, std::size_t rows, int count, float* out) noexcept {
    const auto width = static_cast<std::size_t>(count);
    for (std::size_t row = 0; row < rows; ++row) {
        const float* const from = columns + row / stripe_rows * stripe_rows * width + row % stripe_rows;
        for (std::size_t column = 0; column < width; ++column) out[row * width + column] = from[column * stripe_rows];
    }
}

}  // namespace netsieve::NETSIEVE_VARIANT
