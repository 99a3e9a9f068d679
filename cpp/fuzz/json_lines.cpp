// Fuzzes the reading of JSON text, from bytes to columns. Any input must end without a fault, every record must be
// taken, rejected or skipped wherever the text is cut, and what the walker takes for plain JSON must be JSON to
// simdjson, with the same values. The first byte of an input says how it is read.
#include <simdjson.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "../json_discovery.hpp"
#include "../json_parser.hpp"
#include "check.hpp"

namespace {

using namespace netsieve;
using fuzz::require;

const std::vector<std::string> every_path{"timestamp", "event_type", "src_ip",  "dest_port",  "flow.bytes_toserver",
                                          "flow.end",  "flow",       "tcp.syn", "dns.rrname", "dns.answers",
                                          "a",         "a.b",        "a.b.c",   "x"};
const std::vector<ColumnKind> every_kind{ColumnKind::time,    ColumnKind::text, ColumnKind::text,   ColumnKind::integer,
                                         ColumnKind::integer, ColumnKind::time, ColumnKind::text,   ColumnKind::boolean,
                                         ColumnKind::text,    ColumnKind::text, ColumnKind::number, ColumnKind::integer,
                                         ColumnKind::boolean, ColumnKind::time};

// What is read of the texts.
struct Columns {
    std::vector<std::string> paths;
    std::vector<ColumnKind> kinds;
};

// All columns for the first table; for a second one those from the fifth on, as text.
std::vector<JsonTableColumns> tables_of(const JsonSelector& selector, const Columns& columns) {
    std::vector<JsonTableColumns> tables{{columns.paths, columns.kinds}};
    if (selector.values.size() > 1) {
        const auto from = std::min<std::ptrdiff_t>(4, std::ssize(columns.paths));
        const std::vector<std::string> some(columns.paths.begin() + from, columns.paths.end());
        tables.push_back({some, std::vector<ColumnKind>(some.size(), ColumnKind::text)});
    }
    return tables;
}

struct Counts {
    std::size_t records = 0, rows = 0, rejected = 0, skipped = 0;
};

void parse(const std::uint8_t* start, std::size_t size, const JsonDialect& dialect, const JsonSelector& selector,
           const Columns& columns, std::size_t records, Counts& counts) {
    // of exactly its size, so that a read beyond it is noticed
    const std::vector<std::uint8_t> text(start, start + size);
    const ParsedJson parsed =
        JsonParser(dialect, selector, tables_of(selector, columns), records).parse(text.data(), size);
    require(parsed.records == records);
    std::size_t skipped = 0, rows = 0;
    for (const JsonTable& table : parsed.tables) {
        require(table.selected.size() == table.rows);
        rows += table.rows;
    }
    for (const auto& [name, count] : parsed.skipped) skipped += count;
    require(rows + parsed.rejected.size() + skipped == records);
    for (const auto& reject : parsed.rejected) {
        require(0 <= reject[2] && reject[2] <= reject[3] && reject[3] <= static_cast<std::int64_t>(size));
        require(0 <= reject[6] && reject[6] <= reject[7] && reject[7] <= static_cast<std::int64_t>(size));
    }
    for (const JsonTable& table : parsed.tables)
        for (const auto& column : table.columns)
            for (std::size_t row = 0; row < table.rows; ++row)
                if (column->kind() == ColumnKind::text && !column->is_missing(row))
                    require(is_utf8(column->text_at(row)));
    counts.records += records;
    counts.rows += rows;
    counts.rejected += parsed.rejected.size();
    counts.skipped += skipped;
}

// Reads as files are read: block by block, what is left of one put before the next.
Counts read_in_blocks(const std::uint8_t* data, std::size_t size, const JsonDialect& dialect,
                      const JsonSelector& selector, const Columns& columns, std::size_t block) {
    Counts counts;
    std::size_t start = 0;
    for (std::size_t filled = std::min(block, size);; filled = std::min(filled + block, size)) {
        const bool final = filled == size;
        const std::vector<std::uint8_t> text(data + start, data + filled);
        const RecordScan found = scan_json_records(text.data(), text.size(), dialect, final);
        require(found.end <= text.size());
        require(found.lines == static_cast<std::size_t>(std::count(text.begin(), text.begin() + found.end, '\n')));
        if (found.end) parse(data + start, found.end, dialect, selector, columns, found.records, counts);
        start += found.end;
        if (found.overlong_open) {  // to the end of its line
            require(!final);
            ++counts.records;
            ++counts.rejected;
            const auto* const line = std::find(data + std::max(start, filled), data + size, '\n');
            start = static_cast<std::size_t>(line - data) + (line != data + size);
            filled = std::max(filled, start);
        }
        if (final || start >= size) break;
        require(found.end > 0 || filled - start <= dialect.max_record + block + 8192);
    }
    return counts;
}

void compare_walkers(const std::uint8_t* data, std::size_t size, const Columns& columns) {
    JsonPaths names(columns.paths);
    JsonWalker walker(names, columns.paths.size());
    simdjson::dom::parser checker;
    for (std::size_t at = 0; at < size;) {
        const JsonSpan span = walk_json_record(data, at, size, {false, size}, true);
        at = span.next;
        std::vector<std::uint8_t> line(data + span.start, data + span.end);
        const std::size_t length = line.size();
        line.resize(length + json_padding);
        if (!walker.read_plain(line.data(), line.data() + length)) continue;
        const std::vector<JsonValue> plain = walker.values();
        simdjson::dom::object object;
        require(checker.parse(line.data(), length, false).get(object) == simdjson::SUCCESS);
        require(walker.read_valid(line.data(), line.data() + length));
        for (std::size_t i = 0; i < plain.size(); ++i) {
            const JsonValue& value = walker.values()[i];
            require(plain[i].type == value.type && plain[i].text() == value.text());
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::uint8_t how = *data++;
    --size;
    constexpr std::size_t limits[] = {1 << 24, 1 << 24, 1000, 60};
    const JsonDialect dialect{(how & 1) != 0, limits[how >> 1 & 3]};
    // a file may hold nothing that is a column
    const Columns columns = (how >> 1 & 3) == 1 ? Columns{} : Columns{every_path, every_kind};
    const JsonSelector selector = how & 8 ? JsonSelector{"event_type", {"flow", "dns"}} : JsonSelector{};
    const std::size_t block = std::size_t{1} << (how >> 4);
    const Counts whole = read_in_blocks(data, size, dialect, selector, columns, size + 1);
    const Counts parts = read_in_blocks(data, size, dialect, selector, columns, std::max<std::size_t>(block, size / 8));
    require(whole.rows == parts.rows && whole.records == parts.records);
    require(whole.skipped == parts.skipped && whole.rejected == parts.rejected);
    compare_walkers(data, size, columns);
    const std::vector<std::uint8_t> text(data, data + size);
    for (const auto& columns : discover_json_columns(text.data(), size, dialect, selector))
        for (const JsonColumn& column : columns) require(is_utf8(column.path));
    return 0;
}
