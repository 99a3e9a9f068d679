#include "cells.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>

namespace netsieve {

namespace {

constexpr double largest_exact_integer = 9007199254740992.0;  // 2^53

bool equals_ignoring_case(std::string_view text, std::string_view lower) {
    if (text.size() != lower.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c) != lower[i]) return false;
    }
    return true;
}

std::string_view without_surrounding_blanks(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

// std::from_chars does not say whether a number was too large or too small: the place of its first digit does.
bool is_below_range(std::string_view number) {
    const std::size_t mark = number.find_first_of("eE");
    const std::string_view mantissa = number.substr(0, mark);
    long long place = 0;  // power of ten of the first digit that is not zero
    bool in_fraction = false, found = false;
    for (const char c : mantissa) {
        if (c == '.')
            in_fraction = true;
        else if (c >= '0' && c <= '9') {
            if (found) {
                if (!in_fraction) ++place;
            } else if (c != '0') {
                found = true;
                if (in_fraction) --place;
            } else if (in_fraction) {
                --place;
            }
        }
    }
    if (mark == std::string_view::npos) return place < 0;
    const bool negative = number[mark + 1] == '-';
    const std::size_t digits = mark + (negative || number[mark + 1] == '+' ? 2 : 1);
    long long exponent = 0;
    for (const char c : number.substr(digits))
        if (exponent < 1'000'000'000'000'000) exponent = 10 * exponent + (c - '0');
    return place + (negative ? -exponent : exponent) < 0;
}

Cell parse_float(std::string_view text, double& value) {
    const char* const end = text.data() + text.size();
    const char* begin = text.data();
    if (begin != end && *begin == '+') {
        ++begin;
        if (begin != end && *begin == '-') return Cell::bad;
    }
    const auto [stop, error] = std::from_chars(begin, end, value, std::chars_format::general);
    if (stop != end || error == std::errc::invalid_argument) return Cell::bad;
    if (error == std::errc::result_out_of_range) {
        const bool negative = *begin == '-';
        const std::string_view number(begin + negative, static_cast<std::size_t>(end - begin - negative));
        value = is_below_range(number) ? 0.0 : std::numeric_limits<double>::infinity();
        if (negative) value = -value;
    }
    return std::isnan(value) ? Cell::missing : Cell::value;
}

}  // namespace

bool is_missing_token(std::string_view text) {
    switch (text.size()) {
        case 0:
            return true;
        case 1:
            return text[0] == '-' || text[0] == '?';
        case 2:
            return equals_ignoring_case(text, "na");
        case 3:
            return equals_ignoring_case(text, "nan") || equals_ignoring_case(text, "n/a");
        case 4:
            return equals_ignoring_case(text, "null") || equals_ignoring_case(text, "none") ||
                   equals_ignoring_case(text, "-nan") || equals_ignoring_case(text, "+nan");
        default:
            return false;
    }
}

Cell parse_integer(std::string_view text, std::int64_t& value) {
    text = without_surrounding_blanks(text);
    if (is_missing_token(text)) return Cell::missing;
    const char* const end = text.data() + text.size();
    const char* begin = text.data();
    if (*begin == '+' && text.size() > 1 && begin[1] != '-') ++begin;
    const auto [stop, error] = std::from_chars(begin, end, value);
    if (stop == end && error == std::errc()) return Cell::value;
    double number = 0;
    const Cell cell = parse_float(text, number);
    if (cell != Cell::value) return cell;
    // a text of digits alone that got here is beyond 64 bits; beyond 2^53 the float no longer says which integer it is
    if (error == std::errc::result_out_of_range || std::abs(number) > largest_exact_integer ||
        number != std::trunc(number))
        return Cell::fraction;
    value = static_cast<std::int64_t>(number);
    return Cell::value;
}

Cell parse_number(std::string_view text, double& value) {
    text = without_surrounding_blanks(text);
    return is_missing_token(text) ? Cell::missing : parse_float(text, value);
}

Cell parse_boolean(std::string_view text, bool& value) {
    text = without_surrounding_blanks(text);
    if (is_missing_token(text)) return Cell::missing;
    for (const std::string_view word : {"true", "t", "1"})
        if (equals_ignoring_case(text, word)) {
            value = true;
            return Cell::value;
        }
    for (const std::string_view word : {"false", "f", "0"})
        if (equals_ignoring_case(text, word)) {
            value = false;
            return Cell::value;
        }
    return Cell::bad;
}

bool is_utf8(std::string_view text) {
    const auto* at = reinterpret_cast<const std::uint8_t*>(text.data());
    const std::uint8_t* const end = at + text.size();
    const auto follows = [&](int count, std::uint8_t low, std::uint8_t high) {
        if (end - at <= count || at[1] < low || at[1] > high) return false;
        for (int i = 2; i <= count; ++i)
            if ((at[i] & 0xC0) != 0x80) return false;
        at += count + 1;
        return true;
    };
    // Unicode standard, table 3-7: well-formed byte sequences
    while (at < end) {
        const std::uint8_t lead = *at;
        if (lead < 0x80) {
            ++at;
        } else if (lead >= 0xC2 && lead <= 0xDF) {
            if (!follows(1, 0x80, 0xBF)) return false;
        } else if (lead >= 0xE0 && lead <= 0xEF) {
            if (!follows(2, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF)) return false;
        } else if (lead >= 0xF0 && lead <= 0xF4) {
            if (!follows(3, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF)) return false;
        } else {
            return false;
        }
    }
    return true;
}

}  // namespace netsieve
