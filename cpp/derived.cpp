#include "derived.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <vector>

#include "column_buffers.hpp"

namespace nb = nanobind;

namespace netsieve {

namespace {

using Column = std::shared_ptr<ColumnBuffers>;

constexpr std::int64_t microseconds_per_hour = 3'600'000'000;
constexpr double seconds_per_microsecond = 1e-6;

void require(const ColumnBuffers& column, bool is_wanted, const char* wanted) {
    if (!is_wanted)
        throw std::invalid_argument("expected " + std::string(wanted) + ", got Arrow format '" + column.arrow_format() +
                                    "'");
}

void require_time(const ColumnBuffers& column) { require(column, column.kind() == ColumnKind::time, "a time column"); }

void require_equal_length(const ColumnBuffers& first, const ColumnBuffers& second) {
    if (first.rows() != second.rows()) throw std::invalid_argument("the columns have different lengths");
}

// Integers or numbers.
class Numbers {
  public:
    explicit Numbers(const ColumnBuffers& column) : column_(column), integers_(column.kind() == ColumnKind::integer) {
        require(column, integers_ || column.kind() == ColumnKind::number, "a column of numbers");
    }

    double at(std::size_t row) const {
        return integers_ ? static_cast<double>(column_.integer_at(row)) : column_.number_at(row);
    }
    // Integers are added as such, which wraps around beyond 64 bits.
    double sum(const Numbers& other, std::size_t row) const {
        if (!integers_ || !other.integers_) return at(row) + other.at(row);
        const auto word = [row](const Numbers& numbers) {
            return static_cast<std::uint64_t>(numbers.column_.integer_at(row));
        };
        return static_cast<double>(static_cast<std::int64_t>(word(*this) + word(other)));
    }

  private:
    const ColumnBuffers& column_;
    bool integers_;
};

// A column whose value in a row is set by set(column, row), which returns whether there is one, and missing where an
// input is.
template <typename Set>
Column derive(ColumnKind kind, const ColumnBuffers& first, const ColumnBuffers& second, Set set) {
    require_equal_length(first, second);
    auto derived = std::make_shared<ColumnBuffers>(kind, first.rows());
    for (std::size_t row = 0; row < first.rows(); ++row)
        if (first.is_missing(row) || second.is_missing(row) || !set(*derived, row)) derived->set_missing(row);
    derived->finish(first.rows());
    return derived;
}

Column elapsed_seconds(const ColumnBuffers& start, const ColumnBuffers& end) {
    require_time(start);
    require_time(end);
    return derive(ColumnKind::number, start, end, [&](ColumnBuffers& column, std::size_t row) {
        const std::int64_t elapsed = end.integer_at(row) - start.integer_at(row);
        column.set_number(row, static_cast<double>(elapsed) * seconds_per_microsecond);
        return true;
    });
}

Column share(const ColumnBuffers& part, const ColumnBuffers& rest) {
    const Numbers parts(part), rests(rest);
    return derive(ColumnKind::number, part, rest, [&](ColumnBuffers& column, std::size_t row) {
        const double value = parts.at(row) / parts.sum(rests, row);
        column.set_number(row, value);
        return !std::isnan(value);
    });
}

Column mean(const ColumnBuffers& total, const ColumnBuffers& count) {
    const Numbers totals(total), counts(count);
    return derive(ColumnKind::number, total, count, [&](ColumnBuffers& column, std::size_t row) {
        const double number = counts.at(row);
        column.set_number(row, totals.at(row) / number);
        return number > 0;
    });
}

Column hour_of_day(const ColumnBuffers& time) {
    require_time(time);
    return derive(ColumnKind::integer, time, time, [&](ColumnBuffers& column, std::size_t row) {
        constexpr std::int64_t day = 24 * microseconds_per_hour;
        const std::int64_t since_midnight = time.integer_at(row) % day;
        column.set_integer(row, (since_midnight < 0 ? since_midnight + day : since_midnight) / microseconds_per_hour);
        return true;
    });
}

std::vector<double> epoch_seconds(const ColumnBuffers& time, const ColumnBuffers& otherwise) {
    require_time(time);
    require_time(otherwise);
    require_equal_length(time, otherwise);
    std::vector<double> seconds(time.rows());
    for (std::size_t row = 0; row < time.rows(); ++row) {
        const ColumnBuffers& known = time.is_missing(row) ? otherwise : time;
        seconds[row] = known.is_missing(row) ? std::numeric_limits<double>::quiet_NaN()
                                             : static_cast<double>(known.integer_at(row)) / 1e6;
    }
    return seconds;
}

template <Column (*derived)(const ColumnBuffers&, const ColumnBuffers&)>
Column unlocked(const Column& first, const Column& second) {
    nb::gil_scoped_release released;
    return derived(*first, *second);
}

}  // namespace

void register_derived(nb::module_& module) {
    module.def("elapsed_seconds", unlocked<elapsed_seconds>, nb::arg("start"), nb::arg("end"),
               "Return a number Column: seconds between two time Columns; null where one is.");
    module.def("share", unlocked<share>, nb::arg("part"), nb::arg("rest"),
               "Return a number Column: what part is of part and rest together, two Columns of integers or numbers;\n"
               "null where one is, and where both are zero.");
    module.def("mean", unlocked<mean>, nb::arg("total"), nb::arg("count"),
               "Return a number Column: total divided by count, two Columns of integers or numbers; null where one\n"
               "is, and where count is not positive.");
    module.def(
        "hour_of_day",
        [](const Column& time) {
            nb::gil_scoped_release released;
            return hour_of_day(*time);
        },
        nb::arg("time"), "Return an integer Column: hours since midnight, UTC, of a time Column.");
    module.def(
        "epoch_seconds",
        [](const Column& time, const Column& otherwise) {
            auto seconds = std::make_unique<std::vector<double>>();
            {
                nb::gil_scoped_release released;
                *seconds = epoch_seconds(*time, *otherwise);
            }
            std::vector<double>* const owned = seconds.release();
            const nb::capsule owner(owned,
                                    [](void* memory) noexcept { delete static_cast<std::vector<double>*>(memory); });
            return nb::ndarray<nb::numpy, double, nb::ndim<1>>(owned->data(), {owned->size()}, owner);
        },
        nb::arg("time"), nb::arg("otherwise"),
        "Return float64 [n]: seconds since 1970 of a time Column; where it is null, of another; NaN where both are.");
}

}  // namespace netsieve
