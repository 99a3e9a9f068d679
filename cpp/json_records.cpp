#include "json_records.hpp"

#include <algorithm>
#include <cstring>

namespace netsieve {

namespace {

// A line end of two bytes, and one byte more, lie beyond the byte that decides that a line is too long.
constexpr std::size_t lookahead = 2;
constexpr std::size_t longest_indentation = 4096;

bool is_blank(std::uint8_t byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }

std::size_t find_newline(const std::uint8_t* text, std::size_t from, std::size_t size) {
    const void* hit = from < size ? std::memchr(text + from, '\n', size - from) : nullptr;
    return hit ? static_cast<std::size_t>(static_cast<const std::uint8_t*>(hit) - text) : not_found;
}

std::size_t without_blanks_behind(const std::uint8_t* text, std::size_t start, std::size_t end) {
    while (end > start && is_blank(text[end - 1])) --end;
    return end;
}

JsonSpan walk_line(const std::uint8_t* text, std::size_t start, std::size_t size, std::size_t max_record, bool final) {
    const std::size_t newline = find_newline(text, start, size);
    std::size_t end = newline == not_found ? size : newline;
    const std::size_t next = newline == not_found ? size : newline + 1;
    if (newline == not_found && !final) {
        if (end - start > max_record + lookahead) return {start, size, not_found, RecordKind::overlong};
        return {start, start, start, RecordKind::incomplete};
    }
    if (end > start && text[end - 1] == '\r') --end;
    if (end - start > max_record) return {start, end, next, RecordKind::overlong};
    // Only a line that begins with a blank can be one
    if (end == start || (is_blank(text[start]) && without_blanks_behind(text, start, end) == start))
        return {start, end, next, RecordKind::blank};
    return {start, end, next, RecordKind::record};
}

// Blanks between the line's beginning and start; 0 where something else stands there.
std::size_t indentation(const std::uint8_t* text, std::size_t start) {
    std::size_t blanks = 0;
    while (blanks < start && (text[start - blanks - 1] == ' ' || text[start - blanks - 1] == '\t')) ++blanks;
    return blanks == start || text[start - blanks - 1] == '\n' ? blanks : 0;
}

class ArrayWalker {
  public:
    ArrayWalker(const std::uint8_t* text, std::size_t size, std::size_t max_record, bool final)
        : text_(text), size_(size), max_record_(max_record), final_(final) {}

    JsonSpan walk(std::size_t at) const {
        std::size_t start = at;
        while (start < size_ &&
               (is_blank(text_[start]) || text_[start] == ',' || text_[start] == '[' || text_[start] == ']'))
            ++start;
        // An object is told by its indentation, so that stays with it; but nobody indents by this much
        if (start == size_ && !final_ && start - at < longest_indentation) return incomplete(at);
        if (start == size_) return {at, size_, size_, RecordKind::blank};
        return text_[start] == '{' ? object(start) : stray(start);
    }

  private:
    JsonSpan object(std::size_t start) const {
        const std::size_t indent = indentation(text_, start);
        std::size_t depth = 0;
        bool quoted = false;
        for (std::size_t at = start; at < size_; ++at) {
            const std::uint8_t byte = text_[at];
            if (byte == '\n') {
                quoted = false;
                if (at - start > max_record_) return {start, at, at + 1, RecordKind::overlong};
                if (indent) {
                    // decided by bytes that may not be here yet
                    if (at + 1 + indent >= size_ && !final_) return incomplete(start);
                    if (at + 1 + indent < size_ && text_[at + 1 + indent] == '{' &&
                        std::memcmp(text_ + at + 1, text_ + start - indent, indent) == 0)
                        return {start, without_blanks_behind(text_, start, at), at + 1, RecordKind::record};
                }
            } else if (quoted) {
                if (byte == '\\')
                    at += at + 1 < size_ && text_[at + 1] != '\n';
                else if (byte == '"')
                    quoted = false;
            } else if (byte == '"') {
                quoted = true;
            } else if (byte == '{' || byte == '[') {
                ++depth;
            } else if ((byte == '}' || byte == ']') && --depth == 0) {
                if (at + 1 - start > max_record_) return overlong(start);
                // What separates it from the next object goes with it: a text that begins in the middle of a line must
                // not look as if the next object were indented
                std::size_t next = at + 1;
                while (next < size_ && (text_[next] == ' ' || text_[next] == '\t' || text_[next] == ',')) ++next;
                if (next == size_ && !final_ && next - at < longest_indentation) return incomplete(start);
                return {start, at + 1, next, RecordKind::record};
            }
        }
        if (size_ - start > max_record_ + lookahead) return overlong(start);
        if (!final_) return incomplete(start);
        return {start, without_blanks_behind(text_, start, size_), size_, RecordKind::record};
    }

    // What is neither an object nor between objects: to the end of its line, or to the next object.
    JsonSpan stray(std::size_t start) const {
        std::size_t at = start;
        while (at < size_ && text_[at] != '\n' && text_[at] != '{') ++at;
        if (at - start > max_record_) return overlong(start);
        if (at == size_ && !final_) return incomplete(start);
        return {start, without_blanks_behind(text_, start, at), at, RecordKind::record};
    }

    JsonSpan overlong(std::size_t start) const {
        const std::size_t newline = find_newline(text_, start + max_record_ + 1, size_);
        if (newline != not_found) return {start, newline, newline + 1, RecordKind::overlong};
        return {start, size_, final_ ? size_ : not_found, RecordKind::overlong};
    }

    static JsonSpan incomplete(std::size_t start) { return {start, start, start, RecordKind::incomplete}; }

    const std::uint8_t* text_;
    std::size_t size_;
    std::size_t max_record_;
    bool final_;
};

}  // namespace

JsonSpan walk_json_record(const std::uint8_t* text, std::size_t at, std::size_t size, const JsonDialect& dialect,
                          bool final) {
    if (dialect.array) return ArrayWalker(text, size, dialect.max_record, final).walk(at);
    return walk_line(text, at, size, dialect.max_record, final);
}

RecordScan scan_json_records(const std::uint8_t* text, std::size_t size, const JsonDialect& dialect, bool final,
                             std::size_t most_records) {
    RecordScan found;
    std::size_t at = 0;
    while (at < size && found.records < most_records) {
        const JsonSpan record = walk_json_record(text, at, size, dialect, final);
        if (record.kind == RecordKind::incomplete) break;
        if (record.next == not_found) {
            found.overlong_open = true;
            at = record.start;
            break;
        }
        found.blank += record.kind == RecordKind::blank && !dialect.array;
        found.records += record.kind != RecordKind::blank;
        found.lines += !dialect.array && text[record.next - 1] == '\n';
        at = record.next;
    }
    found.end = at;
    found.more = found.records == most_records && at < size;
    if (dialect.array) found.lines = static_cast<std::size_t>(std::count(text, text + at, '\n'));
    return found;
}

}  // namespace netsieve
