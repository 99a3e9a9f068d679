// The columns of a record as kernels take them: the arithmetic of netsieve.export.preprocessing, 48 rows at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "buffer.hpp"
#include "lanes.hpp"
#include "parameters.hpp"

namespace netsieve::NETSIEVE_VARIANT {

class ColumnPreparation final : public Preparation {
  public:
    explicit ColumnPreparation(const PreparationParameters& given)
        : features_(given.features),
          is_scaled_(given.view == View::prepared),
          limit_(given.limit),
          largest_excess_(given.largest_excess) {
        expect(features_ > 0 && features_ <= most_columns, "a record has no feature, or too many");
        expect(!is_scaled_ || (limit_ > 0 && largest_excess_ >= 1), "the soft clip has no positive limit");
        numbers_.allocate(given.numbers.size);
        for (std::size_t i = 0; i < given.numbers.size; ++i) {
            const NumericColumn& number = given.numbers[i];
            expect(is_feature(number.feature), "a number is of no feature");
            expect(!is_scaled_ || (number.scale > 0 && 1 / number.scale < __builtin_inff()),
                   "the scale of a number is not positive, or too small");
            numbers_[i] = number;
            numbers_[i].scale = 1 / number.scale;
            numbers_[i].signed_log = number.signed_log && is_scaled_;
        }
        indicated_.allocate(given.indicated.size);
        for (std::size_t i = 0; i < given.indicated.size; ++i) {
            const std::int32_t number = given.indicated[i];
            expect(number >= 0 && static_cast<std::size_t>(number) < numbers_.size(), "an indicator is of no number");
            indicated_[i] = numbers_[static_cast<std::size_t>(number)].feature;
        }
        std::size_t columns = numbers_.size() + indicated_.size();
        categories_.allocate(given.categories.size);
        for (std::size_t i = 0; i < given.categories.size; ++i) {
            pack(given.categories[i], categories_[i]);
            columns += static_cast<std::size_t>(categories_[i].columns);
            expect(columns <= static_cast<std::size_t>(most_columns), "a record has too many columns");
        }
        expect(columns > 0 && columns <= static_cast<std::size_t>(most_columns),
               "a record has no columns, or too many");
        columns_ = static_cast<int>(columns);
    }

    int features() const override { return features_; }
    int columns() const override { return columns_; }

    void prepare(const float* raw, int stripes, int rows, float* block) const noexcept override {
        for (int stripe = 0; stripe < stripes; ++stripe) {
            const int left = rows - stripe * stripe_rows;
            const int vectors = left < stripe_rows ? (left + LANES - 1) / LANES : VECTORS;
            prepare_stripe(raw, vectors, block);
            raw += static_cast<std::size_t>(features_) * stripe_rows;
            block += static_cast<std::size_t>(columns_) * stripe_rows;
        }
    }

  private:
    static constexpr int most_columns = 1 << 16;

    struct Category {
        std::int32_t feature;
        std::int32_t rows;
        std::int32_t columns;
        bool is_one_hot;          // all columns but the first are 0, and 1 in one of them
        Array<float> values;      // [rows, columns]
        Array<std::int32_t> hot;  // [rows]: the column that is 1
    };

    bool is_feature(std::int32_t feature) const { return feature >= 0 && feature < features_; }

    void pack(const CategoryTable& given, Category& category) const {
        expect(is_feature(given.feature), "a category is of no feature");
        expect(given.rows > 1 && given.rows < (1 << 22) && given.columns > 0 && given.columns <= most_columns &&
                   given.values.size == static_cast<std::size_t>(given.rows) * static_cast<std::size_t>(given.columns),
               "the table of a category has another size");
        category.feature = given.feature;
        category.rows = given.rows;
        category.columns = given.columns;
        category.values.allocate(given.values.size);
        category.hot.allocate(static_cast<std::size_t>(given.rows));
        category.is_one_hot = given.columns > 1;
        for (std::size_t i = 0; i < given.values.size; ++i) {
            const std::size_t row = i / static_cast<std::size_t>(given.columns);
            const auto column = static_cast<std::int32_t>(i % static_cast<std::size_t>(given.columns));
            const float value = given.values[i];
            category.values[i] = value;
            if (column == 0) continue;
            if (value == 1 && category.hot[row] == 0) {
                category.hot[row] = column;
            } else if (value != 0) {
                category.is_one_hot = false;
            }
        }
        for (std::size_t row = 0; row < category.hot.size(); ++row)
            if (category.hot[row] == 0) category.is_one_hot = false;
    }

