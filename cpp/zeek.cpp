#include "zeek.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cells.hpp"
#include "column_buffers.hpp"
#include "plain_cells.hpp"
#include "simd.hpp"
#include "zeek_cells.hpp"
#include "zeek_lines.hpp"

namespace nb = nanobind;

namespace netsieve {

namespace {

// How a field is read. The numbers are part of the Python interface (netsieve.engine.sources.zeek_tsv).
enum class FieldKind : std::uint8_t {
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
enum class Reason : std::int64_t {
    field_count = 1,
    overlong = 3,
    no_integer = 4,
    no_number = 5,
    no_boolean = 6,
    no_utf8 = 7,
    fraction = 8,
    no_time = 9,
};

constexpr char list_separator = ',';  // in the columns, whatever the file has
constexpr std::string_view unset_element = "-";
constexpr std::string_view wide_separator = "   ";

// record (counted in the text), line (newlines before it), start, end, reason, field (or the number of fields), start
// and end of the cell
constexpr std::size_t rejected_width = 8;
using Rejected = std::array<std::int64_t, rejected_width>;

struct Layout {
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
    std::vector<Rejected> rejected;
};

ColumnKind column_kind(FieldKind kind) {
    switch (kind) {
        case FieldKind::integer:
            return ColumnKind::integer;
        case FieldKind::time:
            return ColumnKind::time;
        case FieldKind::number:
            return ColumnKind::number;
        case FieldKind::boolean:
            return ColumnKind::boolean;
        default:
            return ColumnKind::text;
    }
}

class Parser {
  public:
    Parser(const std::uint8_t* text, std::size_t size, Layout layout, const std::vector<int>& kinds,
           std::size_t expected)
        : text_(text), size_(size), layout_(std::move(layout)), expected_(expected) {
        for (const int kind : kinds) {
            if (kind < 0 || kind > static_cast<int>(FieldKind::number_list))
                throw std::invalid_argument("no such field kind");
            kinds_.push_back(static_cast<FieldKind>(kind));
            columns_.push_back(kinds_.back() == FieldKind::skipped
                                   ? nullptr
                                   : std::make_shared<ColumnBuffers>(column_kind(kinds_.back()), expected));
        }
        if (!layout_.unset.empty()) first_of_unset_ = static_cast<std::uint8_t>(layout_.unset[0]);
        if (!layout_.empty.empty()) first_of_empty_ = static_cast<std::uint8_t>(layout_.empty[0]);
        first_spaced_ = kinds_.size() - std::min(layout_.spaced, kinds_.size());
    }

    ZeekRecords parse() {
        std::size_t at = 0;
        while (at < size_) {
            const std::size_t next = plain_record(at);
            if (next != not_found) {
                ++row_;
                ++result_.records;
                ++line_;
                at = next;
            } else {
                at = any_line(at);
            }
        }
        result_.rows = row_;
        for (const auto& column : columns_)
            if (column) {
                column->finish(row_);
                result_.columns.push_back(column);
            }
        return std::move(result_);
    }

  private:
    void check_capacity() const {
        if (row_ >= expected_) throw std::logic_error("the text holds more records than were counted");
    }

    std::string_view cell(std::size_t start, std::size_t end) const {
        return {reinterpret_cast<const char*>(text_) + start, end - start};
    }

    static bool is(std::string_view text, const std::string& marker) {
        return text.size() == marker.size() && std::memcmp(text.data(), marker.data(), text.size()) == 0;
    }

    // Whether a cell may be one of the two: their first byte is all that most cells are compared with.
    bool begins_unset(std::size_t at) const { return text_[at] == first_of_unset_ || layout_.unset.empty(); }
    bool begins_empty(std::size_t at) const { return text_[at] == first_of_empty_ || layout_.empty.empty(); }

