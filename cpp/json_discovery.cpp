#include "json_discovery.hpp"

#include <simdjson.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <unordered_map>

namespace netsieve {

namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

constexpr unsigned integer = 1, number = 2, boolean = 4, text = 8;

unsigned kind_of(const element& value) {
    switch (value.type()) {
        case element_type::INT64:
            return integer;
        case element_type::UINT64:  // beyond 63 bits
        case element_type::DOUBLE:
            return number;
        case element_type::BOOL:
            return boolean;
        case element_type::NULL_VALUE:
            return 0;
        default:
            return text;
    }
}

class Discovery {
  public:
    void take(const simdjson::dom::object& object, const std::string& prefix = "", unsigned depth = 0) {
        for (const auto member : object) {
            std::string path = prefix;
            path += member.key;
            simdjson::dom::object section;
            if (depth + 1 < deepest_section && member.value.get(section) == simdjson::SUCCESS)
                take(section, path += '.', depth + 1);
            else
                note(path, kind_of(member.value));
        }
    }

    std::vector<JsonColumn> columns() const {
        std::vector<JsonColumn> columns;
        for (std::size_t i = 0; i < paths_.size(); ++i) {
            const unsigned kinds = kinds_[i];
            columns.push_back({paths_[i], kinds == integer                              ? ColumnKind::integer
                                          : kinds && (kinds & ~(integer | number)) == 0 ? ColumnKind::number
                                          : kinds == boolean                            ? ColumnKind::boolean
                                                                                        : ColumnKind::text});
        }
        return columns;
    }

  private:
    void note(const std::string& path, unsigned kind) {
        const auto [place, is_new] = numbers_.try_emplace(path, paths_.size());
        if (is_new) {
            if (paths_.size() == most_columns) {
                numbers_.erase(place);
                return;
            }
            paths_.push_back(path);
            kinds_.push_back(0);
        }
        kinds_[place->second] |= kind;
    }

    std::unordered_map<std::string, std::size_t> numbers_;
    std::vector<std::string> paths_;
    std::vector<unsigned> kinds_;
};

// The text under a path, the last one where there are several; its parts may be keys with dots in them. Nothing where
// that is no text.
std::optional<std::string_view> text_under(const simdjson::dom::object& object, std::string_view path) {
    std::optional<std::string_view> found;
    for (const auto member : object) {
        const std::string_view key = member.key;
        if (key == path) {
            std::string_view value;
            found.reset();
            if (member.value.get(value) == simdjson::SUCCESS) found = value;
        } else if (path.size() > key.size() && path.substr(0, key.size()) == key && path[key.size()] == '.') {
            simdjson::dom::object section;
            found.reset();
            if (member.value.get(section) == simdjson::SUCCESS)
                found = text_under(section, path.substr(key.size() + 1));
        }
    }
    return found;
}

}  // namespace

std::vector<std::vector<JsonColumn>> discover_json_columns(const std::uint8_t* bytes, std::size_t size,
                                                           const JsonDialect& dialect, const JsonSelector& selector) {
    std::vector<Discovery> discoveries(selector.path.empty() ? 1 : selector.values.size());
    simdjson::dom::parser parser;
    for (std::size_t at = 0; at < size;) {
        const JsonSpan span = walk_json_record(bytes, at, size, dialect, true);
        at = span.next;
        if (span.kind != RecordKind::record) continue;
        simdjson::dom::object object;
        if (parser.parse(bytes + span.start, span.end - span.start, true).get(object)) continue;
        if (selector.path.empty()) {
            discoveries.front().take(object);
        } else if (const auto value = text_under(object, selector.path)) {
            const auto place = std::find(selector.values.begin(), selector.values.end(), *value);
            if (place != selector.values.end())
                discoveries[static_cast<std::size_t>(place - selector.values.begin())].take(object);
        }
    }
    std::vector<std::vector<JsonColumn>> columns;
    for (const Discovery& discovery : discoveries) columns.push_back(discovery.columns());
    return columns;
}

}  // namespace netsieve
