// The cells that nearly all cells are: short, unquoted, plain ASCII, with the next field behind them. Whatever is not
// found to be one goes the long way through cells.hpp.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "column_buffers.hpp"
#include "records.hpp"
#include "simd.hpp"

namespace netsieve {

constexpr std::uint64_t exact_mantissa = std::uint64_t{1} << 53;
// As many as a plain cell can have places; float64 holds them exactly.
constexpr std::uint64_t whole_power_of_ten[] = {
    1,         10,         100,         1000,         10000,         100000,         1000000,         10000000,
    100000000, 1000000000, 10000000000, 100000000000, 1000000000000, 10000000000000, 100000000000000, 1000000000000000};
// Bytes behind the last record that plain cells are read from, which may look at so many beyond a cell.
constexpr std::size_t plain_reach = 32;

// Up to 8 digits at once, first digit in the lowest byte (Langdale and Lemire 2019, Mula's eight-digit parse).
inline bool parse_eight_digits(const std::uint8_t* text, unsigned length, std::uint64_t& value) {
    std::uint64_t digits = 0;
    std::memcpy(&digits, text, 8);
    digits = (digits ^ 0x3030303030303030U) << (64 - 8 * length);  // zeros in front
    if (((digits + 0x7676767676767676U) | digits) & 0x8080808080808080U) return false;
    digits = digits * 10 + (digits >> 8);
    value = ((digits & 0x000000FF000000FFU) * 0x000F424000000064U +
             ((digits >> 16) & 0x000000FF000000FFU) * 0x0000271000000001U) >>
            32;
    return true;
}

// Up to 16 digits, at least one, and nothing else. Reads 8 bytes from where the digits begin, however few they are.
inline bool parse_digits(const std::uint8_t* text, unsigned length, std::uint64_t& value) {
    if (length - 1 >= 16) return false;
    if constexpr (std::endian::native != std::endian::little) {
        value = 0;
        for (unsigned i = 0; i < length; ++i) {
            if (text[i] < '0' || text[i] > '9') return false;
            value = 10 * value + (text[i] - unsigned{'0'});
        }
        return true;
    }
    if (length <= 8) return parse_eight_digits(text, length, value);
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    if (!parse_eight_digits(text, length - 8, high) || !parse_eight_digits(text + length - 8, 8, low)) return false;
    value = high * 100'000'000 + low;
    return true;
}

// A cell of up to 16 bytes with the byte that ends it.
struct PlainCell {
    Block16 block;
    unsigned length;
    std::size_t end;
};

// length 0 also stands for a cell that is too long
inline PlainCell plain_cell(const std::uint8_t* text, std::size_t at, std::uint8_t delimiter) {
    PlainCell cell{Block16(text + at), 0, not_found};
    const std::uint32_t ends = cell.block.either(delimiter, '\n');
    if (!ends) return cell;
    cell.length = static_cast<unsigned>(std::countr_zero(ends));
    cell.end = at + cell.length;
    if (text[cell.end] == '\n' && cell.length && text[cell.end - 1] == '\r') --cell.length;
    return cell;
}

inline std::size_t empty_cell(ColumnBuffers& column, std::size_t row, const PlainCell& cell) {
    if (cell.end != not_found) column.set_missing(row);
    return cell.end;
}

// The three below write a plain cell and return where its field ends, or not_found where the cell needs more thought.

inline std::size_t plain_integer(ColumnBuffers& column, std::size_t row, const std::uint8_t* text, std::size_t at,
                                 std::uint8_t delimiter) {
    const PlainCell cell = plain_cell(text, at, delimiter);
    if (cell.length == 0) return empty_cell(column, row, cell);
    const bool negative = text[at] == '-';
    std::uint64_t value = 0;
    if (!parse_digits(text + at + negative, cell.length - negative, value)) return not_found;
    const auto magnitude = static_cast<std::int64_t>(value);
    column.set_integer(row, negative ? -magnitude : magnitude);
    return cell.end;
}

// Exact where mantissa and power of ten are (Clinger 1990): one division then rounds correctly.
inline std::size_t plain_number(ColumnBuffers& column, std::size_t row, const std::uint8_t* text, std::size_t at,
                                std::uint8_t delimiter) {
    const PlainCell cell = plain_cell(text, at, delimiter);
    if (cell.length == 0) return empty_cell(column, row, cell);
    const bool negative = text[at] == '-';
    const std::uint8_t* const digits = text + at + negative;
    const unsigned length = cell.length - negative;
    const auto point = static_cast<unsigned>(std::countr_zero(cell.block.either('.', '.') | 1U << cell.length));
    const unsigned whole = point - negative;
    std::uint64_t mantissa = 0;
    if (!parse_digits(digits, whole, mantissa)) return not_found;
    double value = static_cast<double>(mantissa);
    if (whole + 1 < length) {
        const unsigned places = length - whole - 1;
        std::uint64_t fraction = 0;
        if (!parse_digits(digits + whole + 1, places, fraction)) return not_found;
        mantissa = mantissa * whole_power_of_ten[places] + fraction;
        if (mantissa > exact_mantissa) return not_found;
        value = static_cast<double>(mantissa) / static_cast<double>(whole_power_of_ten[places]);
    } else if (mantissa > exact_mantissa) {
        return not_found;
    }
    column.set_number(row, negative ? -value : value);
    return cell.end;
}

inline std::size_t plain_text(ColumnBuffers& column, std::size_t row, const std::uint8_t* text, std::size_t at,
                              std::uint8_t delimiter) {
    const PlainCell cell = plain_cell(text, at, delimiter);
    if (cell.length == 0) return empty_cell(column, row, cell);
    if (cell.block.beyond_ascii() & ((1U << cell.length) - 1)) return not_found;
    column.set_short_text(row, cell.block, cell.length);
    return cell.end;
}

}  // namespace netsieve
