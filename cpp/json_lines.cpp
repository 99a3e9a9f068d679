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

}  // namespace

void register_json_lines(nb::module_& module) {
    nb::class_<ParsedJson>(module, "ParsedJson", "What parse_json_lines read.")
        .def_ro("records", &ParsedJson::records, "Records, those rejected or skipped among them.")
        .def_ro("rows", &ParsedJson::rows, "Records that were taken: the height of the columns.")
        .def_ro("blank", &ParsedJson::blank, "Blank lines.")
        .def_ro("columns", &ParsedJson::columns, "The columns, in the order of the paths.")
        .def_ro("skipped", &ParsedJson::skipped,
                "Records not wanted, by what they hold in place of the wanted value; beyond 64 values as '(other)'.")
        .def_prop_ro(
            "selected",
            [](ParsedJson& parsed) {
                return nb::ndarray<nb::numpy, const std::int64_t, nb::ndim<1>>(parsed.selected.data(),
                                                                               {parsed.selected.size()});
            },
            nb::rv_policy::reference_internal, "int64 [rows]: number of each row's record, counted in the text.")
        .def_prop_ro(
            "rejected",
            [](ParsedJson& parsed) {
                return nb::ndarray<nb::numpy, const std::int64_t, nb::ndim<2>>(
                    parsed.rejected.data(), {parsed.rejected.size(), json_rejected_width});
            },
            nb::rv_policy::reference_internal,
            "int64 [rejected, 8]: record (counted in the text), newlines before it, its start and end, reason, column "
            "or -1, start and end of the cell.");
    module.def(
        "scan_json_lines",
        [](Text text, bool array, std::size_t max_record, bool final) {
            const JsonDialect dialect{array, max_record};
            nb::gil_scoped_release unlocked;
            return scan_json_records(text.data(), text.size(), dialect, final);
        },
        nb::arg("text"), nb::arg("array"), nb::arg("max_record"), nb::arg("final"),
        "Count the records of JSON text and find where the last complete one ends.\n\n"
        "Parameters\n----------\n"
        "text\n    uint8 [n], beginning at a record.\n"
        "array\n    False: each line that is not blank is a record. True: the objects of one JSON array are, on any\n"
        "    number of lines.\n"
        "max_record\n    Longest record in bytes.\n"
        "final\n    Whether the text ends here.");
    module.def(
        "parse_json_lines",
        [](Text text, bool array, std::size_t max_record, const std::vector<std::string>& paths,
           const std::vector<int>& kinds, const std::pair<std::string, std::string>& selector, std::size_t records) {
            const std::vector<ColumnKind> checked = column_kinds(kinds, paths.size());
            nb::gil_scoped_release unlocked;
            JsonParser parser({array, max_record}, paths, checked, {selector.first, selector.second}, records);
            return parser.parse(text.data(), text.size());
        },
        nb::arg("text"), nb::arg("array"), nb::arg("max_record"), nb::arg("paths"), nb::arg("kinds"),
        nb::arg("selector"), nb::arg("records"),
        "Parse JSON text that ends with a record into columns; finds the records that scan_json_lines counts.\n\n"
        "Parameters\n----------\n"
        "text\n    uint8 [n], whole records.\n"
        "array, max_record\n    As for scan_json_lines.\n"
        "paths\n    Names of the columns, each once. 'flow.start' is the member 'start' of the member 'flow', or a\n"
        "    member called 'flow.start'.\n"
        "kinds\n    For each: 1 integer (int64), 2 number (float64), 3 boolean, 4 text, 5 time (microseconds, UTC).\n"
        "selector\n    Path and text: only records that hold this text there are taken, the others counted. An empty\n"
        "    path takes all.\n"
        "records\n    Records in the text, as counted by scan_json_lines.\n\n"
        "Notes\n-----\n"
        "A record is rejected when it is no JSON object, or too long, when it lacks the selector, or when a value is\n"
        "neither null nor of its column's kind. Numbers, booleans and times may stand in quotes; numbers are times in\n"
        "seconds since 1970. In a text column a number is the text it is written as, and an array or object its JSON\n"
        "without white space. Of keys that occur twice in an object the last counts. Numbers beyond 64 bits, NaN and\n"
        "more than 1,024 levels of nesting are no JSON here.");
    module.def(
        "discover_json_columns",
        [](Text text, bool array, std::size_t max_record, const std::pair<std::string, std::string>& selector) {
            std::vector<std::pair<std::string, int>> found;
            nb::gil_scoped_release unlocked;
            for (JsonColumn& column : discover_json_columns(text.data(), text.size(), {array, max_record},
                                                            {selector.first, selector.second}))
                found.emplace_back(std::move(column.path), static_cast<int>(column.kind));
            return found;
        },
        nb::arg("text"), nb::arg("array"), nb::arg("max_record"), nb::arg("selector"),
        "Return the path and kind of each column of JSON text, in order of appearance.\n\n"
        "Parameters and kinds as for parse_json_lines. A column has the narrowest kind that fits all its values, text\n"
        "where they differ, for arrays, and where all are null. Objects are taken apart down to 8 levels; at most\n"
        "2,000 columns are found.");
}

}  // namespace netsieve
