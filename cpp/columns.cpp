#include "columns.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "arrow_capsules.hpp"
#include "cells.hpp"
#include "column_buffers.hpp"
#include "plain_cells.hpp"
#include "records.hpp"

namespace nb = nanobind;

namespace netsieve {

namespace {

// Why a record was rejected. The numbers are part of the Python interface (netsieve.engine.sources.csv).
enum class Reason : std::int64_t {
    field_count = 1,
    misquoted = 2,
    overlong = 3,
    no_integer = 4,
    no_number = 5,
    no_boolean = 6,
    no_utf8 = 7,
    fraction = 8,  // a number in an integer column, but no 64-bit integer
};

// record (counted in the block), line (newlines before it), start, end, reason, column (or the number of fields),
// start and end of the cell
constexpr std::size_t rejected_width = 8;
using Rejected = std::array<std::int64_t, rejected_width>;

struct ParsedRecords {
    std::size_t records = 0;
    std::size_t rows = 0;
    std::size_t blank = 0;
    std::size_t headers = 0;
    std::vector<std::shared_ptr<ColumnBuffers>> columns;
    std::vector<Rejected> rejected;
};

struct Field {
    std::size_t start, end;
    bool doubled;  // quoted, with doubled quotes inside
};

class Parser {
  public:
    Parser(const std::uint8_t* text, std::size_t size, const Dialect& dialect, const std::vector<int>& kinds,
           std::size_t expected)
        : text_(text), size_(size), dialect_(dialect), expected_(expected) {
        for (const int kind : kinds) {
            if (kind < 0 || kind > static_cast<int>(ColumnKind::text))
                throw std::invalid_argument("no such column kind");
            kinds_.push_back(static_cast<ColumnKind>(kind));
            columns_.push_back(kinds_.back() == ColumnKind::skipped
                                   ? nullptr
                                   : std::make_shared<ColumnBuffers>(kinds_.back(), expected));
            plain_columns_.push_back(columns_.back().get());
        }
    }

