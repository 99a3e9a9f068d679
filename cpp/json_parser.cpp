#include "json_parser.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>

#include "plain_cells.hpp"
#include "timestamps.hpp"

namespace netsieve {

namespace {

// Values of the selector that are counted apart, and how much of each is kept: both are the file's choice.
constexpr std::size_t most_skipped_values = 64;
constexpr std::size_t longest_skipped_value = 64;
constexpr char further_skipped_values[] = "(other)";

JsonReason reason_of(simdjson::error_code error) {
    switch (error) {
        case simdjson::DEPTH_ERROR:
            return JsonReason::nesting;
        case simdjson::NUMBER_ERROR:
            return JsonReason::number;
        case simdjson::STRING_ERROR:
            return JsonReason::string;
        case simdjson::UNCLOSED_STRING:
            return JsonReason::unclosed;
        case simdjson::UNESCAPED_CHARS:
            return JsonReason::control_character;
        default:
            return JsonReason::no_json;
    }
}

JsonReason reason_of(ColumnKind kind) {
    switch (kind) {
        case ColumnKind::integer:
            return JsonReason::no_integer;
        case ColumnKind::number:
            return JsonReason::no_number;
        case ColumnKind::boolean:
            return JsonReason::no_boolean;
        case ColumnKind::time:
            return JsonReason::no_time;
        default:
            return JsonReason::string;
    }
}

// The cells that most are: short text, integers without a sign, true and false. False: nothing was set.
inline bool set_plain_cell(ColumnBuffers& column, std::size_t row, const JsonValue& value) {
    switch (column.kind()) {
        case ColumnKind::text:
            if (value.type != JsonType::text || value.size > 16) return false;
            column.set_short_text(row, Block16(value.start), value.size);
            return true;
        case ColumnKind::integer: {
            std::uint64_t digits = 0;
            if (value.type != JsonType::number || !parse_digits(value.start, value.size, digits)) return false;
            column.set_integer(row, static_cast<std::int64_t>(digits));
            return true;
        }
        case ColumnKind::boolean:
            if (value.type != JsonType::literal) return false;
            column.set_boolean(row, *value.start == 't');
            return true;
        default:
            return false;
    }
}

// The names that the walker looks for: those of all tables, and the selector's.
std::vector<std::string> wanted_names(const std::vector<JsonTableColumns>& tables, const JsonSelector& selector) {
    std::vector<std::string> names;
    std::unordered_set<std::string> known;
    for (const JsonTableColumns& table : tables) {
        if (std::unordered_set<std::string>(table.paths.begin(), table.paths.end()).size() != table.paths.size())
            throw std::invalid_argument("a path is given twice");
        for (const std::string& path : table.paths)
            if (known.insert(path).second) names.push_back(path);
    }
    if (!selector.path.empty() && !known.count(selector.path)) names.push_back(selector.path);
    return names;
}

}  // namespace

JsonParser::JsonParser(const JsonDialect& dialect, const JsonSelector& selector,
                       const std::vector<JsonTableColumns>& tables, std::size_t expected)
    : dialect_(dialect),
      selector_(selector),
      expected_(expected),
      names_(wanted_names(tables, selector)),
      selector_column_(no_column),
      paths_(names_),
      walker_(paths_, names_.size()) {
    if (tables.size() != (selector.path.empty() ? 1 : selector.values.size()))
        throw std::invalid_argument("the selector has another number of values than there are tables");
    std::unordered_map<std::string_view, std::uint32_t> places;
    for (const std::string& name : names_) places.emplace(name, static_cast<std::uint32_t>(places.size()));
    if (!selector.path.empty()) selector_column_ = places.at(selector.path);
    std::int64_t first_column = 0;
    for (const JsonTableColumns& table : tables) {
        JsonTable& parsed = result_.tables.emplace_back();
        Targets& targets = targets_.emplace_back(Targets{{}, first_column});
        for (std::size_t i = 0; i < table.paths.size(); ++i) {
            parsed.columns.push_back(std::make_shared<ColumnBuffers>(table.kinds[i], expected));
            targets.columns.push_back({parsed.columns.back().get(), places.at(table.paths[i])});
        }
        first_column += static_cast<std::int64_t>(table.paths.size());
    }
}

ParsedJson JsonParser::parse(const std::uint8_t* text, std::size_t size) {
    text_ = text;
    size_ = size;
    if (!dialect_.array && size > json_padding) {
        plain_end_ = size - json_padding;
        while (plain_end_ && text[plain_end_ - 1] != '\n') --plain_end_;
    }
    for (std::size_t at = 0; at < size;) {
        if (const std::size_t next = at < plain_end_ ? plain_line(at) : not_found; next != not_found) {
            at = next;
            ++result_.records;
            ++line_;
            continue;
        }
        const JsonSpan span = walk_json_record(text, at, size, dialect_, true);
        if (dialect_.array) line_ += std::count(text + at, text + span.start, '\n');
        if (span.kind == RecordKind::blank) {
            result_.blank += !dialect_.array;
        } else {
            if (span.kind == RecordKind::overlong)
                reject(span, JsonReason::overlong);
            else
                take_record(span);
            ++result_.records;
        }
        line_ += dialect_.array ? std::count(text + span.start, text + span.next, '\n') : 1;
        at = span.next;
    }
    for (const JsonTable& table : result_.tables)
        for (const auto& column : table.columns) column->finish(table.rows);
    return std::move(result_);
}

// The common case: a line of plain JSON, whose end is found on the way. Returns where the next one begins, or not_found
// where the line needs more thought.
std::size_t JsonParser::plain_line(std::size_t start) {
    base_ = text_ + start;
    const std::uint8_t* const end = walker_.read_plain_line(base_, text_ + plain_end_);
    if (!end) return not_found;
    const JsonSpan span{start, static_cast<std::size_t>(end - text_),
                        static_cast<std::size_t>(end - text_) + (*end == '\r' ? 2 : 1), RecordKind::record};
    if (span.end - start > dialect_.max_record) return not_found;
    take_values(span);
    return span.next;
}

void JsonParser::take_record(const JsonSpan& span) {
    if (read(span)) take_values(span);
}

void JsonParser::take_values(const JsonSpan& span) {
    const std::size_t number = selected_table(span);
    if (number == not_found) return;
    JsonTable& table = result_.tables[number];
    const Targets& targets = targets_[number];
    row_ = table.rows;
    if (row_ >= expected_) throw std::logic_error("the text holds more records than were counted");
    const JsonValue* const values = walker_.values().data();
    for (const Target& target : targets.columns) {
        ColumnBuffers& column = *target.column;
        const JsonValue& value = values[target.value];
        if (value.type == JsonType::absent) {
            column.set_missing(row_);
            continue;
        }
        if (set_plain_cell(column, row_, value)) continue;
        const Cell cell = set_cell(column, value);
        if (cell == Cell::missing) {
            column.set_missing(row_);
        } else if (cell != Cell::value) {
            reject(span, cell == Cell::fraction ? JsonReason::fraction : reason_of(column.kind()),
                   targets.first_column + (&target - targets.columns.data()), value);
            for (const Target& written : targets.columns) written.column->reset_row(row_);
            return;
        }
    }
    table.selected.push_back(static_cast<std::int64_t>(result_.records));
    ++table.rows;
}

// Finds the values of a record. Most are plain JSON, read in one pass; simdjson says of the others what is wrong, or
// that nothing is.
bool JsonParser::read(const JsonSpan& span) {
    constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
    std::size_t start = span.start;
    if (span.end - start >= 3 && std::memcmp(text_ + start, byte_order_mark.data(), 3) == 0) start += 3;
    const std::size_t size = span.end - start;
    base_ = padded(text_ + start, size);
    if (walker_.read_plain(base_, base_ + size)) return true;
    simdjson::dom::element document;
    if (const auto error = checker_.parse(base_, size, false).get(document)) {
        const bool encoded = is_utf8({reinterpret_cast<const char*>(base_), size});
        reject(span, encoded ? reason_of(error) : JsonReason::no_utf8);
        return false;
    }
    if (!document.is_object()) {
        reject(span, JsonReason::no_object);
        return false;
    }
    if (walker_.read_valid(base_, base_ + size)) return true;
    reject(span, JsonReason::string);
    return false;
}

const std::uint8_t* JsonParser::padded(const std::uint8_t* start, std::size_t size) {
    if (copy_.size() < size + json_padding) copy_.resize(2 * size + json_padding);
    std::memcpy(copy_.data(), start, size);
    std::memset(copy_.data() + size, 0, json_padding);
    return copy_.data();
}

// The table that a record goes to; not_found where it is rejected or skipped.
std::size_t JsonParser::selected_table(const JsonSpan& span) {
    if (selector_column_ == no_column) return 0;
    const JsonValue& value = walker_.values()[selector_column_];
    if (value.type == JsonType::absent || value.type == JsonType::null) {
        reject(span, JsonReason::no_selector);
        return not_found;
    }
    std::string_view text = value.text();
    if (value.type != JsonType::text && !unescaped(value, text)) {
        reject(span, JsonReason::no_selector);
        return not_found;
    }
    for (std::size_t table = 0; table < selector_.values.size(); ++table)
        if (text == selector_.values[table]) return table;
    std::string name(text.substr(0, longest_skipped_value));
    if (text.size() > name.size() && !is_utf8(name)) {  // cut within a character
        while (!name.empty() && (static_cast<unsigned char>(name.back()) & 0xC0) == 0x80) name.pop_back();
        if (!name.empty()) name.pop_back();
    }
    const bool known = result_.skipped.count(name) || result_.skipped.size() < most_skipped_values;
    ++result_.skipped[known ? name : further_skipped_values];
    return not_found;
}

// A string without its escapes, anything else as it stands in the text.
bool JsonParser::unescaped(const JsonValue& value, std::string_view& text) {
    text = value.text();
    if (value.type != JsonType::escaped_text) return true;
    if (!unescape_json(text, unescaped_)) return false;
    text = unescaped_;
    return true;
}

Cell JsonParser::set_text(ColumnBuffers& column, const JsonValue& value) {
    const std::size_t row = row_;
    std::string_view text;
    if (!unescaped(value, text)) return Cell::bad;
    if (value.type == JsonType::container) {
        minified_.resize(std::max(minified_.size(), text.size() + json_padding));
        std::size_t size = 0;
        if (simdjson::minify(text.data(), text.size(), minified_.data(), size)) return Cell::bad;
        text = {minified_.data(), size};
    }
    column.set_text(row, reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
    return Cell::value;
}

// Cell::bad in a text column: an escape that stands for no character.
Cell JsonParser::set_cell(ColumnBuffers& column, const JsonValue& value) {
    if (value.type == JsonType::absent || value.type == JsonType::null) return Cell::missing;
    if (column.kind() == ColumnKind::text) return set_text(column, value);
    if (value.type == JsonType::container) return Cell::bad;
    const std::size_t row = row_;
    // Strings are read like cells of delimited text: some programs put quotes around their numbers
    std::string_view text;
    if (!unescaped(value, text)) return Cell::bad;
    Cell cell = Cell::value;
    switch (column.kind()) {
        case ColumnKind::integer: {
            std::int64_t number = 0;
            cell = parse_integer(text, number);
            column.set_integer(row, number);
            return cell;
        }
        case ColumnKind::number: {
            double number = 0;
            cell = parse_number(text, number);
            column.set_number(row, number);
            return cell;
        }
        case ColumnKind::boolean: {
            bool truth = false;
            cell = parse_boolean(text, truth);
            column.set_boolean(row, truth);
            return cell;
        }
        default: {
            std::int64_t time = 0;
            double seconds = 0;
            if (value.type == JsonType::number) {
                cell = parse_number(text, seconds);
                if (cell == Cell::value && !epoch_time(seconds, time)) cell = Cell::bad;
            } else if (is_missing_token(text)) {
                cell = Cell::missing;
            } else if (!parse_iso_time(text, time)) {
                cell = Cell::bad;
            }
            column.set_integer(row, time);
            return cell;
        }
    }
}

void JsonParser::reject(const JsonSpan& span, JsonReason reason, std::int64_t column, const JsonValue& cell) {
    const auto number = [](std::size_t value) { return static_cast<std::int64_t>(value); };
    std::int64_t start = 0, end = 0;
    if (cell.start) {
        // a copy begins behind the byte order mark, as base_ does
        const bool marked = text_[span.start] == 0xEF;
        start = number(span.start) + 3 * marked + (cell.start - base_);
        end = start + static_cast<std::int64_t>(cell.size);
    }
    result_.rejected.push_back({number(result_.records), line_, number(span.start), number(span.end),
                                static_cast<std::int64_t>(reason), column, start, end});
}

}  // namespace netsieve
