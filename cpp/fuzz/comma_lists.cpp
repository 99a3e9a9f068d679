// Fuzzes the lists of Zeek's JSON logs: texts, JSON arrays among them, to their elements with commas between them. Any
// input must end without a fault, and what is taken for plain strings must be the same that simdjson finds. The first
// byte of an input says whether the lists are of numbers; the lines behind it are the cells, empty ones are missing.
#include <simdjson.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "../cells.hpp"
#include "../column_buffers.hpp"
#include "../zeek_lists.hpp"
#include "check.hpp"

namespace {

using namespace netsieve;
using fuzz::require;

// An array of strings as simdjson reads it; false for anything else.
bool joined_strings(std::string_view cell, simdjson::dom::parser& parser, std::string& joined) {
    simdjson::dom::array elements;
    if (parser.parse(cell.data(), cell.size()).get(elements)) return false;
    joined.clear();
    bool first = true;
    for (const simdjson::dom::element& element : elements) {
        std::string_view text;
        if (element.get(text)) return false;
        if (!first) joined += ',';
        first = false;
        joined += text;
    }
    return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const bool numbers = data[0] & 1;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    std::vector<std::string> cells;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        cells.emplace_back(text.substr(at, end - at));
        at = end + 1;
        // text columns hold UTF-8 only
        if (!is_utf8(cells.back())) return 0;
    }
    ColumnBuffers column(ColumnKind::text, cells.size());
    for (std::size_t row = 0; row < cells.size(); ++row)
        if (cells[row].empty())
            column.set_missing(row);
        else
            column.set_text(row, reinterpret_cast<const std::uint8_t*>(cells[row].data()), cells[row].size());
    column.finish(cells.size());
    const auto lists = comma_lists(column, numbers);
    require(lists->rows() == cells.size() && lists->missing() == column.missing());
    simdjson::dom::parser parser;
    std::string joined;
    for (std::size_t row = 0; row < cells.size(); ++row) {
        require(lists->is_missing(row) == column.is_missing(row));
        if (lists->is_missing(row)) continue;
        require(is_utf8(lists->text_at(row)));
        if (!cells[row].starts_with('['))
            require(lists->text_at(row) == cells[row]);
        else if (joined_strings(cells[row], parser, joined))
            require(lists->text_at(row) == joined);
    }
    return 0;
}
