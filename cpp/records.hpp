// Where the records of delimited text begin and end.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "simd.hpp"

namespace netsieve {

constexpr std::uint8_t quote_byte = '"';
constexpr std::size_t not_found = static_cast<std::size_t>(-1);

// How a text is cut: every function that walks over records must be given the same dialect to find the same ones.
struct Dialect {
    std::uint8_t delimiter;
    std::string_view header;  // a record with these bytes is a repeated header line; empty: there is none
    std::size_t max_record;   // longest record in bytes without its line end
};

enum class RecordKind : std::uint8_t {
    record,
    blank,
    header,
    misquoted,   // text follows a closing quote, or there is none within Dialect::max_record
    overlong,    // its first line is longer than Dialect::max_record
    incomplete,  // the text ends before the record does, and more is to come
};

// Bytes [start, end) without the line end; the following record begins at next. Of a misquoted or overlong record
// only the first line is taken, so that one stray quote costs one line and not the rest of the file. Whatever follows
// that line decides no more than that: a text cut behind it gives the same record. An overlong record whose line does
// not end within the text has next == not_found.
struct RecordSpan {
    std::size_t end;
    std::size_t next;
    RecordKind kind;
};

// First delimiter or newline in [from, size), or size.
inline std::size_t find_field_end(const std::uint8_t* text, std::size_t from, std::size_t size,
                                  std::uint8_t delimiter) {
    for (; from + 16 <= size; from += 16)
        if (const std::uint32_t ends = Block16(text + from).either(delimiter, '\n'))
            return from + static_cast<std::size_t>(std::countr_zero(ends));
    while (from < size && text[from] != delimiter && text[from] != '\n') ++from;
    return from;
}

// What a scanner of records found in a text.
struct RecordScan {
    std::size_t records = 0;  // takes in those that the parser will reject
    std::size_t blank = 0;
    std::size_t headers = 0;
    std::size_t lines = 0;
    std::size_t end = 0;
    bool overlong_open = false;
    bool more = false;               // the scan ended at the most records that were asked for, within the text
    std::vector<std::size_t> named;  // where records begin whose first field is one of the header's
};

// The record that begins at start (< size). final: no more text follows.
RecordSpan walk_record(const std::uint8_t* text, std::size_t start, std::size_t size, const Dialect& dialect,
                       bool final);

bool is_header(const std::uint8_t* text, std::size_t start, std::size_t end, std::string_view header);

// Counts the records of a text that begins at one, and finds where the last complete one ends, or that behind which
// there are most_records. final as above.
RecordScan scan_records(const std::uint8_t* text, std::size_t size, const Dialect& dialect, bool final,
                        std::size_t most_records = not_found);

}  // namespace netsieve
