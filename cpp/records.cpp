#include "records.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "simd.hpp"

namespace netsieve {

namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

// Longest look beyond the byte that decides about a record: a closing quote needs the "\r\n" after it.
constexpr std::size_t lookahead = 2;

std::size_t find_byte(const std::uint8_t* text, std::size_t from, std::size_t size, std::uint8_t byte) {
    const void* hit = from < size ? std::memchr(text + from, byte, size - from) : nullptr;
    return hit ? static_cast<std::size_t>(static_cast<const std::uint8_t*>(hit) - text) : not_found;
}

std::size_t without_carriage_return(const std::uint8_t* text, std::size_t start, std::size_t end) {
    return end > start && text[end - 1] == '\r' ? end - 1 : end;
}

RecordSpan incomplete_record(std::size_t start) { return {start, start, RecordKind::incomplete}; }

// The first line of a record that cannot be taken as a whole. One that is not overlong by itself has wrong quotes:
// nothing else goes on over a line's end.
RecordSpan first_line(const std::uint8_t* text, std::size_t start, std::size_t size, const Dialect& dialect,
                      bool final) {
    const std::size_t newline = find_byte(text, start, size, '\n');
    const std::size_t end = newline == not_found ? size : newline;
    const bool overlong = end - start > dialect.max_record;
    if (newline == not_found && !final) {
        if (end - start > dialect.max_record + lookahead) return {size, not_found, RecordKind::overlong};
        return incomplete_record(start);
    }
    return {without_carriage_return(text, start, end), newline == not_found ? size : newline + 1,
            overlong ? RecordKind::overlong : RecordKind::misquoted};
}

}  // namespace

bool is_header(const std::uint8_t* text, std::size_t start, std::size_t end, std::string_view header) {
    if (header.empty()) return false;
    // files that were joined end to end bring their byte order marks along
    if (end - start == header.size() + byte_order_mark.size() &&
        std::memcmp(text + start, byte_order_mark.data(), byte_order_mark.size()) == 0)
        start += byte_order_mark.size();
    return end - start == header.size() && std::memcmp(text + start, header.data(), header.size()) == 0;
}

RecordSpan walk_record(const std::uint8_t* text, std::size_t start, std::size_t size, const Dialect& dialect,
                       bool final) {
    const auto fail = [&]() { return first_line(text, start, size, dialect, final); };
    const auto ran_out = [&]() {
        return final || size - start > dialect.max_record + lookahead ? fail() : incomplete_record(start);
    };
    const auto complete = [&](std::size_t end, std::size_t next) -> RecordSpan {
        if (end == start) return {end, next, RecordKind::blank};
        return {end, next, is_header(text, start, end, dialect.header) ? RecordKind::header : RecordKind::record};
    };
    const auto complete_at_the_end = [&]() -> RecordSpan {
        if (!final || size - start > dialect.max_record) return ran_out();
        return complete(without_carriage_return(text, start, size), size);
    };
    std::size_t at = start;
    for (;;) {  // one field each time
        if (at >= size) return complete_at_the_end();
        if (text[at] != quote_byte) {
            at = find_field_end(text, at, size, dialect.delimiter);
            if (at >= size) return complete_at_the_end();
            if (at - start > dialect.max_record) return fail();
            if (text[at] == '\n') return complete(without_carriage_return(text, start, at), at + 1);
            ++at;
            continue;
        }
        for (++at;;) {  // to the closing quote
            at = find_byte(text, at, size, quote_byte);
            if (at == not_found) return ran_out();
            if (at - start > dialect.max_record) return fail();
            ++at;
            if (at >= size && !final) return incomplete_record(start);
            if (at >= size || text[at] != quote_byte) break;
            ++at;
        }
        if (at - start > dialect.max_record) return fail();
        if (at >= size) return complete(size, size);
        if (text[at] == '\n') return complete(at, at + 1);
        if (text[at] == '\r') {
            if (at + 1 >= size) return final ? complete(at, size) : incomplete_record(start);
            if (text[at + 1] == '\n') return complete(at, at + 2);
        }
        if (text[at] != dialect.delimiter) return fail();
        ++at;
    }
}