    // The common case in one pass: the right number of fields, every cell sound. Returns where the next record begins,
    // or not_found for any doubt, as near the end of the text; any_line then writes the row again.
    std::size_t plain_record(const std::size_t start) {
        const std::uint8_t first = text_[start];
        if (first == '#' || first == '\n' || first == '\r' || first == 0xEF) return not_found;
        check_capacity();
        std::size_t at = start;
        const std::size_t last = kinds_.size() - 1;
        for (std::size_t field = 0;; ++field) {
            if (size_ - at < plain_reach) return abandon();
            const std::size_t end = field < first_spaced_ ? plain_field(field, at) : spaced_field(field, at);
            if (end == not_found) return abandon();
            if (field == last) {
                if (text_[end] != '\n' || end - start > layout_.max_record) return abandon();
                return end + 1;
            }
            if (text_[end] == layout_.separator)
                at = end + 1;
            else if (text_[end] == ' ' && field >= first_spaced_)
                at = end + wide_separator.size();
            else
                return abandon();
        }
    }

    std::size_t abandon() {
        for (const auto& column : columns_)
            if (column) column->reset_row(row_);
        return not_found;
    }

    // Writes a cell and returns where its field ends, or not_found where that needs more thought.
    std::size_t plain_field(std::size_t field, const std::size_t at) {
        const FieldKind kind = kinds_[field];
        if (kind == FieldKind::skipped) {
            const std::size_t end = find_field_end(text_, at, size_, layout_.separator);
            return end == size_ ? not_found : end;
        }
        ColumnBuffers& column = *columns_[field];
        if (kind == FieldKind::time) {
            const std::size_t end = plain_time(column, at);
            if (end != not_found) return end;
        }
        const PlainCell cell = plain_cell(text_, at, layout_.separator);
        if (cell.end == not_found) return long_field(field, at);
        if (begins_unset(at) && is(this->cell(at, at + cell.length), layout_.unset)) {
            column.set_missing(row_);
            return cell.end;
        }
        switch (kind) {
            case FieldKind::integer: {
                std::uint64_t value = 0;
                if (!parse_digits(text_ + at, cell.length, value)) break;
                column.set_integer(row_, static_cast<std::int64_t>(value));
                return cell.end;
            }
            case FieldKind::number: {
                const std::size_t end = plain_number(column, row_, text_, at, layout_.separator);
                if (end == not_found) break;
                return end;
            }
            case FieldKind::boolean:
                if (cell.length != 1 || (text_[at] != 'T' && text_[at] != 'F')) break;
                column.set_boolean(row_, text_[at] == 'T');
                return cell.end;
            case FieldKind::text: {
                const std::uint32_t odd = cell.block.beyond_ascii() | cell.block.either('\\', '\\');
                if (odd & ((1U << cell.length) - 1)) break;
                if (begins_empty(at) && is(this->cell(at, at + cell.length), layout_.empty)) break;
                column.set_short_text(row_, cell.block, cell.length);
                return cell.end;
            }
            default:
                break;
        }
        return accepted(set_cell(field, this->cell(at, at + cell.length))) ? cell.end : not_found;
    }

    // "1545403816.962094": the form and length of all times from 2001 to 2286.
    std::size_t plain_time(ColumnBuffers& column, std::size_t at) const {
        constexpr unsigned whole = 10, fraction = 6, length = whole + 1 + fraction;
        if (text_[at + whole] != '.' || text_[at + length] != layout_.separator) return not_found;
        std::uint64_t seconds = 0;
        std::uint64_t microseconds = 0;
        if (!parse_digits(text_ + at, whole, seconds) || !parse_digits(text_ + at + whole + 1, fraction, microseconds))
            return not_found;
        column.set_integer(row_, static_cast<std::int64_t>(seconds * 1'000'000 + microseconds));
        return at + length;
    }

