// Where the records of JSON lines, and of one JSON array of objects, begin and end.
#pragma once

#include <cstddef>
#include <cstdint>

#include "records.hpp"

namespace netsieve {

struct JsonDialect {
    bool array;              // objects within one array, over any number of lines; otherwise one object a line
    std::size_t max_record;  // longest record in bytes without its line end
};

// Bytes [start, end) of a record; what follows it begins at next. Kinds: record, blank, overlong, incomplete.
struct JsonSpan {
    std::size_t start;
    std::size_t end;
    std::size_t next;
    RecordKind kind;
};

// The record at or behind at (< size). final: no more text follows.
//
// Of an array, brackets, commas and white space between objects are blank. An object ends with its closing bracket;
// one that is longer than max_record with the line that it passes the limit on; one that does not close before another
// begins at its own indentation, there. A quote that is open at a line's end is closed there, so that a stray one costs
// a record and not the file.
JsonSpan walk_json_record(const std::uint8_t* text, std::size_t at, std::size_t size, const JsonDialect& dialect,
                          bool final);

// As scan_records.
RecordScan scan_json_records(const std::uint8_t* text, std::size_t size, const JsonDialect& dialect, bool final,
                             std::size_t most_records = not_found);

}  // namespace netsieve
