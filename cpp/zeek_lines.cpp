#include "zeek_lines.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "simd.hpp"

namespace netsieve {

namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
constexpr std::uint8_t byte_order_mark_begin = 0xEF;

// Header lines that say how the records after them are read.
constexpr std::string_view directives[] = {"#separator", "#set_separator", "#empty_field", "#unset_field",
                                           "#path",      "#fields",        "#types"};

bool is_news(std::string_view line, const std::vector<std::string>& known) {
    const bool directive = std::any_of(std::begin(directives), std::end(directives),
                                       [&](std::string_view name) { return line.starts_with(name); });
    return directive && std::find(known.begin(), known.end(), line) == known.end();
}

}  // namespace

Line line_at(const std::uint8_t* text, std::size_t start, std::size_t size, std::size_t max_record) {
    const void* newline = std::memchr(text + start, '\n', size - start);
    std::size_t end = newline ? static_cast<std::size_t>(static_cast<const std::uint8_t*>(newline) - text) : size;
    const std::size_t next = newline ? end + 1 : size;
    const bool overlong = end - start > max_record;
    if (end > start && text[end - 1] == '\r') --end;
    // files that were joined end to end bring their byte order marks along
    if (end - start >= byte_order_mark.size() &&
        std::memcmp(text + start, byte_order_mark.data(), byte_order_mark.size()) == 0)
        start += byte_order_mark.size();
    return {start, end, next,
            overlong             ? LineKind::overlong
            : end == start       ? LineKind::blank
            : text[start] == '#' ? LineKind::header
                                 : LineKind::record};
}

ZeekScan scan_zeek_lines(const std::uint8_t* text, std::size_t size, const std::vector<std::string>& known,
                         std::size_t max_record, bool final, std::size_t most_records) {
    constexpr std::size_t lookahead = 2;  // "\r\n"
    ZeekScan found;
    // The line at found.end, of whatever kind. Returns whether to go on.
    const auto take_line = [&] {
        const Line line = line_at(text, found.end, size, max_record);
        const bool open = line.next == size && text[size - 1] != '\n';
        if (open && !final) {
            found.overlong_open = size - found.end > max_record + lookahead;
            return false;
        }
        if (line.kind == LineKind::header) {
            const auto* const begin = reinterpret_cast<const char*>(text) + line.start;
            if (is_news({begin, line.end - line.start}, known)) {
                found.changed = true;
                return false;
            }
        }
        found.blank += line.kind == LineKind::blank;
        found.headers += line.kind == LineKind::header;
        found.records += line.kind == LineKind::record || line.kind == LineKind::overlong;
        found.lines += !open;
        found.end = line.next;
        return true;
    };
    const auto is_full = [&] { return found.records == most_records; };
    for (std::size_t at = 0; !is_full() && at + 64 <= size; at += 64)
        for (std::uint64_t newlines = equal_mask_64(text + at, '\n'); !is_full() && newlines;
             newlines &= newlines - 1) {
            const std::uint8_t first = text[found.end];
            if (first == '#' || first == '\r' || first == '\n' || first == byte_order_mark_begin) {
                if (!take_line()) return found;
            } else {  // a record, too long or not
                ++found.records;
                ++found.lines;
                found.end = at + static_cast<std::size_t>(std::countr_zero(newlines)) + 1;
            }
        }
    while (!is_full() && found.end < size && take_line()) continue;
    found.more = is_full() && found.end < size;
    return found;
}

}  // namespace netsieve
