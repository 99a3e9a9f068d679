// The records of JSON text as columns, and what of them is rejected or skipped.
#pragma once

#include <simdjson.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cells.hpp"
#include "column_buffers.hpp"
#include "json_records.hpp"
#include "json_walker.hpp"

namespace netsieve {

// Why a record was rejected. The numbers are part of the Python interface (netsieve.engine.sources.json_text); those
// up to 8 are those of delimited text.
enum class JsonReason : std::int64_t {
    overlong = 3,
    no_integer = 4,
    no_number = 5,
    no_boolean = 6,
    no_utf8 = 7,
    fraction = 8,
    no_time = 9,
    no_json = 10,
    no_object = 11,
    nesting = 12,
    number = 13,
    string = 14,
    unclosed = 15,
    control_character = 16,
    no_selector = 17,
};

// Records that are wanted: those whose value under a path is one of these, a table for each. An empty path wants all,
// in one table.
struct JsonSelector {
    std::string path;
    std::vector<std::string> values;
};

// Columns that a table is to have. kinds: none of them skipped.
struct JsonTableColumns {
    std::vector<std::string> paths;
    std::vector<ColumnKind> kinds;
};

// record (counted in the text), newlines before it, start, end, reason, column (counted on through all tables) or -1,
// start and end of the cell
constexpr std::size_t json_rejected_width = 8;

struct JsonTable {
    std::size_t rows = 0;
    std::vector<std::shared_ptr<ColumnBuffers>> columns;
    std::vector<std::int64_t> selected;  // number of the record of each row
};

struct ParsedJson {
    std::size_t records = 0;
    std::size_t blank = 0;
    std::vector<JsonTable> tables;  // in the order of the selector's values
    std::vector<std::array<std::int64_t, json_rejected_width>> rejected;
    std::map<std::string, std::size_t> skipped;  // records by what they have in place of the values that are wanted
};

class JsonParser {
  public:
    // tables: the columns for each of the selector's values. expected: the number of records, as the scanner counted
    // them.
    JsonParser(const JsonDialect& dialect, const JsonSelector& selector, const std::vector<JsonTableColumns>& tables,
               std::size_t expected);

    ParsedJson parse(const std::uint8_t* text, std::size_t size);

  private:
    // A column, and which of the walker's values goes there.
    struct Target {
        ColumnBuffers* column;
        std::uint32_t value;
    };
    struct Targets {
        std::vector<Target> columns;
        std::int64_t first_column;  // its number, counted through all tables
    };

    std::size_t plain_line(std::size_t start);
    void take_record(const JsonSpan& span);
    void take_values(const JsonSpan& span);
    bool read(const JsonSpan& span);
    std::size_t selected_table(const JsonSpan& span);
    const std::uint8_t* padded(const std::uint8_t* start, std::size_t size);
    Cell set_cell(ColumnBuffers& column, const JsonValue& value);
    Cell set_text(ColumnBuffers& column, const JsonValue& value);
    bool unescaped(const JsonValue& value, std::string_view& text);
    void reject(const JsonSpan& span, JsonReason reason, std::int64_t column = -1, const JsonValue& cell = {});

    JsonDialect dialect_;
    JsonSelector selector_;
    std::size_t expected_;
    std::vector<std::string> names_;  // the paths of all tables, each once, and the selector's
    std::uint32_t selector_column_;
    JsonPaths paths_;
    JsonWalker walker_;
    simdjson::dom::parser checker_;
    std::vector<Targets> targets_;  // by table
    ParsedJson result_;
    std::size_t row_ = 0;  // of the table that the record goes to

    const std::uint8_t* text_ = nullptr;
    std::size_t size_ = 0;
    std::size_t plain_end_ = 0;           // lines that begin before this end before the text's last json_padding bytes
    const std::uint8_t* base_ = nullptr;  // where the record's first byte lies: in the text, or in a padded copy
    std::int64_t line_ = 0;
    std::vector<std::uint8_t> copy_;
    std::vector<char> minified_;
    std::string unescaped_;
};

}  // namespace netsieve
