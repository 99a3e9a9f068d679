// The lines of Zeek's tab-separated logs: records, header lines, blank ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace netsieve {

enum class LineKind : std::uint8_t { record, blank, header, overlong };

// Bytes [start, end) without a byte order mark and the line end; the following line begins at next.
struct Line {
    std::size_t start;
    std::size_t end;
    std::size_t next;
    LineKind kind;
};

// The line that begins at start (< size); the text ends with a whole line. Zeek escapes a "#" that a record begins
// with, so that each line with one in front is a header line.
Line line_at(const std::uint8_t* text, std::size_t start, std::size_t size, std::size_t max_record);

struct ZeekScan {
    std::size_t records = 0;  // takes in those that the parser will reject
    std::size_t blank = 0;
    std::size_t headers = 0;
    std::size_t lines = 0;
    std::size_t end = 0;
    bool overlong_open = false;
    bool changed = false;
    bool more = false;  // the scan ended at the most records that were asked for, within the text
};

// Whole lines from the text's beginning, up to a header line that says something else than the known ones.
ZeekScan scan_zeek_lines(const std::uint8_t* text, std::size_t size, const std::vector<std::string>& known,
                         std::size_t max_record, bool final, std::size_t most_records = static_cast<std::size_t>(-1));

}  // namespace netsieve
