// What the cells of Zeek's tab-separated logs mean, beyond what cells.hpp knows.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cells.hpp"

namespace netsieve {

// Seconds since 1970, as microseconds rounded to the nearest. Cell::missing where the text stands for no number.
Cell parse_epoch_time(std::string_view text, std::int64_t& microseconds);

// Replaces the \xNN by their bytes, as far as these are printable, \b \f \n \r \t, or part of valid UTF-8; the others
// stay as they are written, which is what Zeek's own JSON shows for them. Appends to the text. Returns false where
// bytes that were not escaped are no UTF-8.
class EscapedText {
  public:
    bool append_unescaped(std::string_view text, std::string& to);

  private:
    std::string bytes_;
    std::string escaped_;  // for each byte whether it was written as \xNN
};

// The shortest text that reads back as the same number, so that "60.000000" and "60.0" are one.
void append_number(double value, std::string& to);

}  // namespace netsieve
