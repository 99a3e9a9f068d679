// Which columns JSON records have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "column_buffers.hpp"
#include "json_parser.hpp"
#include "json_records.hpp"

namespace netsieve {

struct JsonColumn {
    std::string path;
    ColumnKind kind;
};

// For each table of the selector: members of its records, in order of their first appearance, and the narrowest kind
// that fits all values of each: text where kinds differ, of arrays, and where all values are null. Members of objects
// have the names of both, with a dot between them. An object deeper than deepest_section is one text. Nothing is found
// beyond most_columns.
std::vector<std::vector<JsonColumn>> discover_json_columns(const std::uint8_t* text, std::size_t size,
                                                           const JsonDialect& dialect, const JsonSelector& selector);

constexpr unsigned deepest_section = 8;
constexpr std::size_t most_columns = 2000;

}  // namespace netsieve
