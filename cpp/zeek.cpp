#include "zeek.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "zeek_lines.hpp"
#include "zeek_lists.hpp"
#include "zeek_parser.hpp"

namespace nb = nanobind;

namespace netsieve {

namespace {

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
        .def_ro("more", &ZeekScan::more,
                "Whether the scan ended at the most records that were asked for, within the text.")
        .def_ro("changed", &ZeekScan::changed, "Whether the line at end is a header line that says something new.");
    module.def(
        "scan_zeek",
        [](Text text, const std::vector<nb::bytes>& known, std::size_t max_record, bool final,
           std::size_t most_records) {
            std::vector<std::string> lines;
            for (const nb::bytes& line : known) lines.push_back(text_of(line));
            nb::gil_scoped_release unlocked;
            return scan_zeek_lines(text.data(), text.size(), lines, max_record, final, most_records);
        },
        nb::arg("text"), nb::arg("known"), nb::arg("max_record"), nb::arg("final"),
        nb::arg("most_records") = static_cast<std::size_t>(-1),
        "Count the lines of a Zeek log up to where the last whole one ends, or one says how to read on.\n\n"
        "Parameters\n----------\n"
        "text\n    uint8 [n], beginning at a line.\n"
        "known\n    Header lines without line end that are in force. Another one of their sort ends the scan.\n"
        "max_record\n    Longest line in bytes; a longer one is a record that parse_zeek rejects.\n"
        "final\n    Whether the text ends here: a line without line end is then complete.\n"
        "most_records\n    The scan ends behind so many.");
    nb::class_<ZeekRecords>(module, "ZeekRecords", "What parse_zeek read.")
        .def_ro("records", &ZeekRecords::records, "Records, the rejected ones among them.")
        .def_ro("rows", &ZeekRecords::rows, "Records that were not rejected: the height of the columns.")
        .def_ro("columns", &ZeekRecords::columns, "The fields that were not skipped, in the order of the line.")
        .def_prop_ro(
            "rejected",
            [](ZeekRecords& parsed) {
                return nb::ndarray<nb::numpy, const std::int64_t, nb::ndim<2>>(
                    parsed.rejected.data(), {parsed.rejected.size(), zeek_rejected_width});
            },
            nb::rv_policy::reference_internal,
            "int64 [rejected, 8]: record (counted in the text), newlines before it, its start and end, reason, field\n"
            "or number of fields, start and end of the cell.");
    module.def(
        "parse_zeek",
        [](Text text, std::uint8_t separator, std::size_t spaced, std::uint8_t set_separator, nb::bytes empty,
           nb::bytes unset, std::size_t max_record, const std::vector<int>& kinds, std::size_t records) {
            const ZeekLayout layout{separator,      spaced,         static_cast<char>(set_separator),
                                    text_of(empty), text_of(unset), max_record};
            nb::gil_scoped_release unlocked;
            return parse_zeek_records(text.data(), text.size(), layout, kinds, records);
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
    module.def(
        "comma_lists",
        [](const std::shared_ptr<ColumnBuffers>& column, bool numbers) {
            if (column->kind() != ColumnKind::text) throw std::invalid_argument("the column holds no text");
            nb::gil_scoped_release unlocked;
            return comma_lists(*column, numbers);
        },
        nb::arg("column"), nb::arg("numbers"),
        "Return a text Column with JSON arrays as their elements with commas between them; other text as it is.\n\n"
        "Null elements are \"-\", true and false T and F. numbers: all numbers are written in the shortest form that\n"
        "reads back as the same float64, as parse_zeek writes those of kind 7.");
}

}  // namespace netsieve
