// Stored rows as the search for the nearest takes them: see stored_rows.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "buffer.hpp"
#include "dense_layer.hpp"
#include "lanes.hpp"
#include "nearest_parameters.hpp"

namespace netsieve::NETSIEVE_VARIANT {

class PackedRows {
  protected:
    // Directions, or stored rows, of a register tile, and records of one
    static constexpr int outputs = most_tile_outputs;
    static constexpr int group_rows = tile_vectors * LANES;
    // Columns whose products are summed on their own: sums of many round worse
    static constexpr int part_columns = 16;
    static constexpr std::size_t part_size = (part_columns + 1) * outputs;

    explicit PackedRows(const StoredRowsParameters& p)
        : stored_(p.stored), columns_(p.columns), directions_(p.directions), features_(p.features) {
        check(p);
        padded_ = (columns_ + LANES - 1) / LANES * LANES;
        tiles_ = (stored_ + outputs - 1) / outputs;
        parts_ = (columns_ + part_columns - 1) / part_columns;
        projections_ = (directions_ + outputs - 1) / outputs;
        rows_ = FloatBuffer(size(stored_) * size(padded_));
        weight_ = FloatBuffer(size(padded_));
        center_.allocate(size(columns_));
        feature_.allocate(size(columns_));
        projection_.allocate(size(projections_) * size(parts_) * part_size);
        along_.allocate(size(tiles_) * tile_size());
        pack(p);
        // Unit roundoff times how many roundings a bound may have met, at worst: see set_limits. Without fused
        // multiplication there are twice as many.
        const double projected = (part_columns + parts_ + 4) * __builtin_sqrt(directions_);
        slack_ = static_cast<float>((3 * projected + 5.0 * directions_ + 0.5 * columns_ + 60.0) * 2 * 0x1p-24);
    }

    static constexpr std::size_t size(int count) { return static_cast<std::size_t>(count); }
    // Half squares and negative coordinates of a tile of stored rows
    std::size_t tile_size() const { return (size(directions_) + 2) * outputs; }

    int stored_, columns_, directions_, features_;
    int padded_ = 0, tiles_ = 0, parts_ = 0, projections_ = 0;
    float slack_ = 0;
    FloatBuffer rows_;    // [stored][padded]
    FloatBuffer weight_;  // [padded]
    Array<float> center_;
    Array<std::int32_t> feature_;
    Array<float> projection_;  // see projection()
    Array<float> along_;       // see tile_of()

  private:
    static constexpr int most_rows = 1 << 16;
    static constexpr float largest_value = 1e9f;  // squares times weights stay within float32
    static constexpr float beyond_rows = 3e38f;   // a bound that no limit reaches

    static void check(const StoredRowsParameters& p) {
        expect(p.stored >= 1 && p.columns >= 1 && p.stored <= most_rows && p.columns <= most_rows &&
                   p.rows.size == size(p.stored) * size(p.columns) && p.weight.size == size(p.columns) &&
                   p.feature.size == size(p.columns),
               "stored rows, weights and features are not of the same columns");
        expect(
            p.directions >= 1 && p.directions <= p.columns && p.direction.size == size(p.columns) * size(p.directions),
            "the directions are more than the columns, or none");
        for (std::size_t i = 0; i < p.feature.size; ++i)
            expect(p.feature[i] >= 0 && p.feature[i] < p.features, "a column of the stored rows is of no feature");
        for (std::size_t i = 0; i < p.rows.size; ++i)
            expect(__builtin_fabsf(p.rows[i]) <= largest_value, "a stored row holds no number, or a huge one");
        for (std::size_t i = 0; i < p.weight.size; ++i)
            expect(p.weight[i] >= 0.0f && p.weight[i] <= largest_value, "a weight is no number, below zero or huge");
        check_orthonormal(p);
    }

    // Bounds would be wrong without
    static void check_orthonormal(const StoredRowsParameters& p) {
        const std::size_t m = size(p.directions);
        for (std::size_t i = 0; i < m; ++i)
            for (std::size_t j = 0; j <= i; ++j) {
                double product = i == j ? -1.0 : 0.0;
                for (std::size_t c = 0; c < size(p.columns); ++c)
                    product += p.direction[c * m + i] * p.direction[c * m + j];
                expect(__builtin_fabs(product) < 1e-9, "the directions are not orthonormal");
            }
    }

    // Where the weight of a column for a direction is: [projections][parts]: zeros [outputs], then [columns][outputs]
    float& projection(std::size_t column, std::size_t direction) {
        const std::size_t part = direction / outputs * size(parts_) + column / part_columns;
        return projection_[part * part_size + (column % part_columns + 1) * outputs + direction % outputs];
    }

    void pack(const StoredRowsParameters& p) {
        const std::size_t d = size(columns_), m = size(directions_);
        for (std::size_t c = 0; c < d; ++c) {
            double sum = 0;
            for (std::size_t i = 0; i < size(stored_); ++i) {
                rows_.data()[i * size(padded_) + c] = p.rows[i * d + c];
                sum += double{p.rows[i * d + c]};
            }
            center_[c] = static_cast<float>(sum / stored_);
            weight_.data()[c] = p.weight[c];
            feature_[c] = p.feature[c];
            const double scale = __builtin_sqrt(double{p.weight[c]});
            for (std::size_t j = 0; j < m; ++j) projection(c, j) = static_cast<float>(scale * p.direction[c * m + j]);
        }
        for (std::size_t i = 0; i < size(tiles_) * outputs; ++i) tile_of(i)[0] = beyond_rows;
        for (std::size_t i = 0; i < size(stored_); ++i) {
            double square = 0, along_square = 0;
            for (std::size_t c = 0; c < d; ++c) {
                const double difference = double{p.rows[i * d + c]} - double{center_[c]};
                square += double{p.weight[c]} * difference * difference;
            }
            float* const tile = tile_of(i);
            for (std::size_t j = 0; j < m; ++j) {
                double sum = 0;
                for (std::size_t c = 0; c < d; ++c)
                    sum += double{projection(c, j)} * (double{p.rows[i * d + c]} - double{center_[c]});
                along_square += sum * sum;
                tile[(j + 1) * outputs] = static_cast<float>(-sum);
            }
            const double rest = square > along_square ? square - along_square : 0.0;
            tile[(m + 1) * outputs] = static_cast<float>(-__builtin_sqrt(rest));
            tile[0] = static_cast<float>(0.5 * square);
        }
    }

    // What bound() multiplies for a stored row, every `outputs`th number: half its square, its negative coordinates
    float* tile_of(std::size_t row) { return along_.data() + row / outputs * tile_size() + row % outputs; }
};

}  // namespace netsieve::NETSIEVE_VARIANT
