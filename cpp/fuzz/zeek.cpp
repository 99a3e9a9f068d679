// Fuzzes the reading of Zeek's tab-separated logs, from bytes to columns. Any input must end without a fault, every
// record must be taken or rejected, and where the text is cut must make no difference. The first two bytes of an input
// say how it is read.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "../cells.hpp"
#include "../zeek_lines.hpp"
#include "../zeek_parser.hpp"
#include "check.hpp"

namespace {

using namespace netsieve;
using fuzz::require;

struct Rows {
    std::size_t records = 0, rejected = 0, blank = 0, headers = 0;
    std::string texts;  // of all text cells, in order of columns within each row
};

void parse(const std::uint8_t* start, std::size_t size, const ZeekLayout& layout, const std::vector<int>& kinds,
           const ZeekScan& found, Rows& rows) {
    // of exactly its size, so that a read beyond it is noticed
    const std::vector<std::uint8_t> text(start, start + size);
    const ZeekRecords parsed = parse_zeek_records(text.data(), size, layout, kinds, found.records);
    require(parsed.records == found.records);
    require(parsed.rows + parsed.rejected.size() == found.records);
    for (const auto& reject : parsed.rejected) {
        require(0 <= reject[2] && reject[2] <= reject[3] && reject[3] <= static_cast<std::int64_t>(size));
        require(0 <= reject[6] && reject[6] <= reject[7] && reject[7] <= static_cast<std::int64_t>(size));
    }
    for (std::size_t row = 0; row < parsed.rows; ++row)
        for (const auto& column : parsed.columns) {
            if (column->kind() != ColumnKind::text || column->is_missing(row)) continue;
            require(is_utf8(column->text_at(row)));
            rows.texts += column->text_at(row);
            rows.texts += '\0';
        }
    rows.records += found.records;
    rows.rejected += parsed.rejected.size();
    rows.blank += found.blank;
    rows.headers += found.headers;
}

// Reads as files are read: block by block, what is left of one put before the next; a header line that says something
// new is taken for known from then on.
Rows read_in_blocks(const std::uint8_t* data, std::size_t size, const ZeekLayout& layout, const std::vector<int>& kinds,
                    std::size_t block) {
    Rows rows;
    std::vector<std::string> known;
    std::size_t start = 0;
    for (std::size_t filled = std::min(block, size);; filled = std::min(filled + block, size)) {
        const bool final = filled == size;
        for (;;) {
            const std::vector<std::uint8_t> text(data + start, data + filled);
            const ZeekScan found = scan_zeek_lines(text.data(), text.size(), known, layout.max_record, final);
            require(found.end <= text.size());
            require(found.lines == static_cast<std::size_t>(std::count(text.begin(), text.begin() + found.end, '\n')));
            if (found.end) parse(data + start, found.end, layout, kinds, found, rows);
            start += found.end;
            if (found.changed) {
                const Line line = line_at(data, start, filled, layout.max_record);
                known.emplace_back(reinterpret_cast<const char*>(data) + line.start, line.end - line.start);
                continue;
            }
            if (found.overlong_open) {  // to the end of its line
                require(!final);
                ++rows.records;
                ++rows.rejected;
                const auto* const line = std::find(data + filled, data + size, '\n');
                start = static_cast<std::size_t>(line - data) + (line != data + size);
                filled = std::max(filled, start);
            }
            break;
        }
        if (final || start >= size) return rows;
        require(filled - start <= layout.max_record + block + 2);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::uint8_t how = data[0];
    const std::uint8_t more = data[1];
    data += 2;
    size -= 2;
    constexpr std::size_t limits[] = {1 << 24, 1000, 60, 5};
    const std::vector<std::vector<int>> tables{
        {5, 4, 4, 1, 4, 1, 4, 4, 2, 1, 1, 4, 3, 3, 1, 4, 1, 1, 1, 1, 6}, {5, 4, 7}, {4}, {0, 6, 0, 2}};
    const ZeekLayout layout{static_cast<std::uint8_t>(how & 1 ? ',' : '\t'),
                            how & 2 ? std::size_t{2} : std::size_t{0},
                            how & 4 ? ';' : ',',
                            how & 8 ? "" : "(empty)",
                            how & 16 ? "" : "-",
                            limits[how >> 5 & 3]};
    const std::vector<int>& kinds = tables[more & 3];
    const Rows whole = read_in_blocks(data, size, layout, kinds, size + 1);
    const std::size_t block = std::max(std::size_t{1} << (more >> 3 & 15), size / 16);
    const Rows parts = read_in_blocks(data, size, layout, kinds, block);
    require(whole.records == parts.records && whole.rejected == parts.rejected);
    require(whole.blank == parts.blank && whole.headers == parts.headers && whole.texts == parts.texts);
    return 0;
}