    void prepare_stripe(const float* raw, int vectors, float* block) const {
        for (std::size_t i = 0; i < numbers_.size(); ++i, block += stripe_rows)
            prepare_number(numbers_[i], raw + static_cast<std::size_t>(numbers_[i].feature) * stripe_rows, vectors,
                           block);
        for (std::size_t i = 0; i < indicated_.size(); ++i, block += stripe_rows) {
            const float* const from = raw + static_cast<std::size_t>(indicated_[i]) * stripe_rows;
            for (int v = 0; v < vectors; ++v)
                store(block + v * LANES, select(is_nan(load(from + v * LANES)), broadcast(1.0f), zeros()));
        }
        for (std::size_t i = 0; i < categories_.size(); ++i) {
            const Category& category = categories_[i];
            look_up(category, raw + static_cast<std::size_t>(category.feature) * stripe_rows, vectors, block);
            block += static_cast<std::size_t>(category.columns) * stripe_rows;
        }
    }

    void prepare_number(const NumericColumn& number, const float* from, int vectors, float* to) const {
        if (!is_scaled_) {
            for (int v = 0; v < vectors; ++v) store(to + v * LANES, load(from + v * LANES));
            return;
        }
        for (int v = 0; v < vectors; ++v) {
            const Floats raw = load(from + v * LANES);
            Floats z = raw;
            if (number.signed_log) z = with_sign(log(magnitude(raw) + 1.0f), raw);
            z = (z - number.center) * number.scale;
            const Floats size = magnitude(z);
            if (any(size > limit_)) {
                // where all are within the limit, the logarithm below would be that of 1
                const Floats inner = min(max(z, broadcast(-limit_)), broadcast(limit_));
                const Floats excess = min(max(size - (limit_ - 1.0f), broadcast(1.0f)), broadcast(largest_excess_));
                z = inner + with_sign(log(excess), z);
            }
            store(to + v * LANES, select(is_nan(raw), broadcast(number.fill), z));
        }
    }

    static Floats with_sign(Floats size, Floats of) {
        return floats_of_bits(bits_of(size) | (bits_of(of) & static_cast<std::int32_t>(0x80000000U)));
    }

    // Rows of a table: of a missing code 0, of one that is no whole number 1, of one beyond the table the last.
    static Ints table_rows(Floats codes, std::int32_t rows) {
        const Floats known = select(is_nan(codes), zeros(), codes);
        constexpr float all_whole = 8388608.0f;  // from here on float32 has no fractions
        const Floats within = min(max(known, broadcast(-all_whole)), broadcast(all_whole));
        const Mask whole = (as_floats(as_ints(within)) == known) | (magnitude(known) >= all_whole);
        const Ints index = as_ints(select(whole, within, broadcast(1.0f)));
        const Ints last = Ints{} + (rows - 1);
        return select((index < 0) | (index > last), last, index);
    }

    void look_up(const Category& category, const float* from, int vectors, float* to) const {
        alignas(vector_alignment) std::int32_t rows[stripe_rows];
        for (int v = 0; v < vectors; ++v)
            store(reinterpret_cast<float*>(rows) + v * LANES,
                  floats_of_bits(table_rows(load(from + v * LANES), category.rows)));
        const auto columns = static_cast<std::size_t>(category.columns);
        const int count = vectors * LANES;
        if (!category.is_one_hot) {
            for (int row = 0; row < count; ++row) {
                const float* const values = category.values.data() + static_cast<std::size_t>(rows[row]) * columns;
                for (std::size_t column = 0; column < columns; ++column)
                    to[column * stripe_rows + static_cast<std::size_t>(row)] = values[column];
            }
            return;
        }
        for (std::size_t column = 1; column < columns; ++column)
            for (int v = 0; v < vectors; ++v) store(to + column * stripe_rows + v * LANES, zeros());
        for (int row = 0; row < count; ++row) {
            const auto at = static_cast<std::size_t>(rows[row]);
            to[row] = category.values[at * columns];
            to[static_cast<std::size_t>(category.hot[at]) * stripe_rows + static_cast<std::size_t>(row)] = 1.0f;
        }
    }

    int features_;
    bool is_scaled_;
    float limit_;
    float largest_excess_;
    int columns_ = 0;
    Array<NumericColumn> numbers_;
    Array<std::int32_t> indicated_;  // features
    Array<Category> categories_;
};

}  // namespace netsieve::NETSIEVE_VARIANT
