// One pass over a JSON record that finds the values of the wanted columns.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "json_paths.hpp"
#include "simd.hpp"

namespace netsieve {

// As wide as the size beside it, so that a value is written and read again as whole words.
enum class JsonType : std::uint32_t { absent, text, escaped_text, number, literal, null, container };

// A value in the text; of a string what is between its quotes.
struct JsonValue {
    const std::uint8_t* start = nullptr;
    std::uint32_t size = 0;
    JsonType type = JsonType::absent;

    std::string_view text() const { return {reinterpret_cast<const char*>(start), size}; }
};

// Text with its escapes resolved. Returns whether they stand for Unicode characters: a lone surrogate does not.
bool unescape_json(std::string_view text, std::string& unescaped);

// Finds values of records that are objects. Of keys that occur twice the last counts.
class JsonWalker {
  public:
    JsonWalker(JsonPaths& paths, std::size_t columns) : paths_(paths), values_(columns) {}

    const std::vector<JsonValue>& values() const { return values_; }

    // The two below return whether the record was read; values() are then those of its columns.

    // Reads a record of plain JSON and checks every byte of it. Anything that is not plain ASCII, deep nesting, long
    // numbers, escaped characters above all, gives false, as does JSON that is wrong. [start, end + json_padding) may
    // be read, and a control character other than a blank follows, or the end of a line.
    bool read_plain(const std::uint8_t* start, const std::uint8_t* end) {
        const std::uint8_t* const behind = read<false>(start, end);
        return behind && skip_blanks(behind) == end;
    }

    // The same for a record that ends with its line, somewhere before limit. Returns where its line end begins, or
    // null.
    const std::uint8_t* read_plain_line(const std::uint8_t* start, const std::uint8_t* limit) {
        newline_is_blank_ = false;
        const std::uint8_t* behind = read<false>(start, limit);
        if (behind) behind = skip_blanks(behind);
        newline_is_blank_ = true;
        return behind && *behind == '\n' ? behind - (behind[-1] == '\r') : nullptr;
    }

    // Reads a record that was found to be valid JSON. False: a key has an escape that stands for no character.
    bool read_valid(const std::uint8_t* start, const std::uint8_t* end) {
        const std::uint8_t* const behind = read<true>(start, end);
        return behind && skip_blanks(behind) == end;
    }

  private:
    static constexpr unsigned plain_depth = 64;
    static constexpr unsigned plain_digits = 18;   // a sign and so many digits are a 64-bit integer
    static constexpr unsigned plain_number = 40;   // so many characters,
    static constexpr unsigned plain_exponent = 2;  // with an exponent of so many digits behind them, are a float64

    template <bool valid>
    const std::uint8_t* read(const std::uint8_t* start, const std::uint8_t* end) {
        ++record_;
        if (!values_.empty())  // all absent
            std::memset(static_cast<void*>(values_.data()), 0, values_.size() * sizeof(JsonValue));
        end_ = end;
        const std::uint8_t* const at = skip_blanks(start);
        return at < end && *at == '{' ? object<valid>(at, paths_.root()) : nullptr;
    }

    const std::uint8_t* skip_blanks(const std::uint8_t* at) const {
        if (*at > ' ') return at;
        while (at < end_ && (*at == ' ' || *at == '\t' || *at == '\r' || (*at == '\n' && newline_is_blank_))) ++at;
        return at;
    }

    // The functions below take the byte a thing begins at and return the one behind it, or null.

