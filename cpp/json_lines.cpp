#include "json_lines.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <utility>

#include "json_discovery.hpp"
#include "json_parser.hpp"

namespace nb = nanobind;

namespace netsieve {

namespace {

using Text = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

std::vector<ColumnKind> column_kinds(const std::vector<int>& kinds, std::size_t paths) {
    if (kinds.size() != paths) throw std::invalid_argument("paths and kinds have different lengths");
    std::vector<ColumnKind> checked;
    for (const int kind : kinds) {
        if (kind <= static_cast<int>(ColumnKind::skipped) || kind > static_cast<int>(ColumnKind::time))
            throw std::invalid_argument("no such column kind");
        checked.push_back(static_cast<ColumnKind>(kind));
    }
    return checked;
}

// Path and wanted values.
using Selector = std::pair<std::string, std::vector<std::string>>;
// Paths and kinds of the columns.
using TableColumns = std::pair<std::vector<std::string>, std::vector<int>>;

}  // namespace

void register_json_lines(nb::module_& module) {
    nb::class_<JsonTable>(module, "JsonTable", "Records of one kind that parse_json_lines took.")
        .def_ro("rows", &JsonTable::rows, "How many: the height of the columns.")
        .def_ro("columns", &JsonTable::columns, "The columns, in the order of the paths.")
        .def_prop_ro(
            "selected",
            [](JsonTable& table) {
                return nb::ndarray<nb::numpy, const std::int64_t, nb::ndim<1>>(table.selected.data(),
                                                                               {table.selected.size()});
            },
            nb::rv_policy::reference_internal, "int64 [rows]: number of each row's record, counted in the text.");
    nb::class_<ParsedJson>(module, "ParsedJson", "What parse_json_lines read.")
        .def_ro("records", &ParsedJson::records, "Records, those rejected or skipped among them.")
        .def_ro("blank", &ParsedJson::blank, "Blank lines.")
        .def_prop_ro(
            "tables",
            [](ParsedJson& parsed) {
                std::vector<JsonTable*> tables;
                for (JsonTable& table : parsed.tables) tables.push_back(&table);
                return tables;
            },
            nb::rv_policy::reference_internal, "The tables, in the order of the selector's values.")
        .def_ro("skipped", &ParsedJson::skipped,
                "Records not wanted, by what they hold in place of a wanted value; beyond 64 values as '(other)'.")
        .def_prop_ro(
            "rejected",
            [](ParsedJson& parsed) {
                return nb::ndarray<nb::numpy, const std::int64_t, nb::ndim<2>>(
                    parsed.rejected.data(), {parsed.rejected.size(), json_rejected_width});
            },
            nb::rv_policy::reference_internal,
            "int64 [rejected, 8]: record (counted in the text), newlines before it, its start and end, reason, column "
            "(counted on through all tables) or -1, start and end of the cell.");
    module.def(
        "scan_json_lines",
        [](Text text, bool array, std::size_t max_record, bool final, std::size_t most_records) {
            const JsonDialect dialect{array, max_record};
            nb::gil_scoped_release unlocked;
            return scan_json_records(text.data(), text.size(), dialect, final, most_records);
        },
        nb::arg("text"), nb::arg("array"), nb::arg("max_record"), nb::arg("final"), nb::arg("most_records") = not_found,
        "Count the records of JSON text and find where the last complete one ends.\n\n"
        "Parameters\n----------\n"
        "text\n    uint8 [n], beginning at a record.\n"
        "array\n    False: each line that is not blank is a record. True: the objects of one JSON array are, on any\n"
        "    number of lines.\n"
        "max_record\n    Longest record in bytes.\n"
        "final\n    Whether the text ends here.\n"
        "most_records\n    The scan ends behind so many.");
    module.def(
        "parse_json_lines",
        [](Text text, bool array, std::size_t max_record, const Selector& selector,
           const std::vector<TableColumns>& tables, std::size_t records) {
            std::vector<JsonTableColumns> checked;
            for (const auto& [paths, kinds] : tables) checked.push_back({paths, column_kinds(kinds, paths.size())});
            nb::gil_scoped_release unlocked;
            JsonParser parser({array, max_record}, {selector.first, selector.second}, checked, records);
            return parser.parse(text.data(), text.size());
        },
        nb::arg("text"), nb::arg("array"), nb::arg("max_record"), nb::arg("selector"), nb::arg("tables"),
        nb::arg("records"),
        "Parse JSON text that ends with a record into columns; finds the records that scan_json_lines counts.\n\n"
        "Parameters\n----------\n"
        "text\n    uint8 [n], whole records.\n"
        "array, max_record\n    As for scan_json_lines.\n"
        "selector\n    Path and texts: only records that hold one of the texts there are taken, each kind into a "
        "table\n"
        "    of its own, the others counted. An empty path takes all, into one table.\n"
        "tables\n    For each text the names of the columns, each once, and their kinds. 'flow.start' is the member\n"
        "    'start' of the member 'flow', or a member called 'flow.start'. Kinds: 1 integer (int64), 2 number\n"
        "    (float64), 3 boolean, 4 text, 5 time (microseconds, UTC).\n"
        "records\n    Records in the text, as counted by scan_json_lines.\n\n"
        "Notes\n-----\n"
        "A record is rejected when it is no JSON object, or too long, when it lacks the selector, or when a value is\n"
        "neither null nor of its column's kind. Numbers, booleans and times may stand in quotes; numbers are times in\n"
        "seconds since 1970. In a text column a number is the text it is written as, and an array or object its JSON\n"
        "without white space. Of keys that occur twice in an object the last counts. Numbers beyond 64 bits, NaN and\n"
        "more than 1,024 levels of nesting are no JSON here.");
    module.def(
        "discover_json_columns",
        [](Text text, bool array, std::size_t max_record, const Selector& selector) {
            std::vector<std::vector<std::pair<std::string, int>>> found;
            nb::gil_scoped_release unlocked;
            for (auto& columns : discover_json_columns(text.data(), text.size(), {array, max_record},
                                                       {selector.first, selector.second})) {
                auto& table = found.emplace_back();
                for (JsonColumn& column : columns)
                    table.emplace_back(std::move(column.path), static_cast<int>(column.kind));
            }
            return found;
        },
        nb::arg("text"), nb::arg("array"), nb::arg("max_record"), nb::arg("selector"),
        "Return the path and kind of each column of each table of JSON text, in order of appearance.\n\n"
        "Parameters and kinds as for parse_json_lines. A column has the narrowest kind that fits all its values, text\n"
        "where they differ, for arrays, and where all are null. Objects are taken apart down to 8 levels; at most\n"
        "2,000 columns are found.");
}

}  // namespace netsieve
