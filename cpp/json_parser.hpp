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

// Rows that are wanted: those whose value under a path is this one. An empty path wants all.
struct JsonSelector {
    std::string path;
    std::string value;
};

// record (counted in the text), newlines before it, start, end, reason, column or -1, start and end of the cell
constexpr std::size_t json_rejected_width = 8;

struct ParsedJson {
    std::size_t records = 0;
    std::size_t rows = 0;
    std::size_t blank = 0;
    std::vector<std::shared_ptr<ColumnBuffers>> columns;
    std::vector<std::int64_t> selected;  // number of the record of each row
    std::vector<std::array<std::int64_t, json_rejected_width>> rejected;
    std::map<std::string, std::size_t> skipped;  // records by what they have in place of the value that is wanted
};

class JsonParser {
  public:
    // kinds: of ColumnKind, none of them skipped. expected: the number of records, as the scanner counted them.
    JsonParser(const JsonDialect& dialect, const std::vector<std::string>& paths, const std::vector<ColumnKind>& kinds,
               const JsonSelector& selector, std::size_t expected);

    ParsedJson parse(const std::uint8_t* text, std::size_t size);

  private:
    void take_record(const JsonSpan& span);
    bool read(const JsonSpan& span);
    bool is_selected(const JsonSpan& span);
    const std::uint8_t* padded(const std::uint8_t* start, std::size_t size);
    Cell set_cell(ColumnBuffers& column, const JsonValue& value);
    Cell set_text(ColumnBuffers& column, const JsonValue& value);
    bool unescaped(const JsonValue& value, std::string_view& text);
    void reject(const JsonSpan& span, JsonReason reason, std::int64_t column = -1, const JsonValue& cell = {});

    JsonDialect dialect_;
    JsonSelector selector_;
    std::size_t expected_;
    std::size_t columns_;
    std::uint32_t selector_column_;
    JsonPaths paths_;
    JsonWalker walker_;
    simdjson::dom::parser checker_;
    ParsedJson result_;

    const std::uint8_t* text_ = nullptr;
    std::size_t size_ = 0;
    const std::uint8_t* base_ = nullptr;  // where the record's first byte lies: in the text, or in a padded copy
    std::int64_t line_ = 0;
    std::vector<std::uint8_t> copy_;
    std::vector<char> minified_;
    std::string unescaped_;
};

}  // namespace netsieve
