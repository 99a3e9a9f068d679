#include "timestamps.hpp"

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>

namespace netsieve {

namespace {

constexpr std::int64_t microseconds_per_second = 1'000'000;
// Years 1 to 9999, as far as calendars of other libraries go.
constexpr double earliest_second = -62135596800.0;
constexpr double latest_second = 253402300799.0;

// Days since 1970-01-01 of a date in the proleptic Gregorian calendar (Hinnant, chrono-compatible date algorithms).
std::int64_t days_from_civil(int year, int month, int day) {
    year -= month <= 2;
    const int era = year / 400;
    const int year_of_era = year - era * 400;
    const int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    const int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return std::int64_t{era} * 146097 + day_of_era - 719468;
}

int days_in_month(int year, int month) {
    constexpr int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

class Reader {
  public:
    explicit Reader(std::string_view text) : text_(text) {}

    bool at_end() const { return at_ == text_.size(); }
    bool take(char wanted) {
        if (at_end() || text_[at_] != wanted) return false;
        ++at_;
        return true;
    }
    bool sees_digit() const { return !at_end() && text_[at_] >= '0' && text_[at_] <= '9'; }
    int take_digit() { return text_[at_++] - '0'; }
    bool take_number(int places, int& value) {
        value = 0;
        for (; places; --places) {
            if (!sees_digit()) return false;
            value = 10 * value + take_digit();
        }
        return true;
    }

  private:
    std::string_view text_;
    std::size_t at_ = 0;
};

constexpr std::size_t seconds_end = 19;

// What stands behind the seconds: places, cut at microseconds, and a zone, in minutes.
bool unusual_rest(std::string_view text, int& fraction, int& offset) {
    Reader reader(text);
    fraction = offset = 0;
    if (reader.take('.') || reader.take(',')) {
        if (!reader.sees_digit()) return false;
        for (int unit = 100'000; reader.sees_digit(); unit /= 10) fraction += unit * reader.take_digit();
    }
    int hour = 0, minute = 0;
    if (!reader.take('Z') && !reader.take('z') && !reader.at_end()) {
        const int direction = reader.take('+') ? 1 : reader.take('-') ? -1 : 0;
        if (!direction || !reader.take_number(2, hour)) return false;
        const bool colon = reader.take(':');
        if ((colon || !reader.at_end()) && !reader.take_number(2, minute)) return false;
        if (hour > 23 || minute > 59) return false;
        offset = direction * (60 * hour + minute);
    }
    return reader.at_end();
}

// Eight characters, of which those that are 0 stand for any digit.
struct Pattern {
    consteval Pattern(const char (&characters)[9]) {
        for (unsigned i = 0; i < 8; ++i) {
            expected |= std::uint64_t{static_cast<std::uint8_t>(characters[i])} << (8 * i);
            reach |= std::uint64_t{characters[i] == '0' ? 0x76U : 0x7FU} << (8 * i);
        }
    }

    std::uint64_t expected = 0;
    std::uint64_t reach = 0;  // from what may be left of each byte to its highest bit
};

// Whether a text has the pattern; its digits then, and zeros between them.
bool fits(const char* text, const Pattern& pattern, std::uint64_t& digits) {
    std::memcpy(&digits, text, 8);
    digits ^= pattern.expected;
    return (((digits + pattern.reach) | digits) & 0x8080808080808080U) == 0;
}

// The form that Suricata writes in UTC, 2021-06-06T14:05:06.123456+0000, read eight characters at a time.
bool parse_usual_time(const char* text, std::int64_t& microseconds) {
    std::uint64_t date = 0, hour = 0, second = 0, rest = 0;
    const bool usual = fits(text, "0000-00-", date) & fits(text + 8, "00T00:00", hour) &
                       fits(text + 16, ":00.0000", second) & fits(text + 23, "000+0000", rest);
    if (!usual || (rest >> 32)) return false;  // another zone
    // the byte of each digit with that of the next: a number of two digits
    const auto pair = [](std::uint64_t digits, unsigned at) {
        return static_cast<int>((digits * 10 + (digits >> 8)) >> (8 * at) & 0xFF);
    };
    const int year = 100 * pair(date, 0) + pair(date, 2), month = pair(date, 5), day = pair(hour, 0);
    const int hours = pair(hour, 3), minutes = pair(hour, 6), seconds = pair(second, 1);
    if (year < 1 || month < 1 || month > 12 || day < 1 || (day > 28 && day > days_in_month(year, month))) return false;
    if (hours > 23 || minutes > 59 || seconds > 60) return false;
    const int fraction = 10'000 * pair(second, 4) + 100 * pair(second, 6) + pair(rest, 1);
    const std::int64_t all_minutes = days_from_civil(year, month, day) * 1440 + hours * 60 + minutes;
    microseconds = (all_minutes * 60 + seconds) * microseconds_per_second + fraction;
    return true;
}

constexpr std::size_t usual_size = 31;

}  // namespace

bool parse_iso_time(std::string_view text, std::int64_t& microseconds) {
    if (std::endian::native == std::endian::little && text.size() == usual_size &&
        parse_usual_time(text.data(), microseconds))
        return true;
    // "2021-06-06T14:05:06" is common to all
    if (text.size() < seconds_end) return false;
    bool digits = true;
    const auto number = [&](std::size_t at, std::size_t places) {
        int value = 0;
        for (; places; ++at, --places) {
            const int digit = text[at] - '0';
            digits &= digit >= 0 && digit <= 9;
            value = 10 * value + digit;
        }
        return value;
    };
    const int year = number(0, 4), month = number(5, 2), day = number(8, 2);
    const int hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
    const bool marks = text[4] == '-' && text[7] == '-' && (text[10] == 'T' || text[10] == ' ' || text[10] == 't') &&
                       text[13] == ':' && text[16] == ':';
    if (!digits || !marks || year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    if (hour > 23 || minute > 59 || second > 60) return false;  // 60: a leap second is the next minute's first
    int fraction = 0, offset = 0;
    const std::size_t microseconds_end = seconds_end + 7;
    std::size_t zone = seconds_end;
    if (text.size() >= microseconds_end && text[seconds_end] == '.') {
        fraction = number(seconds_end + 1, 6);
        zone = microseconds_end;
    }
    // six places and a zone like +0000 are what Suricata writes
    const bool numeric_zone = text.size() == zone + 5 && (text[zone] == '+' || text[zone] == '-');
    const int zone_hour = numeric_zone ? number(zone + 1, 2) : 0, zone_minute = numeric_zone ? number(zone + 3, 2) : 0;
    if (digits && numeric_zone && zone_hour < 24 && zone_minute < 60)
        offset = (text[zone] == '+' ? 1 : -1) * (60 * zone_hour + zone_minute);
    else if (!unusual_rest(text.substr(seconds_end), fraction, offset))
        return false;
    const std::int64_t minutes = days_from_civil(year, month, day) * 1440 + hour * 60 + minute - offset;
    microseconds = (minutes * 60 + second) * microseconds_per_second + fraction;
    return true;
}

bool epoch_time(double seconds, std::int64_t& microseconds) {
    if (!(seconds >= earliest_second && seconds <= latest_second)) return false;
    microseconds = std::llround(seconds * static_cast<double>(microseconds_per_second));
    return true;
}

}  // namespace netsieve
