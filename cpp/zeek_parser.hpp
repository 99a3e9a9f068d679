// Zeek's tab-separated logs, from lines to columns.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "column_buffers.hpp"

namespace netsieve {

// How a field is read. The numbers are part of the Python interface (netsieve.engine.sources.zeek_tsv).
enum class ZeekField : std::uint8_t {
    skipped = 0,
    integer = 1,
    number = 2,
    boolean = 3,
    text = 4,
    time = 5,         // microseconds since 1970
    list = 6,         // set or vector, as text
    number_list = 7,  // of numbers, each in its shortest form
};

// Why a record was rejected; the numbers are those of parse_records, and 9.
enum class ZeekReason : std::int64_t {
    field_count = 1,
    overlong = 3,
    no_integer = 4,
    no_number = 5,
    no_boolean = 6,
    no_utf8 = 7,
    fraction = 8,
    no_time = 9,
};

// record (counted in the text), line (newlines before it), start, end, reason, field (or the number of fields), start
// and end of the cell
constexpr std::size_t zeek_rejected_width = 8;
using ZeekRejected = std::array<std::int64_t, zeek_rejected_width>;

struct ZeekLayout {
    std::uint8_t separator;
    std::size_t spaced;  // so many fields at the end have three spaces between them
    char set_separator;
    std::string empty;
    std::string unset;
    std::size_t max_record;
};

struct ZeekRecords {
    std::size_t records = 0;
    std::size_t rows = 0;
    std::vector<std::shared_ptr<ColumnBuffers>> columns;
    std::vector<ZeekRejected> rejected;
};

// The lines that scan_zeek_lines found: records of them, of which those that do not fit are rejected. kinds: of the
// fields of a line, at least one; throws std::invalid_argument where one is none.
ZeekRecords parse_zeek_records(const std::uint8_t* text, std::size_t size, const ZeekLayout& layout,
                               const std::vector<int>& kinds, std::size_t records);

}  // namespace netsieve
