// The distance to the nearest stored rows: a search that compares most stored rows in a few directions only.
//
// Comparing every record with every stored row in all columns is most of the work of this score. Along m orthonormal
// directions of the scaled columns (the principal ones of the stored rows) with the lengths of what is left of both,
//     |x - r|^2 >= |x|^2 + |r|^2 - 2 (along x . along r) - 2 |rest of x| |rest of r|     (Cauchy and Schwarz)
// so that one product of matrices with m + 1 columns bounds all distances from below. Only rows whose bound, less what
// rounding may have added, does not exceed a distance that was found already are compared in full: in flows of public
// data sets 2 to 20 of 1,000. The result is exactly the least of all full comparisons: it does not depend on the
// directions, nor on other records.
//
// A full comparison takes the differences first, in the columns as they are: far out, where |x|^2 + |r|^2 - 2 x . r
// cancels, it is as good as nearby.
#pragma once

#include <cstddef>
#include <cstdint>

#include "buffer.hpp"
#include "dense.hpp"
#include "lanes.hpp"
#include "nearest_parameters.hpp"
#include "transpose.hpp"

namespace netsieve::NETSIEVE_VARIANT {

// Bit i is set where a_i <= b_i.
NETSIEVE_INLINE std::uint32_t bits_at_most(Floats a, Floats b) {
#if defined(__AVX512F__)
    return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
#elif defined(__AVX2__)
    return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LE_OQ)));
#else
    const Mask mask = a <= b;
    std::uint32_t bits = 0;
    for (int lane = 0; lane < LANES; ++lane) bits |= static_cast<std::uint32_t>(mask[lane] & 1) << lane;
    return bits;
#endif
}

NETSIEVE_INLINE Floats square_root(Floats values) {
#if defined(__AVX512F__)
    return _mm512_sqrt_ps(values);
#elif defined(__AVX2__)
    return _mm256_sqrt_ps(values);
#else
    Floats roots = values;
    for (int lane = 0; lane < LANES; ++lane) roots[lane] = __builtin_sqrtf(values[lane]);
    return roots;
#endif
}

NETSIEVE_INLINE float sum_of_lanes(Floats values) {
    typedef float Four __attribute__((vector_size(16)));
    Four sums;
#if defined(__AVX512F__)
    const __m256 halves = _mm256_add_ps(_mm512_castps512_ps256(values), _mm512_extractf32x8_ps(values, 1));
    sums = Four(_mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1)));
#elif defined(__AVX2__)
    sums = Four(_mm_add_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps(values, 1)));
#else
    sums = values;
#endif
    const Four pairs = sums + __builtin_shufflevector(sums, sums, 2, 3, 0, 1);
    return pairs[0] + pairs[1];
}

class StoredRows final : public Kernel {
  public:
    static constexpr int most_neighbours = 64;
    static constexpr int most_rows = 1 << 16;

