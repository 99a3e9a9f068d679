// From the columns of a table, of any type, to lanes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cell_columns.hpp"
#include "lanes.hpp"

namespace netsieve::NETSIEVE_VARIANT {

// cells [rows] -> to [stripes][features][48], one column of it. The last cell is repeated up to a whole stripe.
template <typename Cell>
NETSIEVE_INLINE void load_cells(const Cell* cells, std::size_t rows, std::size_t features, float limit, float* to) {
    // Comparisons that a missing number, NaN, fails: it stays what it is
    const auto number = [limit](Cell cell) {
        const float value = static_cast<float>(cell);
        return value > limit ? limit : value < -limit ? -limit : value;
    };
    for (; rows >= stripe_rows; rows -= stripe_rows, cells += stripe_rows, to += features * stripe_rows)
        for (int row = 0; row < stripe_rows; ++row) to[row] = number(cells[row]);
    if (!rows) return;
    const int last = static_cast<int>(rows) - 1;
    for (int row = 0; row < stripe_rows; ++row) to[row] = number(cells[row < last ? row : last]);
}

// columns [features], of which the rows from start on are taken -> raw [stripes][features][48], clipped to the limit
inline void load_columns(const CellColumn* columns, int features, std::size_t start, std::size_t rows, float limit,
                         float* raw) noexcept {
    const auto width = static_cast<std::size_t>(features);
    for (std::size_t f = 0; f < width; ++f) {
        float* const to = raw + f * stripe_rows;
        const auto load = [&](const auto* cells) { load_cells(cells + start, rows, width, limit, to); };
        const void* const cells = columns[f].cells;
        switch (columns[f].type) {
            case CellType::float32:
                load(static_cast<const float*>(cells));
                break;
            case CellType::float64:
                load(static_cast<const double*>(cells));
                break;
            case CellType::int8:
                load(static_cast<const std::int8_t*>(cells));
                break;
            case CellType::int16:
                load(static_cast<const std::int16_t*>(cells));
                break;
            case CellType::int32:
                load(static_cast<const std::int32_t*>(cells));
                break;
            case CellType::int64:
                load(static_cast<const std::int64_t*>(cells));
                break;
            case CellType::uint8:
                load(static_cast<const std::uint8_t*>(cells));
                break;
            case CellType::uint16:
                load(static_cast<const std::uint16_t*>(cells));
                break;
            case CellType::uint32:
                load(static_cast<const std::uint32_t*>(cells));
                break;
            case CellType::uint64:
                load(static_cast<const std::uint64_t*>(cells));
                break;
        }
    }
}

}  // namespace netsieve::NETSIEVE_VARIANT