    ParsedRecords parse() {
        std::size_t at = 0;
        while (at < size_) {
            const std::size_t next = plain_record(at);
            if (next != not_found) {
                ++row_;
                ++result_.records;
                ++line_;
                at = next;
            } else {
                at = any_record(at);
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

    // For each column the narrowest kind that all its cells are of; text where it has no value, or kinds say so.
    std::vector<int> infer() {
        constexpr unsigned integer = 1, number = 2, boolean = 4, any = integer | number | boolean;
        std::vector<unsigned> fitting(kinds_.size(), any);
        std::vector<bool> seen(kinds_.size(), false);
        for (std::size_t at = 0; at < size_;) {
            const RecordSpan record = walk_record(text_, at, size_, dialect_, true);
            if (record.kind == RecordKind::record) split_fields(at, record.end);
            if (record.kind == RecordKind::record && fields_.size() == kinds_.size()) {
                for (std::size_t i = 0; i < fields_.size(); ++i) {
                    if (!fitting[i]) continue;
                    const std::string_view text = cell(fields_[i].start, fields_[i].end);
                    std::int64_t whole = 0;
                    double value = 0;
                    bool truth = false;
                    const Cell kind = parse_number(text, value);
                    if (kind == Cell::missing) continue;
                    seen[i] = true;
                    if (kind != Cell::value) fitting[i] &= ~(integer | number);
                    if ((fitting[i] & integer) && parse_integer(text, whole) != Cell::value) fitting[i] &= ~integer;
                    // 0 and 1 are numbers, single letters are codes
                    if (kind == Cell::value || text.size() == 1 || parse_boolean(text, truth) != Cell::value)
                        fitting[i] &= ~boolean;
                }
            }
            at = record.next;
        }
        std::vector<int> kinds;
        for (std::size_t i = 0; i < kinds_.size(); ++i)
            kinds.push_back(static_cast<int>(!seen[i]               ? ColumnKind::text
                                             : fitting[i] & integer ? ColumnKind::integer
                                             : fitting[i] & number  ? ColumnKind::number
                                             : fitting[i] & boolean ? ColumnKind::boolean
                                                                    : ColumnKind::text));
        return kinds;
    }

  private:
    bool begins_like_header(std::size_t start) const {
        const std::string_view header = dialect_.header;
        return !header.empty() && text_[start] == static_cast<std::uint8_t>(header[0]) &&
               size_ - start >= header.size() && std::memcmp(text_ + start, header.data(), header.size()) == 0;
    }

    void check_capacity() const {
        if (row_ >= expected_) throw std::logic_error("the text holds more records than were counted");
    }

    std::string_view cell(std::size_t start, std::size_t end) const {
        return {reinterpret_cast<const char*>(text_) + start, end - start};
    }

    // The common case in one pass: no quotes, the right number of fields, every cell sound. Returns where the next
    // record begins, or not_found for any doubt, as near the end of the text; any_record then writes the row again.
    std::size_t plain_record(const std::size_t start) {
        const std::uint8_t* const text = text_;
        const std::uint8_t delimiter = dialect_.delimiter;
        const std::size_t row = row_;
        const std::uint8_t first = text[start];
        if (first == '\n' || first == '\r' || first == 0xEF || begins_like_header(start)) return not_found;
        check_capacity();
        std::size_t at = start;
        const std::size_t last = kinds_.size() - 1;
        for (std::size_t field = 0;; ++field) {
            ColumnBuffers* const column = plain_columns_[field];
            std::size_t end = not_found;
            if (size_ - at < plain_reach || text[at] == quote_byte) return abandon();
            if (!column) {
                end = find_field_end(text, at, size_, delimiter);
            } else if (column->kind() == ColumnKind::text) {
                end = plain_text(*column, row, text, at, delimiter);
            } else if (column->kind() == ColumnKind::integer) {
                end = plain_integer(*column, row, text, at, delimiter);
            } else if (column->kind() == ColumnKind::number) {
                end = plain_number(*column, row, text, at, delimiter);
            }
            if (end == not_found) {  // longer, stranger, or wrong
                end = find_field_end(text, at, size_, delimiter);
                const bool line_end = end < size_ && text[end] == '\n' && end > at && text[end - 1] == '\r';
                const Cell kind = set_cell(*column, cell(at, end - line_end));
                if (kind == Cell::bad || kind == Cell::fraction) return abandon();
            }
            if (end == size_) return abandon();
            if (field == last) {
                if (text[end] != '\n' || end - start > dialect_.max_record) return abandon();
                return end + 1;
            }
            if (text[end] != delimiter) return abandon();
            at = end + 1;
        }
    }

    std::size_t abandon() {
        for (const auto& column : columns_)
            if (column) column->reset_row(row_);
        return not_found;
    }

    // Cell::bad in a text column: not UTF-8.
    Cell set_cell(ColumnBuffers& column, std::string_view text) const {
        Cell kind = Cell::value;
        switch (column.kind()) {
            case ColumnKind::integer: {
                std::int64_t value = 0;
                kind = parse_integer(text, value);
                column.set_integer(row_, value);
                break;
            }
            case ColumnKind::number: {
                double value = 0;
                kind = parse_number(text, value);
                column.set_number(row_, value);
                break;
            }
            case ColumnKind::boolean: {
                bool value = false;
                kind = parse_boolean(text, value);
                column.set_boolean(row_, value);
                break;
            }
            default:
                kind = text.empty() ? Cell::missing : is_utf8(text) ? Cell::value : Cell::bad;
                if (kind == Cell::value)
                    column.set_text(row_, reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
        }
        if (kind == Cell::missing) column.set_missing(row_);
        return kind;
    }

    // Every case, quotes among them. Returns where the next record begins.
    std::size_t any_record(std::size_t start) {
        const RecordSpan record = walk_record(text_, start, size_, dialect_, true);
        switch (record.kind) {
            case RecordKind::blank:
                ++result_.blank;
                break;
            case RecordKind::header:
                ++result_.headers;
                break;
            case RecordKind::record:
                take_record(start, record.end);
                ++result_.records;
                break;
            case RecordKind::misquoted:
                reject(start, record.end, Reason::misquoted);
                ++result_.records;
                break;
            default:
                reject(start, record.end, Reason::overlong);
                ++result_.records;
        }
        line_ += std::count(text_ + start, text_ + record.next, '\n');
        return record.next;
    }

    void reject(std::size_t start, std::size_t end, Reason reason, std::size_t column = 0,
                Field field = {0, 0, false}) {
        const auto number = [](std::size_t value) { return static_cast<std::int64_t>(value); };
        result_.rejected.push_back({number(result_.records), line_, number(start), number(end),
                                    static_cast<std::int64_t>(reason), number(column), number(field.start),
                                    number(field.end)});
    }

    void take_record(std::size_t start, std::size_t end) {
        check_capacity();
        split_fields(start, end);
        if (fields_.size() != kinds_.size()) {
            reject(start, end, Reason::field_count, fields_.size());
            return;
        }
        for (std::size_t i = 0; i < fields_.size(); ++i) {
            if (!columns_[i]) continue;
            const Field& field = fields_[i];
            std::string_view text = cell(field.start, field.end);
            if (field.doubled) {
                unquoted_.clear();
                for (std::size_t at = 0; at < text.size(); ++at) {
                    unquoted_.push_back(text[at]);
                    at += text[at] == '"';
                }
                text = {unquoted_.data(), unquoted_.size()};
            }
            const Cell kind = set_cell(*columns_[i], text);
            if (kind == Cell::bad || kind == Cell::fraction) {
                reject(start, end, kind == Cell::fraction ? Reason::fraction : reason_of(kinds_[i]), i, field);
                abandon();
                return;
            }
        }
        ++row_;
    }

    static Reason reason_of(ColumnKind kind) {
        switch (kind) {
            case ColumnKind::integer:
                return Reason::no_integer;
            case ColumnKind::number:
                return Reason::no_number;
            case ColumnKind::boolean:
                return Reason::no_boolean;
            default:
                return Reason::no_utf8;
        }
    }

    // The fields of a record that walk_record found sound.
    void split_fields(std::size_t start, std::size_t end) {
        fields_.clear();
        for (std::size_t at = start;; ++at) {
            Field field{at, end, false};
            if (at < end && text_[at] == quote_byte) {
                field.start = ++at;
                for (; at < end && (text_[at] != quote_byte || (at + 1 < end && text_[at + 1] == quote_byte)); ++at)
                    if (text_[at] == quote_byte) {
                        field.doubled = true;
                        ++at;
                    }
                field.end = at++;
            } else {
                at = find_field_end(text_, at, end, dialect_.delimiter);
                field.end = at;
            }
            fields_.push_back(field);
            if (at >= end) return;
        }
    }

    const std::uint8_t* text_;
    std::size_t size_;
    Dialect dialect_;
    std::size_t expected_;
    std::vector<ColumnKind> kinds_;
    std::vector<std::shared_ptr<ColumnBuffers>> columns_;
    std::vector<ColumnBuffers*> plain_columns_;  // the same, null where skipped
    std::vector<Field> fields_;
    std::vector<char> unquoted_;
    ParsedRecords result_;
    std::size_t row_ = 0;
    std::int64_t line_ = 0;
};

}  // namespace

void register_columns(nb::module_& module) {
    nb::class_<ColumnBuffers>(module, "Column",
                              "A column of parsed cells, taken over by Arrow libraries without copying.")
        .def(
            "__arrow_c_array__",
            [](const std::shared_ptr<ColumnBuffers>& column, nb::handle) {
                return arrow_capsules(new_arrow_schema(*column), new_arrow_array(column));
            },
            nb::arg("requested_schema") = nb::none(),
            nb::sig("def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]"));
    nb::class_<ParsedRecords>(module, "ParsedRecords", "What parse_records read.")
        .def_ro("records", &ParsedRecords::records, "Records, the rejected ones among them.")
        .def_ro("rows", &ParsedRecords::rows, "Records that were not rejected: the height of the columns.")
        .def_ro("blank", &ParsedRecords::blank, "Blank lines.")
        .def_ro("headers", &ParsedRecords::headers, "Repeated header lines.")
        .def_ro("columns", &ParsedRecords::columns, "The columns that were not skipped, in file order.")
        .def_prop_ro(
            "rejected",
            [](ParsedRecords& parsed) {
                return nb::ndarray<nb::numpy, const std::int64_t, nb::ndim<2>>(
                    parsed.rejected.data(), {parsed.rejected.size(), rejected_width});
            },
            nb::rv_policy::reference_internal,
            "int64 [rejected, 8]: record (counted in the text), newlines before it, its start and end, reason, column "
            "or "
            "number of fields, start and end of the cell.");
    module.def(
        "infer_kinds",
        [](nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu> text, std::uint8_t delimiter,
           nb::bytes header, std::size_t max_record, std::size_t columns) {
            const Dialect dialect{delimiter, {header.c_str(), header.size()}, max_record};
            nb::gil_scoped_release unlocked;
            return Parser(text.data(), text.size(), dialect, std::vector<int>(columns, 0), 0).infer();
        },
        nb::arg("text"), nb::arg("delimiter"), nb::arg("header"), nb::arg("max_record"), nb::arg("columns"),
        "Return for each column the narrowest kind that fits all its cells: 1 integer, 2 number, 3 boolean, 4 text.\n\n"
        "Parameters as for parse_records. A column without a value is text; records with a wrong number of fields do\n"
        "not count.");
    module.def(
        "parse_records",
        [](nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu> text, std::uint8_t delimiter,
           nb::bytes header, std::size_t max_record, const std::vector<int>& kinds, std::size_t records) {
            if (kinds.empty()) throw std::invalid_argument("kinds names no column");
            const Dialect dialect{delimiter, {header.c_str(), header.size()}, max_record};
            nb::gil_scoped_release unlocked;
            return Parser(text.data(), text.size(), dialect, kinds, records).parse();
        },
        nb::arg("text"), nb::arg("delimiter"), nb::arg("header"), nb::arg("max_record"), nb::arg("kinds"),
        nb::arg("records"),
        "Parse delimited text that ends with a record into columns; finds the records that scan_records counts.\n\n"
        "Parameters\n----------\n"
        "text\n    uint8 [n], whole records.\n"
        "delimiter, header, max_record\n    As for scan_records.\n"
        "kinds\n    For each column of the file: 0 skipped, 1 integer (int64), 2 number (float64), 3 boolean, 4 text.\n"
        "records\n    Records in the text, as counted by scan_records.\n\n"
        "Notes\n-----\n"
        "A record is rejected when its number of fields is not that of kinds, when its quotes are wrong or it is too\n"
        "long, or when a cell of a wanted column is neither missing nor of the column's kind.");
}

}  // namespace netsieve