    template <bool valid>
    const std::uint8_t* object(const std::uint8_t* at, JsonNode& node) {
        JsonKey* previous = nullptr;
        at = skip_blanks(at + 1);
        if (*at == '}') return at + 1;
        for (;;) {
            if (*at != '"') return nullptr;
            std::uint32_t target = no_node, column = no_column;
            if (const JsonKey* const key = node.match(at + 1, end_, previous)) {
                target = key->node();
                column = key->column;
                at += 1 + key->size();
            } else if (!(at = unusual_key<valid>(at, node, target))) {
                return nullptr;
            }
            at = skip_blanks(at);
            if (*at != ':') return nullptr;
            at = skip_blanks(at + 1);
            if (column != no_column)
                at = value_of<valid>(at, values_[column]);
            else
                at = target == no_node ? skip_value<valid>(at) : member<valid>(at, paths_.node(target));
            if (!at) return nullptr;
            at = skip_blanks(at);
            if (*at == '}') return at + 1;
            if (*at != ',') return nullptr;
            at = skip_blanks(at + 1);
        }
    }

    template <bool valid>
    const std::uint8_t* unusual_key(const std::uint8_t* at, const JsonNode& node, std::uint32_t& target) {
        JsonType type = JsonType::text;
        const std::uint8_t* const behind = string<valid>(at, type);
        if constexpr (valid) {
            std::string_view name(reinterpret_cast<const char*>(at) + 1, static_cast<std::size_t>(behind - at) - 2);
            if (type == JsonType::escaped_text) {
                if (!unescape_json(name, unescaped_key_)) return nullptr;
                name = unescaped_key_;
            }
            if (const JsonKey* const key = node.find(name)) target = key->node();
            return behind;
        }
        // an escaped key may be a wanted one
        return type == JsonType::escaped_text ? nullptr : behind;
    }

    // The value of a member that is a section.
    template <bool valid>
    [[gnu::noinline]] const std::uint8_t* member(const std::uint8_t* at, JsonNode& node) {
        if (node.is_section()) {
            if (node.record == record_)  // again: what came before does not count
                for (const std::uint32_t column : node.columns_below) values_[column] = JsonValue{};
            node.record = record_;
        }
        const bool section = node.is_section() && *at == '{';
        JsonValue value;
        const std::uint8_t* const behind = section ? object<valid>(at, node) : value_of<valid>(at, value);
        if (section && behind) value = {at, static_cast<std::uint32_t>(behind - at), JsonType::container};
        if (behind && node.column != no_column) values_[node.column] = value;
        return behind;
    }

    // A value with its place and type.
    template <bool valid>
    [[gnu::always_inline]] const std::uint8_t* value_of(const std::uint8_t* at, JsonValue& value) {
        const std::uint8_t* behind = nullptr;
        JsonType type = JsonType::text;
        switch (*at) {
            case '"':
                behind = string<valid>(at, type);
                if (behind) value = {at + 1, static_cast<std::uint32_t>(behind - at) - 2, type};
                return behind;
            case '{':
            case '[':
                type = JsonType::container;
                behind = container<valid>(at);
                break;
            case 'n':
                type = JsonType::null;
                behind = literal(at);
                break;
            case 't':
            case 'f':
                type = JsonType::literal;
                behind = literal(at);
                break;
            default:
                type = JsonType::number;
                behind = number<valid>(at);
        }
        if (behind) value = {at, static_cast<std::uint32_t>(behind - at), type};
        return behind;
    }

    template <bool valid>
    const std::uint8_t* skip_value(const std::uint8_t* at) {
        JsonValue value;
        return value_of<valid>(at, value);
    }

    template <bool valid>
    static const std::uint8_t* string(const std::uint8_t* at, JsonType& type) {
        ++at;
        for (;;) {
            const Block16 block(at);
            const std::uint32_t stops =
                valid ? block.either('"', '\\') : block.either('"', '\\') | block.beyond_printable();
            if (!stops) {
                at += 16;
                continue;
            }
            at += std::countr_zero(stops);
            if (*at == '"') return at + 1;
            if (*at != '\\') return nullptr;
            type = JsonType::escaped_text;
            if (!valid && std::string_view("\"\\/bfnrt").find(static_cast<char>(at[1])) == std::string_view::npos)
                return nullptr;
            at += 2;
        }
    }