    // A cell of 16 bytes and more.
    std::size_t long_field(std::size_t field, const std::size_t start) {
        std::size_t at = start;
        std::uint32_t odd = 0;
        std::uint32_t ends = 0;
        for (; at + 16 <= size_; at += 16) {
            const Block16 block(text_ + at);
            odd = block.beyond_ascii() | block.either('\\', '\\') | (odd ? 1U : 0U);
            ends = block.either(layout_.separator, '\n');
            if (ends) break;
        }
        if (!ends) return not_found;
        const std::size_t end = at + static_cast<std::size_t>(std::countr_zero(ends));
        const std::size_t stop = end - (text_[end] == '\n' && text_[end - 1] == '\r');
        const std::string_view text = cell(start, stop);
        const bool marked =
            (begins_unset(start) && is(text, layout_.unset)) || (begins_empty(start) && is(text, layout_.empty));
        // an odd byte of the field behind costs no more than the longer way
        if (kinds_[field] == FieldKind::text && !odd && !marked) {
            columns_[field]->set_text(row_, text_ + start, text.size());
            return end;
        }
        return accepted(set_cell(field, text)) ? end : not_found;
    }

    // A field that three spaces, a separator or the line end ends.
    std::size_t spaced_field(std::size_t field, std::size_t start) {
        const std::size_t end = spaced_end(start, size_);
        if (end == size_) return not_found;
        const std::size_t stop = end - (text_[end] == '\n' && end > start && text_[end - 1] == '\r');
        if (kinds_[field] == FieldKind::skipped) return end;
        return accepted(set_cell(field, cell(start, stop))) ? end : not_found;
    }

    std::size_t spaced_end(std::size_t at, std::size_t size) const {
        for (; at < size && text_[at] != layout_.separator && text_[at] != '\n'; ++at)
            if (text_[at] == ' ' && cell(at, size).starts_with(wide_separator)) break;
        return at;
    }

    static bool accepted(Cell kind) { return kind == Cell::value || kind == Cell::missing; }

    // Cell::bad in a text column: not UTF-8.
    Cell set_cell(std::size_t field, std::string_view text) {
        ColumnBuffers& column = *columns_[field];
        Cell kind = Cell::value;
        if (is(text, layout_.unset)) {
            column.set_missing(row_);
            return Cell::missing;
        }
        switch (kinds_[field]) {
            case FieldKind::integer: {
                std::int64_t value = 0;
                kind = parse_integer(text, value);
                column.set_integer(row_, value);
                break;
            }
            case FieldKind::number: {
                double value = 0;
                kind = parse_number(text, value);
                column.set_number(row_, value);
                break;
            }
            case FieldKind::boolean: {
                bool value = false;
                kind = parse_boolean(text, value);
                column.set_boolean(row_, value);
                break;
            }
            case FieldKind::time: {
                std::int64_t value = 0;
                kind = parse_epoch_time(text, value);
                column.set_integer(row_, value);
                break;
            }
            default:
                value_.clear();
                kind = kinds_[field] == FieldKind::text ? append_text(text)
                                                        : append_list(text, kinds_[field] == FieldKind::number_list);
                if (kind == Cell::value)
                    column.set_text(row_, reinterpret_cast<const std::uint8_t*>(value_.data()), value_.size());
        }
        if (kind == Cell::missing) column.set_missing(row_);
        return kind;
    }

    Cell append_text(std::string_view text) {
        if (is(text, layout_.empty)) return Cell::value;
        if (text.find('\\') == std::string_view::npos) {
            value_ += text;
            return is_utf8(text) ? Cell::value : Cell::bad;
        }
        return escaped_.append_unescaped(text, value_) ? Cell::value : Cell::bad;
    }

    Cell append_list(std::string_view text, bool numbers) {
        if (is(text, layout_.empty)) return Cell::value;
        for (std::size_t at = 0;;) {
            const std::size_t end = std::min(text.find(layout_.set_separator, at), text.size());
            const std::string_view element = text.substr(at, end - at);
            double number = 0;
            if (is(element, layout_.unset)) {
                value_ += unset_element;
            } else if (!numbers) {
                if (append_text(element) == Cell::bad) return Cell::bad;
            } else if (parse_number(element, number) == Cell::value) {
                append_number(number, value_);
            } else {
                return Cell::bad;
            }
            if (end == text.size()) return Cell::value;
            value_ += list_separator;
            at = end + 1;
        }
    }