    explicit StoredRows(const StoredRowsParameters& p)
        : stored_(p.stored),
          columns_(p.columns),
          neighbours_(p.neighbours),
          farthest_(p.farthest),
          directions_(p.directions),
          features_(p.features) {
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

    View view() const override { return View::prepared; }
    int columns() const override { return columns_; }
    int features() const override { return features_; }

    std::size_t scratch_floats() const override { return layout().total; }

    void score(const float* block, int stripes, float* scores, Scratch& scratch) const noexcept override {
        const Memory memory = cleared(scratch);
        for (int stripe = 0; stripe < stripes; ++stripe) {
            search(block + size(stripe) * size(columns_) * stripe_rows, records_in(stripe, scratch), memory);
            combine(memory, scores + stripe * stripe_rows);
        }
    }

    void feature_error(const float* block, int stripes, float* errors, Scratch& scratch) const noexcept override {
        const Memory memory = cleared(scratch);
        for (int stripe = 0; stripe < stripes; ++stripe) {
            const int records = records_in(stripe, scratch);
            search(block + size(stripe) * size(columns_) * stripe_rows, records, memory);
            float* const out = errors + size(stripe) * size(features_) * stripe_rows;
            for (std::size_t i = 0; i < size(features_) * stripe_rows; ++i) out[i] = 0.0f;
            for (int record = 0; record < records; ++record) add_errors(memory, record, out + record);
        }
    }

  private:
    // Directions, or stored rows, of a register tile, and records of one
    static constexpr int outputs = most_tile_outputs;
    static constexpr int group_rows = tile_vectors * LANES;
    // Columns whose products are summed on their own: sums of many round worse
    static constexpr int part_columns = 16;
    static constexpr std::size_t part_size = (part_columns + 1) * outputs;
    // Pairs of record and stored row that wait for a full comparison; one tile may add all of its own
    static constexpr int most_pairs = 1024;
    static_assert(most_pairs > outputs * group_rows);

    // Where things lie in the scratch memory, in floats; all starts are multiples of 16.
    struct Layout {
        std::size_t transposed, centered, along, length, limit, bounds, lowest, tile, distance, near, pairs, total;
    };

    struct Memory {
        Memory(const Layout& at, float* floats)
            : transposed(floats + at.transposed),
              centered(floats + at.centered),
              along(floats + at.along),
              length(floats + at.length),
              limit(floats + at.limit),
              bounds(floats + at.bounds),
              lowest(floats + at.lowest),
              tile(reinterpret_cast<std::int32_t*>(floats + at.tile)),
              distance(floats + at.distance),
              near(reinterpret_cast<std::uint64_t*>(floats + at.near)),
              pairs(reinterpret_cast<std::int32_t*>(floats + at.pairs)) {}

        float* transposed;   // [48][padded]: the records row by row, and zeros behind them
        float* centered;     // [columns][48]: less the mean of the stored rows
        float* along;        // [projections * outputs + 1][48]; the lengths of the rest in row `directions`
        float* length;       // [48]: squared, weighted
        float* limit;        // [48]: bounds above it need no full comparison
        float* bounds;       // [groups][tiles * outputs][group_rows]: (lower bound - length) / 2
        float* lowest;       // [groups][tiles][group_rows]: least bound of each tile
        std::int32_t* tile;  // [neighbours][48]: the tile of the least bound among the tiles of a section
        float* distance;      // [48]: of the last of the neighbours
        std::uint64_t* near;  // [48][neighbours], ascending: see key()
        std::int32_t* pairs;  // of stored row and record: row * 48 + record
    };

    static constexpr std::size_t size(int count) { return static_cast<std::size_t>(count); }
    // Half squares and negative coordinates of a tile of stored rows
    std::size_t tile_size() const { return (size(directions_) + 2) * outputs; }

    static int records_in(int stripe, const Scratch& scratch) {
        const int left = scratch.rows - stripe * stripe_rows;
        return left < stripe_rows ? left : stripe_rows;
    }

    Layout layout() const {
        Layout at{};
        std::size_t next = 0;
        const auto take = [&next](std::size_t floats) {
            const std::size_t start = next;
            next += (floats + 15) / 16 * 16;
            return start;
        };
        at.transposed = take(size(padded_) * stripe_rows);
        at.centered = take(size(columns_) * stripe_rows);
        at.along = take((size(projections_) * outputs + 1) * stripe_rows);
        at.length = take(stripe_rows);
        at.limit = take(stripe_rows);
        at.bounds = take(size(tiles_) * outputs * stripe_rows);
        at.lowest = take(size(tiles_) * stripe_rows);
        at.tile = take(size(neighbours_) * stripe_rows);
        at.distance = take(stripe_rows);
        at.near = take(2 * size(neighbours_) * stripe_rows);
        at.pairs = take(most_pairs + LANES);
        at.total = next;
        return at;
    }

    static void check(const StoredRowsParameters& p) {
        expect(p.stored >= 1 && p.columns >= 1 && p.stored <= most_rows && p.columns <= most_rows &&
                   p.rows.size == size(p.stored) * size(p.columns) && p.weight.size == size(p.columns) &&
                   p.feature.size == size(p.columns),
               "stored rows, weights and features are not of the same columns");
        expect(p.neighbours >= 1 && p.neighbours <= p.stored && p.neighbours <= most_neighbours,
               "the number of neighbours is not from 1 to 64, or above that of the stored rows");
        expect(p.directions >= 1 && p.directions <= p.columns &&
                   p.direction.size == size(p.columns) * size(p.directions),
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

    Memory cleared(Scratch& scratch) const noexcept {
        const Memory memory(layout(), scratch.floats);
        for (std::size_t i = 0; i < size(padded_) * stripe_rows; ++i) memory.transposed[i] = 0.0f;
        return memory;
    }

    // Finds the neighbours of the first records of a stripe [columns][48]: memory.near
    void search(const float* stripe, int records, const Memory& memory) const noexcept {
        transpose(stripe, memory.transposed);
        center(stripe, memory);
        const int used = (records + group_rows - 1) / group_rows;
        for (int group = 0; group < used; ++group) {
            if (records <= LANES)
                bound<1>(memory, group);
            else
                bound<tile_vectors>(memory, group);
        }
        compare_first(memory, records);
        for (int group = 0; group < used; ++group) compare_others(memory, group, records);
    }

    // [columns][48] -> [48][padded]
    void transpose(const float* stripe, float* out) const noexcept {
        if (columns_ < 4) {
            for (int c = 0; c < columns_; ++c)
                for (int row = 0; row < stripe_rows; ++row)
                    out[row * padded_ + c] = stripe[c * stripe_rows + row];
            return;
        }
        for (int left = columns_; left > 0; left -= 4) {
            const int c = columns_ - (left < 4 ? 4 : left);  // the last four may be some for the second time
            for (int v = 0; v < VECTORS; ++v) {
                const float* const from = stripe + c * stripe_rows + v * LANES;
                const Floats low = interleave_low(load(from), load(from + stripe_rows));
                const Floats high = interleave_high(load(from), load(from + stripe_rows));
                const Floats next_low = interleave_low(load(from + 2 * stripe_rows), load(from + 3 * stripe_rows));
                const Floats next_high = interleave_high(load(from + 2 * stripe_rows), load(from + 3 * stripe_rows));
                float* const to = out + size(v * LANES) * size(padded_) + c;
                store_quarters(to, join_low(low, next_low));
                store_quarters(to + padded_, join_high(low, next_low));
                store_quarters(to + 2 * padded_, join_low(high, next_high));
                store_quarters(to + 3 * padded_, join_high(high, next_high));
            }
        }
    }

    // Each 128 bits of a vector, four rows apart
    NETSIEVE_INLINE void store_quarters(float* to, Floats values) const {
        const auto four_rows = 4 * size(padded_);
#if defined(__AVX512F__)
        _mm_storeu_ps(to, _mm512_castps512_ps128(values));
        _mm_storeu_ps(to + four_rows, _mm512_extractf32x4_ps(values, 1));
        _mm_storeu_ps(to + 2 * four_rows, _mm512_extractf32x4_ps(values, 2));
        _mm_storeu_ps(to + 3 * four_rows, _mm512_extractf32x4_ps(values, 3));
#elif defined(__AVX2__)
        _mm_storeu_ps(to, _mm256_castps256_ps128(values));
        _mm_storeu_ps(to + four_rows, _mm256_extractf128_ps(values, 1));
#else
        (void)four_rows;
        store_any(to, values);
#endif
    }

    // Records less the mean of the stored rows, and their squared lengths
    void center(const float* stripe, const Memory& memory) const noexcept {
        for (int v = 0; v < VECTORS; ++v) {
            Floats sum[2] = {zeros(), zeros()};
            for (int c = 0; c < columns_; ++c) {
                const int at = c * stripe_rows + v * LANES;
                const Floats value = load(stripe + at) - broadcast(center_[size(c)]);
                store(memory.centered + at, value);
                sum[c & 1] = fma(value * broadcast(weight_.data()[c]), value, sum[c & 1]);
            }
            store(memory.length + v * LANES, sum[0] + sum[1]);
        }
    }

    // The records along the directions; of a group the first COUNT vectors of records
    template <int COUNT>
    void project(const Memory& memory, int group) const noexcept {
        const int first = group * group_rows;
        const float* weights = projection_.data();
        for (int tile = 0; tile < projections_; ++tile) {
            float* const out = memory.along + tile * outputs * stripe_rows + first;
            for (int part = 0; part < parts_; ++part, weights += part_size) {
                const int start = part * part_columns;
                const int count = columns_ - start < part_columns ? columns_ - start : part_columns;
                Tile<outputs, COUNT> products;
                products.start(weights);
                products.multiply(memory.centered + start * stripe_rows + first, weights + outputs, count);
                for (int i = 0; i < outputs; ++i)
                    for (int v = 0; v < COUNT; ++v) {
                        float* const to = out + i * stripe_rows + v * LANES;
                        store(to, part ? load(to) + products.values[i][v] : products.values[i][v]);
                    }
            }
        }
    }

    // What is left of the records' lengths: never less than it is, so that bounds are never more than they are
    template <int COUNT>
    void add_rest(const Memory& memory, int group) const noexcept {
        for (int v = 0; v < COUNT; ++v) {
            const int at = group * group_rows + v * LANES;
            const Floats length = load(memory.length + at);
            Floats along = zeros();
            for (int j = 0; j < directions_; ++j) {
                const Floats value = load(memory.along + j * stripe_rows + at);
                along = fma(value, value, along);
            }
            const Floats rest = max(length - along, zeros()) + length * broadcast(slack_);
            store(memory.along + directions_ * stripe_rows + at, square_root(rest));
        }
    }

    // (lower bound of the squared distance - squared length of the record) / 2 for all stored rows
    template <int COUNT>
    void bound(const Memory& memory, int group) const noexcept {
        project<COUNT>(memory, group);
        add_rest<COUNT>(memory, group);
        const int first = group * group_rows;
        const float* const along = memory.along + first;
        float* bounds = memory.bounds + size(group) * size(tiles_) * (outputs * group_rows);
        float* lowest = memory.lowest + size(group) * size(tiles_) * group_rows;
        const float* packed = along_.data();
        int tile = 0;
        for (int section = 0; section < neighbours_; ++section) {
            Floats least[COUNT];
            Ints place[COUNT];
            for (int v = 0; v < COUNT; ++v) {
                least[v] = broadcast(__builtin_inff());
                place[v] = Ints{} + tile;
            }
            for (const int end = section_start(section + 1); tile < end; ++tile) {
                Tile<outputs, COUNT> products;
                products.start(packed);
                products.multiply(along, packed + outputs, directions_ + 1);
                for (int v = 0; v < COUNT; ++v) {
                    Floats value = products.values[0][v];
                    store(bounds + v * LANES, value);
#pragma GCC unroll 8
                    for (int i = 1; i < outputs; ++i) {
                        store(bounds + i * group_rows + v * LANES, products.values[i][v]);
                        value = min(value, products.values[i][v]);
                    }
                    store(lowest + v * LANES, value);
                    const Mask lower = value < least[v];
                    least[v] = select(lower, value, least[v]);
                    place[v] = select(lower, Ints{} + tile, place[v]);
                }
                packed += tile_size();
                bounds += outputs * group_rows;
                lowest += group_rows;
            }
            for (int v = 0; v < COUNT; ++v)
                store(reinterpret_cast<float*>(memory.tile + section * stripe_rows + first) + v * LANES,
                      floats_of_bits(place[v]));
        }
    }

    // The tiles are cut into as many sections as neighbours are sought
    int section_start(int section) const {
        return static_cast<int>(static_cast<std::int64_t>(tiles_) * section / neighbours_);
    }

    // Compares each record with as many stored rows as neighbours are sought, those of the least bound in each section
    void compare_first(const Memory& memory, int records) const noexcept {
        for (int i = 0; i < neighbours_ * stripe_rows; ++i) memory.near[i] = key(__builtin_inff(), 0);
        for (int section = 0; section < neighbours_; ++section)
            for (int record = 0; record < records; ++record) {
                // sections may be empty where there are few tiles
                const int row = neighbours_ > tiles_ ? section : lowest_row(memory, section, record);
                keep(memory.near + record * neighbours_, key(compare(memory, record, row), row));
            }
        set_limits(memory, records);
    }

    // The row of the least bound in a tile
    int lowest_row(const Memory& memory, int section, int record) const noexcept {
        const int start = memory.tile[section * stripe_rows + record] * outputs;
        const float* const bounds =
            memory.bounds + (size(record / group_rows * tiles_) * outputs + size(start)) * group_rows + record % group_rows;
        float least = bounds[0];
        int best = 0;
        for (int i = 1; i < outputs; ++i) {
            const float value = bounds[i * group_rows];
            best = value < least ? i : best;
            least = value < least ? value : least;
        }
        return start + best < stored_ ? start + best : start;
    }

    // Compares the records of a group with all rows whose bound does not exclude them
    void compare_others(const Memory& memory, int group, int records) const noexcept {
        const float* bounds = memory.bounds + size(group) * size(tiles_) * (outputs * group_rows);
        const float* lowest = memory.lowest + size(group) * size(tiles_) * group_rows;
        const float* const limits = memory.limit + group * group_rows;
        Floats limit[tile_vectors];
        for (int v = 0; v < tile_vectors; ++v) limit[v] = load(limits + v * LANES);
        std::int32_t* const pairs = memory.pairs;
        int waiting = 0;
        for (int tile = 0; tile < tiles_; ++tile, bounds += outputs * group_rows, lowest += group_rows) {
            for (int v = 0; v < tile_vectors; ++v) {
                if (!bits_at_most(load(lowest + v * LANES), limit[v])) continue;
                for (int i = 0; i < outputs; ++i)
                    waiting += add_pairs(pairs + waiting,
                                         bits_at_most(load(bounds + i * group_rows + v * LANES), limit[v]),
                                         (tile * outputs + i) * stripe_rows + group * group_rows + v * LANES);
            }
            if (waiting <= most_pairs - outputs * group_rows) continue;
            compare_pairs(memory, waiting);
            waiting = 0;
            set_limits(memory, records);
            for (int v = 0; v < tile_vectors; ++v) limit[v] = load(limits + v * LANES);
        }
        compare_pairs(memory, waiting);
    }

    // Writes first + i for each bit i that is set, and perhaps something behind that; returns how many.
    NETSIEVE_INLINE static int add_pairs(std::int32_t* pairs, std::uint32_t bits, std::int32_t first) {
#if defined(__AVX512F__)
        const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
        const __m512i all = _mm512_add_epi32(_mm512_set1_epi32(first), lane);
        _mm512_storeu_si512(pairs, _mm512_maskz_compress_epi32(static_cast<__mmask16>(bits), all));
        return __builtin_popcount(bits);
#else
        int count = 0;
        for (; bits; bits &= bits - 1) pairs[count++] = first + __builtin_ctz(bits);
        return count;
#endif
    }

    void compare_pairs(const Memory& memory, int count) const noexcept {
        for (int i = 0; i < count; ++i) {
            const int row = memory.pairs[i] / stripe_rows, record = memory.pairs[i] % stripe_rows;
            if (row < stored_) keep(memory.near + record * neighbours_, key(compare(memory, record, row), row));
        }
    }

    // The squared weighted distance of a record and a stored row
    float compare(const Memory& memory, int record, int row) const noexcept {
        const float* const x = memory.transposed + size(record) * size(padded_);
        const float* const stored = rows_.data() + size(row) * size(padded_);
        const float* const weight = weight_.data();
        Floats even = zeros(), odd = zeros();
        int c = 0;
        for (; c + 2 * LANES <= padded_; c += 2 * LANES) {
            const Floats first = load(x + c) - load(stored + c);
            even = fma(first * load(weight + c), first, even);
            const Floats second = load(x + c + LANES) - load(stored + c + LANES);
            odd = fma(second * load(weight + c + LANES), second, odd);
        }
        if (c < padded_) {
            const Floats last = load(x + c) - load(stored + c);
            even = fma(last * load(weight + c), last, even);
        }
        return sum_of_lanes(even + odd);
    }

    // Distance and number of a stored row as one number, which grows with the distance, then with the number: the bits
    // of floats that are not negative grow with them. NaN is above all numbers.
    NETSIEVE_INLINE static std::uint64_t key(float distance, int row) {
        return std::uint64_t{__builtin_bit_cast(std::uint32_t, distance)} << 32 | static_cast<std::uint32_t>(row);
    }
    NETSIEVE_INLINE static float distance_of(std::uint64_t key) {
        return __builtin_bit_cast(float, static_cast<std::uint32_t>(key >> 32));
    }
    NETSIEVE_INLINE static int row_of(std::uint64_t key) { return static_cast<int>(key & 0xFFFFFFFF); }

    // Keeps the smallest keys, ascending, none twice
    NETSIEVE_INLINE void keep(std::uint64_t* near, std::uint64_t key) const {
        if (neighbours_ == 1) {
            *near = key < *near ? key : *near;
            return;
        }
        int at = neighbours_ - 1;
        if (key >= near[at]) return;
        while (at && key <= near[at - 1]) --at;
        if (key == near[at]) return;
        for (int i = neighbours_ - 1; i > at; --i) near[i] = near[i - 1];
        near[at] = key;
    }

    // Rows with a bound above the limit are farther than the last of the neighbours. slack_ covers, at worst, with
    // X = length, U = distance, R^2 = squared length of a stored row that is no farther, R^2 <= 2 X + 2 U, and n
    // roundings each: the projections (3 X + 2 U), their products with the stored rows' (5 X + 4 U), X and U.
    void set_limits(const Memory& memory, int records) const noexcept {
        for (int record = 0; record < stripe_rows; ++record)
            memory.distance[record] = distance_of(memory.near[(record + 1) * neighbours_ - 1]);
        for (int at = 0; at < stripe_rows; at += LANES) {
            const Floats distance = load(memory.distance + at) * broadcast(0.5f + 0.5f * slack_);
            store(memory.limit + at, distance - load(memory.length + at) * broadcast(0.5f - 0.5f * slack_));
        }
        for (int record = records; record < stripe_rows; ++record) memory.limit[record] = -__builtin_inff();
    }

    // What the distances of the neighbours come to, [48]
    void combine(const Memory& memory, float* scores) const noexcept {
        const bool all = !farthest_ && neighbours_ > 1;
        for (int record = 0; record < stripe_rows; ++record) {
            const std::uint64_t* const near = memory.near + record * neighbours_;
            float distance = distance_of(near[neighbours_ - 1]);
            if (all) {
                distance = distance_of(near[0]);
                for (int i = 1; i < neighbours_; ++i) distance += distance_of(near[i]);
                distance /= static_cast<float>(neighbours_);
            }
            scores[record] = 1.0f + distance;
        }
    }

    // errors [features][48]
    void add_errors(const Memory& memory, int record, float* errors) const noexcept {
        const float* const x = memory.transposed + size(record) * size(padded_);
        const bool all = !farthest_;
        const float share = all ? 1.0f / static_cast<float>(neighbours_) : 1.0f;
        for (int i = all ? 0 : neighbours_ - 1; i < neighbours_; ++i) {
            const float* const stored = rows_.data() + size(row_of(memory.near[record * neighbours_ + i])) * size(padded_);
            for (int c = 0; c < columns_; ++c) {
                const float difference = x[c] - stored[c];
                errors[feature_[size(c)] * stripe_rows] += weight_.data()[c] * difference * difference * share;
            }
        }
    }

    static constexpr float largest_value = 1e9f;  // squares times weights stay within float32
    static constexpr float beyond_rows = 3e38f;   // a bound that no limit reaches

    int stored_, columns_, neighbours_;
    bool farthest_;
    int directions_, features_;
    int padded_ = 0, tiles_ = 0, parts_ = 0, projections_ = 0;
    float slack_ = 0;
    FloatBuffer rows_;    // [stored][padded]
    FloatBuffer weight_;  // [padded]
    Array<float> center_;
    Array<std::int32_t> feature_;
    Array<float> projection_;
    Array<float> along_;
};

}  // namespace netsieve::NETSIEVE_VARIANT
