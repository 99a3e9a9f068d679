// Fuzzes the reading of delimited text (CSV), from bytes to columns. Any input must end without a fault, every record
// must be taken or rejected, and where the text is cut must make no difference. The first two bytes of an input say how
// it is read.
#include "../records.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "../cells.hpp"
#include "../record_parser.hpp"
#include "check.hpp"

namespace {

using namespace netsieve;
using fuzz::require;

struct Rows {
    std::size_t records = 0, rejected = 0, blank = 0, headers = 0;
    std::string cells;  // of all columns: within each row, whether it is missing and its text
};

void parse(const std::uint8_t* start, std::size_t size, const Dialect& dialect, const std::vector<int>& kinds,
           const RecordScan& found, Rows& rows) {
    // of exactly its size, so that a read beyond it is noticed
    const std::vector<std::uint8_t> text(start, start + size);
    const ParsedRecords parsed = parse_records(text.data(), size, dialect, kinds, found.records);
    require(parsed.records == found.records && parsed.blank == found.blank && parsed.headers == found.headers);
    require(parsed.rows + parsed.rejected.size() == found.records);
    for (const auto& reject : parsed.rejected) {
        require(0 <= reject[2] && reject[2] <= reject[3] && reject[3] <= static_cast<std::int64_t>(size));
        require(0 <= reject[6] && reject[6] <= reject[7] && reject[7] <= static_cast<std::int64_t>(size));
    }
    for (std::size_t row = 0; row < parsed.rows; ++row)
        for (const auto& column : parsed.columns) {
            rows.cells += column->is_missing(row) ? '-' : '+';
            if (column->kind() != ColumnKind::text || column->is_missing(row)) continue;
            require(is_utf8(column->text_at(row)));
            rows.cells += column->text_at(row);
        }
    rows.records += found.records;
    rows.rejected += parsed.rejected.size();
    rows.blank += found.blank;
    rows.headers += found.headers;
}

// Reads as files are read: block by block, what is left of one put before the next.
Rows read_in_blocks(const std::uint8_t* data, std::size_t size, const Dialect& dialect, const std::vector<int>& kinds,
                    std::size_t block) {
    Rows rows;
    std::size_t start = 0;
    for (std::size_t filled = std::min(block, size);; filled = std::min(filled + block, size)) {
        const bool final = filled == size;
        const std::vector<std::uint8_t> text(data + start, data + filled);
        const RecordScan found = scan_records(text.data(), text.size(), dialect, final);
        require(found.end <= text.size());
        require(found.lines == static_cast<std::size_t>(std::count(text.begin(), text.begin() + found.end, '\n')));
        if (found.end) parse(data + start, found.end, dialect, kinds, found, rows);
        start += found.end;
        if (found.overlong_open) {  // to the end of its line
            require(!final);
            ++rows.records;
            ++rows.rejected;
            const auto* const line = std::find(data + filled, data + size, '\n');
            start = static_cast<std::size_t>(line - data) + (line != data + size);
            filled = std::max(filled, start);
        }
        if (final || start >= size) return rows;
    }
}

// The kinds that are inferred of a text must be kinds that it can be read by.
void read_inferred(const std::uint8_t* data, std::size_t size, const Dialect& dialect, std::size_t columns) {
    const std::vector<std::uint8_t> text(data, data + size);
    const std::vector<int> kinds = infer_kinds(text.data(), size, dialect, columns);
    require(kinds.size() == columns);
    const RecordScan found = scan_records(text.data(), size, dialect, true);
    constexpr std::int64_t no_integer = 4, no_boolean = 6;
    for (const auto& reject : parse_records(text.data(), size, dialect, kinds, found.records).rejected)
        require(reject[4] < no_integer || reject[4] > no_boolean);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::uint8_t how = data[0];
    const std::uint8_t more = data[1];
    data += 2;
    size -= 2;
    constexpr std::size_t limits[] = {1 << 24, 1000, 60, 5};
    constexpr std::uint8_t delimiters[] = {',', '\t', ';', ' '};
    constexpr std::string_view headers[] = {"", "a,b,c,d,e", "time,host", "a"};
    const std::vector<std::vector<int>> tables{{1, 2, 3, 4, 0}, {4, 4}, {2, 1, 4}, {0, 4, 0, 1, 2, 3, 4, 4, 1, 2, 1}};
    const Dialect dialect{delimiters[how & 3], headers[how >> 2 & 3], limits[how >> 4 & 3]};
    const std::vector<int>& kinds = tables[how >> 6];
    const Rows whole = read_in_blocks(data, size, dialect, kinds, size + 1);
    const std::size_t block = std::max(std::size_t{1} << (more & 15), size / 16);
    const Rows parts = read_in_blocks(data, size, dialect, kinds, block);
    require(whole.records == parts.records && whole.rejected == parts.rejected);
    require(whole.blank == parts.blank && whole.headers == parts.headers && whole.cells == parts.cells);
    read_inferred(data, size, dialect, kinds.size());
    return 0;
}
