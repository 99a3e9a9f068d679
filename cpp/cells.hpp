// The text of one cell as a value. What a text means is decided here and nowhere else.
#pragma once

#include <cstdint>
#include <string_view>

namespace netsieve {

enum class Cell : std::uint8_t { value, missing, bad, fraction };

// Whether a text stands for "no value" in a number or boolean column: empty, "-", "?", and NA, N/A, NaN, null and none
// in any case.
bool is_missing_token(std::string_view text);

// "12", "+12", "-12"; also "3.0" and "1e3", whose value is integral. Cell::fraction: a number, but no 64-bit integer.
Cell parse_integer(std::string_view text, std::int64_t& value);

// Decimal and scientific notation, "inf" and "infinity". Beyond the range of float64: infinity, or zero.
Cell parse_number(std::string_view text, double& value);

// "true", "false", "t", "f" in any case, "1", "0".
Cell parse_boolean(std::string_view text, bool& value);

bool is_utf8(std::string_view text);

}  // namespace netsieve
