// Delimited text (CSV), from records to columns.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "column_buffers.hpp"
#include "records.hpp"

namespace netsieve {

// Why a record was rejected. The numbers are part of the Python interface (netsieve.engine.sources.csv).
enum class RecordReason : std::int64_t {
    field_count = 1,
    misquoted = 2,
    overlong = 3,
    no_integer = 4,
    no_number = 5,
    no_boolean = 6,
    no_utf8 = 7,
    fraction = 8,  // a number in an integer column, but no 64-bit integer
};

// record (counted in the block), line (newlines before it), start, end, reason, column (or the number of fields),
// start and end of the cell
constexpr std::size_t record_rejected_width = 8;
using RecordRejected = std::array<std::int64_t, record_rejected_width>;

struct ParsedRecords {
    std::size_t records = 0;
    std::size_t rows = 0;
    std::size_t blank = 0;
    std::size_t headers = 0;
    std::vector<std::shared_ptr<ColumnBuffers>> columns;
    std::vector<RecordRejected> rejected;
};

// The records that scan_records found: records of them, of which those that do not fit are rejected. kinds: codes of
// ColumnKind, one for each column of the text, at least one; throws std::invalid_argument where one is none.
ParsedRecords parse_records(const std::uint8_t* text, std::size_t size, const Dialect& dialect,
                            const std::vector<int>& kinds, std::size_t records);

// For each column the narrowest kind that all its cells are of; text where it has no value, or none fits.
std::vector<int> infer_kinds(const std::uint8_t* text, std::size_t size, const Dialect& dialect, std::size_t columns);

}  // namespace netsieve