    static const std::uint8_t* literal(const std::uint8_t* at) {
        if (std::memcmp(at, "true", 4) == 0 || std::memcmp(at, "null", 4) == 0) return at + 4;
        return std::memcmp(at, "false", 5) == 0 ? at + 5 : nullptr;
    }

    static const std::uint8_t* digits(const std::uint8_t* at) {
        for (;; at += 16)  // their number is hard to predict: no branch for each
            if (const std::uint32_t others = ~Block16(at).digits() & 0xFFFF) return at + std::countr_zero(others);
    }

    template <bool valid>
    static const std::uint8_t* number(const std::uint8_t* at) {
        if constexpr (valid) {
            while (static_cast<std::uint8_t>(*at - '0') < 10 || *at == '-' || *at == '+' || *at == '.' ||
                   (*at | 0x20) == 'e')
                ++at;
            return at;
        }
        const std::uint8_t* const whole = at + (*at == '-');
        const std::uint8_t* behind = digits(whole);
        if (behind == whole || (*whole == '0' && behind - whole > 1)) return nullptr;
        if (*behind == '.') {
            const std::uint8_t* const fraction = behind + 1;
            behind = digits(fraction);
            if (behind == fraction || behind - at > plain_number) return nullptr;
        } else if (behind - whole > plain_digits) {
            return nullptr;
        }
        if ((*behind | 0x20) != 'e') return behind;
        const std::uint8_t* const exponent = behind + 1 + (behind[1] == '-' || behind[1] == '+');
        behind = digits(exponent);
        return behind == exponent || behind - exponent > plain_exponent ? nullptr : behind;
    }

    template <bool valid>
    static const std::uint8_t* skip_valid_container(const std::uint8_t* at) {
        for (std::size_t depth = 0;; ++at) {
            JsonType type = JsonType::text;
            if (*at == '"')
                at = string<valid>(at, type) - 1;
            else if (*at == '{' || *at == '[')
                ++depth;
            else if ((*at == '}' || *at == ']') && --depth == 0)
                return at + 1;
        }
    }

    template <bool valid>
    [[gnu::noinline]] const std::uint8_t* container(const std::uint8_t* at) const {
        if constexpr (valid) return skip_valid_container<valid>(at);
        std::uint64_t objects = 0;  // whether each container that is open is an object, the innermost in the lowest bit
        unsigned depth = 0;
        const auto key = [this](const std::uint8_t* from) -> const std::uint8_t* {
            JsonType type = JsonType::text;
            if (*from != '"' || !(from = string<false>(from, type))) return nullptr;
            from = skip_blanks(from);
            return *from == ':' ? skip_blanks(from + 1) : nullptr;
        };
        for (;;) {  // one value each time
            bool closed = false;
            if (*at == '{' || *at == '[') {
                if (depth++ == plain_depth) return nullptr;
                objects = objects << 1 | (*at == '{');
                at = skip_blanks(at + 1);
                closed = *at == (objects & 1 ? '}' : ']');
                if (!closed) {
                    if ((objects & 1) && !(at = key(at))) return nullptr;
                    continue;
                }
            } else if (*at == '"') {
                JsonType type = JsonType::text;
                at = string<false>(at, type);
            } else {
                at = *at == 't' || *at == 'f' || *at == 'n' ? literal(at) : number<false>(at);
            }
            if (!at) return nullptr;
            for (;; closed = true) {
                if (closed) {
                    ++at;
                    objects >>= 1;
                    if (--depth == 0) return at;
                }
                at = skip_blanks(at);
                if (*at == ',') break;
                if (*at != (objects & 1 ? '}' : ']')) return nullptr;
            }
            at = skip_blanks(at + 1);
            if ((objects & 1) && !(at = key(at))) return nullptr;
        }
    }

    JsonPaths& paths_;
    std::vector<JsonValue> values_;
    std::string unescaped_key_;
    const std::uint8_t* end_ = nullptr;
    std::uint64_t record_ = 0;
    bool newline_is_blank_ = true;
};

}  // namespace netsieve
