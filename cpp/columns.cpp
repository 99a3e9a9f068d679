#include "columns.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "arrow_capsules.hpp"
#include "column_buffers.hpp"
#include "record_parser.hpp"
#include "records.hpp"

namespace nb = nanobind;

namespace netsieve {

void register_columns(nb::module_& module) {
    using Text = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
    nb::class_<ColumnBuffers>(module, "Column",
                              "A column of parsed cells, taken over by Arrow libraries without copying.")
        .def(
            "__arrow_c_array__",
            [](const std::shared_ptr<ColumnBuffers>& column, nb::handle) {
                return arrow_capsules(new_arrow_schema(*column), new_arrow_array(column));
            },
            nb::arg("requested_schema") = nb::none(),
            nb::sig("def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]"));
    nb::class_<RecordScan>(module, "RecordScan", "What scan_records found.")
        .def_ro("records", &RecordScan::records, "Records, without blank lines and repeated headers.")
        .def_ro("blank", &RecordScan::blank, "Blank lines between records.")
        .def_ro("headers", &RecordScan::headers, "Repeated header lines.")
        .def_ro("lines", &RecordScan::lines, "Newlines before end.")
        .def_ro("end", &RecordScan::end, "Offset behind the last complete record.")
        .def_ro("named", &RecordScan::named,
                "Offsets of the records and header lines whose first field is one of the header's.")
        .def_ro("overlong_open", &RecordScan::overlong_open,
                "Whether the record at end is longer than max_record and its first line has no end yet.")
        .def_ro("more", &RecordScan::more,
                "Whether the scan ended at the most records that were asked for, within the text.");
    module.def(
        "scan_records",
        [](Text text, std::uint8_t delimiter, nb::bytes header, std::size_t max_record, bool final,
           std::size_t most_records) {
            const Dialect dialect{delimiter, {header.c_str(), header.size()}, max_record};
            nb::gil_scoped_release unlocked;
            return scan_records(text.data(), text.size(), dialect, final, most_records);
        },
        nb::arg("text"), nb::arg("delimiter"), nb::arg("header"), nb::arg("max_record"), nb::arg("final"),
        nb::arg("most_records") = not_found,
        "Count the records of delimited text and find where the last complete one ends.\n\n"
        "A double quote opens a quoted field at the start of a field only; within, quotes are doubled, and\n"
        "delimiters and newlines are text. A record with text behind a closing quote, one that never closes its\n"
        "quote (final), and one of more than max_record bytes ends with its first line.\n\n"
        "Parameters\n----------\n"
        "text\n    uint8 [n], beginning at a record.\n"
        "delimiter\n    Byte between fields.\n"
        "header\n    Bytes of the header line without its line end; records equal to it are counted apart. May be "
        "empty.\n"
        "max_record\n    Longest record in bytes.\n"
        "final\n    Whether the text ends here: a record without line end is then complete.\n"
        "most_records\n    The scan ends behind so many.");
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
                    parsed.rejected.data(), {parsed.rejected.size(), record_rejected_width});
            },
            nb::rv_policy::reference_internal,
            "int64 [rejected, 8]: record (counted in the text), newlines before it, its start and end, reason, column "
            "or "
            "number of fields, start and end of the cell.");
    module.def(
        "infer_kinds",
        [](Text text, std::uint8_t delimiter, nb::bytes header, std::size_t max_record, std::size_t columns) {
            const Dialect dialect{delimiter, {header.c_str(), header.size()}, max_record};
            nb::gil_scoped_release unlocked;
            return infer_kinds(text.data(), text.size(), dialect, columns);
        },
        nb::arg("text"), nb::arg("delimiter"), nb::arg("header"), nb::arg("max_record"), nb::arg("columns"),
        "Return for each column the narrowest kind that fits all its cells: 1 integer, 2 number, 3 boolean, 4 text.\n\n"
        "Parameters as for parse_records. A column without a value is text; records with a wrong number of fields do\n"
        "not count.");
    module.def(
        "parse_records",
        [](Text text, std::uint8_t delimiter, nb::bytes header, std::size_t max_record, const std::vector<int>& kinds,
           std::size_t records) {
            const Dialect dialect{delimiter, {header.c_str(), header.size()}, max_record};
            nb::gil_scoped_release unlocked;
            return parse_records(text.data(), text.size(), dialect, kinds, records);
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