    // Every case. Returns where the next line begins.
    std::size_t any_line(std::size_t start) {
        const Line line = line_at(text_, start, size_, layout_.max_record);
        if (line.kind == LineKind::record) {
            check_capacity();
            take_record(start, line);
            ++result_.records;
        } else if (line.kind == LineKind::overlong) {
            reject(start, line.end, Reason::overlong);
            ++result_.records;
        }
        ++line_;
        return line.next;
    }

    struct Field {
        std::size_t start, end;
    };

    void reject(std::size_t start, std::size_t end, Reason reason, std::size_t field = 0, Field cell = {0, 0}) {
        const auto number = [](std::size_t value) { return static_cast<std::int64_t>(value); };
        result_.rejected.push_back({number(result_.records), line_, number(start), number(end),
                                    static_cast<std::int64_t>(reason), number(field), number(cell.start),
                                    number(cell.end)});
    }

    void take_record(std::size_t start, const Line& line) {
        split_fields(line);
        if (fields_.size() != kinds_.size()) {
            reject(start, line.end, Reason::field_count, fields_.size());
            return;
        }
        for (std::size_t i = 0; i < fields_.size(); ++i) {
            if (!columns_[i]) continue;
            const Cell kind = set_cell(i, cell(fields_[i].start, fields_[i].end));
            if (!accepted(kind)) {
                reject(start, line.end, kind == Cell::fraction ? Reason::fraction : reason_of(kinds_[i]), i,
                       fields_[i]);
                abandon();
                return;
            }
        }
        ++row_;
    }

    void split_fields(const Line& line) {
        fields_.clear();
        for (std::size_t at = line.start;;) {
            const std::size_t end = fields_.size() < first_spaced_
                                        ? find_field_end(text_, at, line.end, layout_.separator)
                                        : spaced_end(at, line.end);
            fields_.push_back({at, end});
            if (end >= line.end) return;
            at = end + (text_[end] == layout_.separator ? 1 : wide_separator.size());
        }
    }

    static Reason reason_of(FieldKind kind) {
        switch (kind) {
            case FieldKind::integer:
                return Reason::no_integer;
            case FieldKind::number:
            case FieldKind::number_list:
                return Reason::no_number;
            case FieldKind::boolean:
                return Reason::no_boolean;
            case FieldKind::time:
                return Reason::no_time;
            default:
                return Reason::no_utf8;
        }
    }

