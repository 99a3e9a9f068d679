#include "zeek_cells.hpp"

#include <charconv>
#include <cmath>
#include <cstddef>

namespace netsieve {

namespace {

constexpr double microseconds_per_second = 1e6;
// Beyond this many seconds the microseconds do not fit 64 bits (the year 287,000).
constexpr double latest_time = 9e12;
constexpr std::size_t whole_places = 12;
constexpr std::size_t fraction_places = 6;

int hexadecimal(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    return -1;
}

// Whether text begins with an escape, and its byte.
bool is_escape(std::string_view text, char& byte) {
    if (text.size() < 4 || text[0] != '\\' || text[1] != 'x') return false;
    const int high = hexadecimal(text[2]), low = hexadecimal(text[3]);
    if (high < 0 || low < 0) return false;
    byte = static_cast<char>(16 * high + low);
    return true;
}

void append_escape(char byte, std::string& to) {
    constexpr char digits[] = "0123456789abcdef";
    const auto value = static_cast<unsigned char>(byte);
    to += "\\x";
    to += digits[value >> 4];
    to += digits[value & 15];
}

bool is_shown(unsigned char byte) {
    return (byte >= 0x20 && byte < 0x7F) || byte == '\b' || byte == '\f' || byte == '\n' || byte == '\r' ||
           byte == '\t';
}

}  // namespace

Cell parse_epoch_time(std::string_view text, std::int64_t& microseconds) {
    const bool negative = !text.empty() && text[0] == '-';
    const std::string_view digits = text.substr(negative);
    std::int64_t value = 0;
    std::size_t at = 0;
    while (at < digits.size() && digits[at] >= '0' && digits[at] <= '9' && at < whole_places)
        value = 10 * value + (digits[at++] - '0');
    if (at > 0 && (at == digits.size() || digits[at] == '.')) {
        std::size_t places = 0;
        for (++at; at < digits.size() && places < fraction_places && digits[at] >= '0' && digits[at] <= '9'; ++places)
            value = 10 * value + (digits[at++] - '0');
        if (at >= digits.size()) {
            for (; places < fraction_places; ++places) value *= 10;
            microseconds = negative ? -value : value;
            return Cell::value;
        }
    }
    // more places, an exponent, or no number
    double seconds = 0;
    const Cell cell = parse_number(text, seconds);
    if (cell != Cell::value) return cell;
    if (!(std::abs(seconds) < latest_time)) return Cell::bad;
    microseconds = std::llround(seconds * microseconds_per_second);
    return Cell::value;
}

bool EscapedText::append_unescaped(std::string_view text, std::string& to) {
    bytes_.clear();
    escaped_.clear();
    for (std::size_t at = 0; at < text.size();) {
        char byte = text[at];
        const bool escape = byte == '\\' && is_escape(text.substr(at), byte);
        bytes_ += byte;
        escaped_ += static_cast<char>(escape);
        at += escape ? 4 : 1;
    }
    for (std::size_t at = 0; at < bytes_.size();) {
        const auto byte = static_cast<unsigned char>(bytes_[at]);
        if (byte < 0x80) {
            if (escaped_[at] && !is_shown(byte))
                append_escape(bytes_[at], to);
            else
                to += bytes_[at];
            ++at;
            continue;
        }
        const std::size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
        const std::string_view character = std::string_view(bytes_).substr(at, length);
        if (character.size() == length && is_utf8(character)) {
            to += character;
            at += length;
        } else if (escaped_[at]) {
            append_escape(bytes_[at], to);
            ++at;
        } else {
            return false;
        }
    }
    return true;
}

void append_number(double value, std::string& to) {
    char text[32];
    const auto [end, error] = std::to_chars(text, text + sizeof text, value);
    static_cast<void>(error);  // the shortest form has at most 24 characters
    to.append(text, end);
}

}  // namespace netsieve
