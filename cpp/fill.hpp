// Columns filled from rows that lie in memory as structures.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "column_buffers.hpp"

namespace netsieve {

constexpr std::int64_t no_integer = std::numeric_limits<std::int64_t>::min();

// get(row): an integer, or no_integer.
template <typename Row, auto get>
void fill_integers(ColumnBuffers& column, std::size_t first_row, std::span<const Row> rows) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const std::int64_t value = get(rows[i]);
        if (value == no_integer)
            column.set_missing(first_row + i);
        else
            column.set_integer(first_row + i, value);
    }
}

// get(row): a number, or NaN for none.
template <typename Row, auto get>
void fill_numbers(ColumnBuffers& column, std::size_t first_row, std::span<const Row> rows) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const double value = get(rows[i]);
        if (std::isnan(value))
            column.set_missing(first_row + i);
        else
            column.set_number(first_row + i, value);
    }
}

// write(row, text): writes up to 64 characters and returns how many; none for a missing value.
template <typename Row, auto write>
void fill_texts(ColumnBuffers& column, std::size_t first_row, std::span<const Row> rows) {
    char text[64];
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const std::size_t size = write(rows[i], text);
        if (size)
            column.set_text(first_row + i, reinterpret_cast<const std::uint8_t*>(text), size);
        else
            column.set_missing(first_row + i);
    }
}

}  // namespace netsieve