namespace {

// The header's fields, to tell records that begin with one of them: header lines of other columns do.
class HeaderFields {
  public:
    explicit HeaderFields(const Dialect& dialect) : delimiter_(dialect.delimiter) {
        const std::string_view header = dialect.header;
        initials_[quote_byte] = true;
        for (std::size_t at = 0; at < header.size();) {
            const std::size_t end = std::min(header.find(static_cast<char>(delimiter_), at), header.size());
            const std::string_view field = unquoted(header.substr(at, end - at));
            if (!field.empty()) {
                fields_.push_back(field);
                initials_[static_cast<unsigned char>(field[0])] = true;
                initials_[static_cast<unsigned char>(header[at])] = true;
            }
            at = end + 1;
        }
    }

    bool begin(const std::uint8_t* text, std::size_t start, std::size_t end) const {
        if (end - start >= byte_order_mark.size() &&
            std::memcmp(text + start, byte_order_mark.data(), byte_order_mark.size()) == 0)
            start += byte_order_mark.size();
        if (start >= end || !initials_[text[start]]) return false;
        const std::size_t behind = find_field_end(text, start, end, delimiter_);
        const std::string_view field =
            unquoted({reinterpret_cast<const char*>(text + start), std::min(behind, end) - start});
        return std::find(fields_.begin(), fields_.end(), field) != fields_.end();
    }

  private:
    static std::string_view unquoted(std::string_view field) {
        while (!field.empty() && std::strchr(" \t\r\n\"", field.front())) field.remove_prefix(1);
        while (!field.empty() && std::strchr(" \t\r\n\"", field.back())) field.remove_suffix(1);
        return field;
    }

    std::uint8_t delimiter_;
    std::array<bool, 256> initials_{};
    std::vector<std::string_view> fields_;
};

}  // namespace

RecordScan scan_records(const std::uint8_t* text, std::size_t size, const Dialect& dialect, bool final,
                        std::size_t most_records) {
    RecordScan found;
    const HeaderFields fields(dialect);
    std::size_t start = 0;  // of the record at hand
    // Returns whether to go on.
    const auto walk = [&]() {
        const RecordSpan record = walk_record(text, start, size, dialect, final);
        if (record.kind == RecordKind::incomplete) return false;
        if (record.next == not_found) {
            found.overlong_open = true;
            return false;
        }
        found.blank += record.kind == RecordKind::blank;
        found.headers += record.kind == RecordKind::header;
        found.records += record.kind != RecordKind::blank && record.kind != RecordKind::header;
        if (fields.begin(text, start, record.end)) found.named.push_back(start);
        found.lines += static_cast<std::size_t>(std::count(text + start, text + record.next, '\n'));
        start = record.next;
        return found.records < most_records;
    };
    bool more = found.records < most_records;
    for (std::size_t at = 0; more && at + 64 <= size;) {
        std::uint64_t newlines = equal_mask_64(text + at, '\n');
        const std::uint64_t quotes = equal_mask_64(text + at, quote_byte);
        if (quotes) newlines &= (quotes & (0 - quotes)) - 1;  // those before the first quote
        for (; newlines; newlines &= newlines - 1) {
            const std::size_t newline = at + static_cast<std::size_t>(std::countr_zero(newlines));
            const std::size_t end = without_carriage_return(text, start, newline);
            if (end == start)
                ++found.blank;
            else if (newline - start <= dialect.max_record && is_header(text, start, end, dialect.header))
                ++found.headers;
            else
                ++found.records;
            if (fields.begin(text, start, end)) found.named.push_back(start);
            ++found.lines;
            start = newline + 1;
            if (found.records == most_records) break;
        }
        if (found.records == most_records) {
            more = false;
        } else if (quotes) {
            more = walk();  // the record that holds the quote
            at = start;
        } else {
            at += 64;
        }
    }
    while (more && start < size) more = walk();
    found.end = start;
    found.more = found.records == most_records && start < size;
    return found;
}

}  // namespace netsieve
