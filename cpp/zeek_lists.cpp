#include "zeek_lists.hpp"

#include <simdjson.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "zeek_cells.hpp"

namespace netsieve {

namespace {

constexpr char separator = ',';
constexpr std::string_view unset_element = "-";

// The elements of ["a","b"], where none has an escape. Returns whether the text is such an array.
bool append_plain_strings(std::string_view text, std::string& to) {
    if (!text.starts_with("[\"") || text.find('\\') != std::string_view::npos) return false;
    for (std::size_t at = 1;;) {
        if (at >= text.size() || text[at] != '"') return false;
        const std::size_t end = text.find('"', at + 1);
        if (end == std::string_view::npos || end + 1 >= text.size()) return false;
        to += text.substr(at + 1, end - at - 1);
        if (text[end + 1] == ']') return end + 2 == text.size();
        if (text[end + 1] != separator) return false;
        to += separator;
        at = end + 2;
    }
}

void append_element(const simdjson::dom::element& element, bool numbers, std::string& to) {
    std::string_view text;
    bool truth = false;
    double number = 0;
    if (element.is_null())
        to += unset_element;
    else if (!element.get(text))
        to += text;
    else if (!element.get(truth))
        to += truth ? 'T' : 'F';
    else if ((numbers || element.type() == simdjson::dom::element_type::DOUBLE) && !element.get(number))
        append_number(number, to);
    else
        to += simdjson::minify(element);
}

class Lists {
  public:
    explicit Lists(bool numbers) : numbers_(numbers) {}

    // What is no array stays as it is.
    std::string_view text_of(std::string_view text) {
        if (text == "[]") return text.substr(0, 0);
        value_.clear();
        if (append_plain_strings(text, value_)) return value_;
        simdjson::dom::array elements;
        if (!text.starts_with('[') || parser_.parse(text.data(), text.size()).get(elements)) return text;
        value_.clear();
        bool first = true;
        for (const simdjson::dom::element& element : elements) {
            if (!first) value_ += separator;
            first = false;
            append_element(element, numbers_, value_);
        }
        return value_;
    }

  private:
    bool numbers_;
    simdjson::dom::parser parser_;
    std::string value_;
};

}  // namespace

std::shared_ptr<ColumnBuffers> comma_lists(const ColumnBuffers& column, bool numbers) {
    auto result = std::make_shared<ColumnBuffers>(ColumnKind::text, column.rows());
    Lists lists(numbers);
    for (std::size_t row = 0; row < column.rows(); ++row) {
        if (column.is_missing(row)) {
            result->set_missing(row);
            continue;
        }
        const std::string_view text = lists.text_of(column.text_at(row));
        result->set_text(row, reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
    }
    result->finish(column.rows());
    return result;
}

}  // namespace netsieve
