#include "json_walker.hpp"

namespace netsieve {

namespace {

bool hexadecimal(std::string_view text, std::size_t at, std::uint32_t& value) {
    if (at + 4 > text.size()) return false;
    value = 0;
    for (std::size_t i = at; i < at + 4; ++i) {
        const char c = text[i];
        const char lower = static_cast<char>(c | 0x20);
        const int digit = c >= '0' && c <= '9' ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
        if (digit < 0) return false;
        value = value << 4 | static_cast<std::uint32_t>(digit);
    }
    return true;
}

void append_utf8(std::uint32_t character, std::string& text) {
    const auto byte = [&](std::uint32_t value) { text.push_back(static_cast<char>(value)); };
    const auto tail = [&](unsigned shift) { byte(0x80 | (character >> shift & 0x3F)); };
    if (character < 0x80) {
        byte(character);
    } else if (character < 0x800) {
        byte(0xC0 | character >> 6);
        tail(0);
    } else if (character < 0x10000) {
        byte(0xE0 | character >> 12);
        tail(6);
        tail(0);
    } else {
        byte(0xF0 | character >> 18);
        tail(12);
        tail(6);
        tail(0);
    }
}

}  // namespace

bool unescape_json(std::string_view text, std::string& unescaped) {
    unescaped.clear();
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '\\') {
            unescaped.push_back(text[at]);
            continue;
        }
        if (++at == text.size()) return false;
        switch (text[at]) {
            case 'b':
                unescaped.push_back('\b');
                break;
            case 'f':
                unescaped.push_back('\f');
                break;
            case 'n':
                unescaped.push_back('\n');
                break;
            case 'r':
                unescaped.push_back('\r');
                break;
            case 't':
                unescaped.push_back('\t');
                break;
            case 'u': {
                std::uint32_t unit = 0, low = 0;
                if (!hexadecimal(text, at + 1, unit)) return false;
                at += 4;
                if (unit >= 0xDC00 && unit < 0xE000) return false;
                if (unit >= 0xD800 && unit < 0xDC00) {
                    if (text.substr(at + 1, 2) != "\\u" || !hexadecimal(text, at + 3, low)) return false;
                    if (low < 0xDC00 || low >= 0xE000) return false;
                    at += 6;
                    unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                }
                append_utf8(unit, unescaped);
                break;
            }
            default:
                unescaped.push_back(text[at]);
        }
    }
    return true;
}

}  // namespace netsieve