    const std::uint8_t* text_;
    std::size_t size_;
    Layout layout_;
    std::size_t expected_;
    std::size_t first_spaced_ = 0;
    std::uint8_t first_of_unset_ = 0;
    std::uint8_t first_of_empty_ = 0;
    std::vector<FieldKind> kinds_;
    std::vector<std::shared_ptr<ColumnBuffers>> columns_;
    std::vector<Field> fields_;
    std::string value_;  // of a text cell that is not written as it stands
    EscapedText escaped_;
    ZeekRecords result_;
    std::size_t row_ = 0;
    std::int64_t line_ = 0;
};

std::string text_of(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }

}  // namespace

void register_zeek(nb::module_& module) {
    using Text = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
    nb::class_<ZeekScan>(module, "ZeekScan", "What scan_zeek found.")
        .def_ro("records", &ZeekScan::records, "Records, without blank and header lines.")
        .def_ro("blank", &ZeekScan::blank, "Blank lines.")
        .def_ro("headers", &ZeekScan::headers, "Header lines.")
        .def_ro("lines", &ZeekScan::lines, "Newlines before end.")
        .def_ro("end", &ZeekScan::end, "Offset behind the last line that was taken.")
        .def_ro("overlong_open", &ZeekScan::overlong_open,
                "Whether the line at end is longer than max_record and has no end yet.")
        .def_ro("changed", &ZeekScan::changed, "Whether the line at end is a header line that says something new.");
    module.def(
        "scan_zeek",
        [](Text text, const std::vector<nb::bytes>& known, std::size_t max_record, bool final) {
            std::vector<std::string> lines;
            for (const nb::bytes& line : known) lines.push_back(text_of(line));
            nb::gil_scoped_release unlocked;
            return scan_zeek_lines(text.data(), text.size(), lines, max_record, final);
        },
        nb::arg("text"), nb::arg("known"), nb::arg("max_record"), nb::arg("final"),
        "Count the lines of a Zeek log up to where the last whole one ends, or one says how to read on.\n\n"
        "Parameters\n----------\n"
        "text\n    uint8 [n], beginning at a line.\n"
        "known\n    Header lines without line end that are in force. Another one of their sort ends the scan.\n"
        "max_record\n    Longest line in bytes; a longer one is a record that parse_zeek rejects.\n"
        "final\n    Whether the text ends here: a line without line end is then complete.");
    nb::class_<ZeekRecords>(module, "ZeekRecords", "What parse_zeek read.")
        .def_ro("records", &ZeekRecords::records, "Records, the rejected ones among them.")
        .def_ro("rows", &ZeekRecords::rows, "Records that were not rejected: the height of the columns.")
        .def_ro("columns", &ZeekRecords::columns, "The fields that were not skipped, in the order of the line.")
        .def_prop_ro(
            "rejected",
            [](ZeekRecords& parsed) {
                return nb::ndarray<nb::numpy, const std::int64_t, nb::ndim<2>>(
                    parsed.rejected.data(), {parsed.rejected.size(), rejected_width});
            },
            nb::rv_policy::reference_internal,
            "int64 [rejected, 8]: record (counted in the text), newlines before it, its start and end, reason, field\n"
            "or number of fields, start and end of the cell.");
    module.def(
        "parse_zeek",
        [](Text text, std::uint8_t separator, std::size_t spaced, std::uint8_t set_separator, nb::bytes empty,
           nb::bytes unset, std::size_t max_record, const std::vector<int>& kinds, std::size_t records) {
            if (kinds.empty()) throw std::invalid_argument("kinds names no field");
            Layout layout{separator,      spaced,         static_cast<char>(set_separator),
                          text_of(empty), text_of(unset), max_record};
            nb::gil_scoped_release unlocked;
            return Parser(text.data(), text.size(), std::move(layout), kinds, records).parse();
        },
        nb::arg("text"), nb::arg("separator"), nb::arg("spaced"), nb::arg("set_separator"), nb::arg("empty"),
        nb::arg("unset"), nb::arg("max_record"), nb::arg("kinds"), nb::arg("records"),
        "Parse the whole lines of a Zeek log that scan_zeek found; header and blank lines are passed over.\n\n"
        "Parameters\n----------\n"
        "text\n    uint8 [n], whole lines.\n"
        "separator, set_separator\n    Bytes between fields and between the elements of a set or vector.\n"
        "spaced\n    The last so many fields have three spaces (or a separator) between them; 0: none.\n"
        "empty, unset\n    Texts that stand for an empty text or list and for a missing value.\n"
        "max_record\n    As for scan_zeek.\n"
        "kinds\n    For each field: 0 skipped, 1 integer (int64), 2 number (float64), 3 boolean, 4 text, 5 time "
        "(int64\n"
        "    microseconds since 1970), 6 set or vector (text with commas), 7 the same of numbers.\n"
        "records\n    Records in the text, as counted by scan_zeek.\n\n"
        "Notes\n-----\n"
        "A record is rejected when its number of fields is not that of kinds, when it is too long, or when a cell of\n"
        "a wanted field is neither missing nor of the field's kind.");
}

}  // namespace netsieve
