// A dense autoencoder in one pass over 48 rows: all layers from one cache-sized buffer to the next, and the errors of
// the last one summed in registers, so that what it rebuilds is never stored.
//
// A layer computes a tile of a few outputs for 3 vectors of rows at once: 8 outputs with 32 registers, 4 with 16. Each
// weight is then loaded once for 3 multiplications and each input once for as many as there are outputs. Outputs are
// cut into tiles of about equal size (41 into 7 7 7 7 7 6), which wastes none: 12 accumulators and more keep two
// multipliers of four cycles busy.
#pragma once

#include <cstddef>
#include <cstdint>

#include "buffer.hpp"
#include "lanes.hpp"
#include "parameters.hpp"

namespace netsieve::NETSIEVE_VARIANT {

inline constexpr int most_tile_outputs = REGISTERS == 32 ? 8 : 4;
inline constexpr int tile_vectors = 3;  // of which a stripe has whole tiles

// What one-hot columns add to a layer's outputs is one weight of each: it is looked up by the number of the column that
// is 1, where tables of up to 64 weights lie in registers. Measured with AVX-512 at 94 columns, of which 53 are of
// three categories: a whole plan takes 11 % less time. Without such permutations a multiplication for each is no
// slower.
#if defined(__AVX512F__)
inline constexpr int least_looked_up = 6;
inline constexpr int most_looked_up = 4 * LANES;

template <int TABLES>
struct Table {
    Floats values[TABLES];

    NETSIEVE_INLINE explicit Table(const float* from) {
        for (int t = 0; t < TABLES; ++t) values[t] = load(from + t * LANES);
    }
    // beyond: lanes whose index is 2 * LANES or more
    NETSIEVE_INLINE Floats at(Ints index, __mmask16 beyond) const {
        const auto lanes = reinterpret_cast<__m512i>(index);
        if constexpr (TABLES == 1) return _mm512_permutexvar_ps(lanes, values[0]);
        const __m512 low = _mm512_permutex2var_ps(values[0], lanes, values[1]);
        if constexpr (TABLES == 2) return low;
        if constexpr (TABLES == 3) return _mm512_mask_permutexvar_ps(low, beyond, lanes, values[2]);
        return _mm512_mask_blend_ps(beyond, low, _mm512_permutex2var_ps(values[2], lanes, values[3]));
    }
};
#else
inline constexpr int least_looked_up = 1;
inline constexpr int most_looked_up = 0;
#endif

template <int OUTPUTS, int COUNT>
struct Tile {
    Floats values[OUTPUTS][COUNT];

    // bias [OUTPUTS]
    NETSIEVE_INLINE void start(const float* bias) {
#pragma GCC unroll 8
        for (int i = 0; i < OUTPUTS; ++i) {
            const Floats value = broadcast(bias[i]);
#pragma GCC unroll 3
            for (int v = 0; v < COUNT; ++v) values[i][v] = value;
        }
    }

    // input [inputs][48] from the tile's first row; weights [inputs][OUTPUTS]
    NETSIEVE_INLINE void multiply(const float* input, const float* weights, int inputs) {
        for (int k = 0; k < inputs; ++k) {
            Floats x[COUNT];
#pragma GCC unroll 3
            for (int v = 0; v < COUNT; ++v) x[v] = load(input + v * LANES);
#pragma GCC unroll 8
            for (int i = 0; i < OUTPUTS; ++i) {
                const Floats weight = broadcast(weights[i]);
#pragma GCC unroll 3
                for (int v = 0; v < COUNT; ++v) values[i][v] = fma(weight, x[v], values[i][v]);
            }
            input += stripe_rows;
            weights += OUTPUTS;
        }
    }

#if defined(__AVX512F__)
    // tables [OUTPUTS][TABLES * LANES]; index: of the tile's rows
    template <int TABLES>
    NETSIEVE_INLINE void look_up(const float* tables, const float* index) {
        Ints lanes[COUNT];
        __mmask16 beyond[COUNT];
#pragma GCC unroll 3
        for (int v = 0; v < COUNT; ++v) {
            lanes[v] = bits_of(load(index + v * LANES));
            beyond[v] = _mm512_cmpge_epi32_mask(reinterpret_cast<__m512i>(lanes[v]), _mm512_set1_epi32(2 * LANES));
        }
#pragma GCC unroll 8
        for (int i = 0; i < OUTPUTS; ++i) {
            const Table<TABLES> table(tables + i * TABLES * LANES);
#pragma GCC unroll 3
            for (int v = 0; v < COUNT; ++v) values[i][v] += table.at(lanes[v], beyond[v]);
        }
    }
#endif
};

// Calls run with the number of a tile's outputs as a constant.
template <typename Run>
NETSIEVE_INLINE void with_outputs(int outputs, Run run) {
    switch (outputs) {
        case 1:
            return run.template operator()<1>();
        case 2:
            return run.template operator()<2>();
        case 3:
            return run.template operator()<3>();
        case 4:
            return run.template operator()<4>();
#if defined(__AVX512F__) || defined(__aarch64__)
        case 5:
            return run.template operator()<5>();
        case 6:
            return run.template operator()<6>();
        case 7:
            return run.template operator()<7>();
        case 8:
            return run.template operator()<8>();
#endif
        default:
            __builtin_unreachable();
    }
}

class DenseLayer {
  public:
    DenseLayer() = default;

    // one_hot: of the inputs; they are looked up where that is faster
    void pack(const DenseLayerParameters& given, const Values<OneHotColumns>& one_hot = {}) {
        expect(
            given.inputs > 0 && given.inputs <= most_size && given.outputs > 0 && given.outputs <= most_size &&
                given.weight.size == static_cast<std::size_t>(given.inputs) * static_cast<std::size_t>(given.outputs) &&
                given.bias.size == static_cast<std::size_t>(given.outputs),
            "the weights of a layer have another size");
        expect(given.slope >= 0 && given.slope <= 1, "the slope of an activation is not between 0 and 1");
        inputs_ = given.inputs;
        outputs_ = given.outputs;
        slope_ = given.slope;
        tiles_ = (outputs_ + most_tile_outputs - 1) / most_tile_outputs;
        split_inputs(one_hot);
        weights_ = FloatBuffer((multiplied_ + 1) * static_cast<std::size_t>(outputs_));
        float* to = weights_.data();
        for (int tile = 0, first = 0; tile < tiles_; first += tile_outputs(tile++)) {
            const int count = tile_outputs(tile);
            for (int i = 0; i < count; ++i) *to++ = given.bias[static_cast<std::size_t>(first + i)];
            for (std::size_t run = 0; run < runs_.size(); ++run)
                for (int k = runs_[run].first; k < runs_[run].first + runs_[run].count; ++k)
                    for (int i = 0; i < count; ++i) *to++ = weight_of(given, k, first + i);
        }
        pack_tables(given);
    }

    // Sets of inputs that are looked up, whose indices write_indices writes [sets][48]
    std::size_t looked_up() const { return looked_up_.size(); }
    void write_indices(const float* input, int vectors, float* indices) const {
        for (std::size_t set = 0; set < looked_up_.size(); ++set, indices += stripe_rows) {
            const OneHotColumns& columns = looked_up_[set];
            const float* const hot = input + static_cast<std::size_t>(columns.first) * stripe_rows;
            for (int v = 0; v < vectors; ++v) {
                Floats number = zeros();
                for (int k = 1; k < columns.count; ++k)
                    number = fma(load(hot + k * stripe_rows + v * LANES), broadcast(static_cast<float>(k)), number);
                store(indices + v * LANES, floats_of_bits(as_ints(number)));
            }
        }
    }

    int inputs() const { return inputs_; }
    int outputs() const { return outputs_; }

    // input [inputs][48] -> output [outputs][48] for the first vectors of rows; indices: of write_indices, if any
    void apply(const float* input, int vectors, float* output, const float* indices = nullptr) const {
        const auto writer = [&]<int OUTPUTS, int COUNT>(const Tile<OUTPUTS, COUNT>& tile, int first, int row) {
            float* const to = output + static_cast<std::size_t>(first) * stripe_rows + row;
            if (slope_ == 1) {
                write(tile, to, [](Floats value) { return value; });
            } else if (slope_ == 0) {
                write(tile, to, [](Floats value) { return max(value, zeros()); });
            } else {
                write(tile, to, [&](Floats value) { return max(value * slope_, value); });
            }
        };
        if (indices) {
            each_tile<true>(input, vectors, writer, indices);
        } else {
            each_tile(input, vectors, writer);
        }
    }

    // Calls use with each tile of outputs, the number of its first output and its first row.
    template <bool LOOKS_UP = false, typename Use>
    NETSIEVE_INLINE void each_tile(const float* input, int vectors, Use use, const float* indices = nullptr) const {
        for (int first = 0; first < vectors; first += tile_vectors) {
            if (vectors - first == 1) {
                each_tile_of<1, LOOKS_UP>(input, indices, first * LANES, use);
            } else {
                each_tile_of<tile_vectors, LOOKS_UP>(input, indices, first * LANES, use);
            }
        }
    }

  private:
    static constexpr int most_size = 1 << 16;

    int tile_outputs(int tile) const { return outputs_ / tiles_ + (tile < outputs_ % tiles_); }

    static float weight_of(const DenseLayerParameters& given, int input, int output) {
        return given.weight[static_cast<std::size_t>(input) * static_cast<std::size_t>(given.outputs) +
                            static_cast<std::size_t>(output)];
    }

    static int tables_of(int count) { return (count + LANES - 1) / LANES; }

    // Into runs of inputs that are multiplied, and sets of those that are looked up between them.
    void split_inputs(const Values<OneHotColumns>& one_hot) {
        std::size_t sets = 0;
        for (std::size_t i = 0; i < one_hot.size; ++i) sets += is_looked_up(one_hot[i]);
        looked_up_.allocate(sets);
        runs_.allocate(sets + 1);
        multiplied_ = 0;
        int start = 0, after = 0;
        for (std::size_t i = 0, set = 0; i <= one_hot.size; ++i) {
            const OneHotColumns columns = i < one_hot.size ? one_hot[i] : OneHotColumns{inputs_, 0};
            expect(columns.first >= after && columns.first <= inputs_ && columns.count >= 0 &&
                       columns.count <= inputs_ - columns.first,
                   "the one-hot columns do not lie one after the other");
            after = columns.first + columns.count;
            if (i < one_hot.size && !is_looked_up(columns)) continue;
            runs_[set] = {start, columns.first - start};
            multiplied_ += static_cast<std::size_t>(runs_[set].count);
            if (i < one_hot.size) looked_up_[set++] = columns;
            start = after;
        }
    }
    static bool is_looked_up(const OneHotColumns& columns) {
        return columns.count >= least_looked_up && columns.count <= most_looked_up;
    }

    void pack_tables(const DenseLayerParameters& given) {
        std::size_t size = 0;
        for (std::size_t set = 0; set < looked_up_.size(); ++set)
            size += static_cast<std::size_t>(tables_of(looked_up_[set].count) * LANES);
        tables_ = FloatBuffer(size * static_cast<std::size_t>(outputs_));
        float* to = tables_.data();
        for (int tile = 0, first = 0; tile < tiles_; first += tile_outputs(tile++))
            for (std::size_t set = 0; set < looked_up_.size(); ++set)
                for (int i = 0; i < tile_outputs(tile); ++i, to += tables_of(looked_up_[set].count) * LANES)
                    for (int k = 0; k < looked_up_[set].count; ++k)
                        to[k] = weight_of(given, looked_up_[set].first + k, first + i);
    }

    template <int COUNT, bool LOOKS_UP, typename Use>
    NETSIEVE_INLINE void each_tile_of(const float* input, const float* indices, int row, Use use) const {
        const float* weights = weights_.data();
        const float* tables = tables_.data();
        for (int number = 0, first = 0; number < tiles_; ++number) {
            const int count = tile_outputs(number);
            with_outputs(count, [&]<int OUTPUTS>() {
                Tile<OUTPUTS, COUNT> tile;
                tile.start(weights);
                if constexpr (LOOKS_UP) {
                    const float* at = weights + OUTPUTS;
                    for (std::size_t run = 0; run < runs_.size(); ++run) {
                        tile.multiply(input + static_cast<std::size_t>(runs_[run].first) * stripe_rows + row, at,
                                      runs_[run].count);
                        at += static_cast<std::size_t>(runs_[run].count) * OUTPUTS;
                    }
                    tables = look_up(tile, tables, indices + row);
                } else {
                    tile.multiply(input + row, weights + OUTPUTS, inputs_);
                }
                use(tile, first, row);
            });
            weights += static_cast<std::size_t>(count) * (multiplied_ + 1);
            first += count;
        }
    }

    // Returns the tables of the next tile.
    template <int OUTPUTS, int COUNT>
    NETSIEVE_INLINE const float* look_up([[maybe_unused]] Tile<OUTPUTS, COUNT>& tile, const float* tables,
                                         [[maybe_unused]] const float* indices) const {
#if defined(__AVX512F__)
        for (std::size_t set = 0; set < looked_up_.size(); ++set, indices += stripe_rows) {
            const int count = tables_of(looked_up_[set].count);
            switch (count) {
                case 1:
                    tile.template look_up<1>(tables, indices);
                    break;
                case 2:
                    tile.template look_up<2>(tables, indices);
                    break;
                case 3:
                    tile.template look_up<3>(tables, indices);
                    break;
                default:
                    tile.template look_up<4>(tables, indices);
            }
            tables += static_cast<std::size_t>(count) * LANES * OUTPUTS;
        }
#endif
        return tables;
    }

    template <int OUTPUTS, int COUNT, typename Change>
    NETSIEVE_INLINE static void write(const Tile<OUTPUTS, COUNT>& tile, float* to, Change change) {
#pragma GCC unroll 8
        for (int i = 0; i < OUTPUTS; ++i)
#pragma GCC unroll 3
            for (int v = 0; v < COUNT; ++v) store(to + i * stripe_rows + v * LANES, change(tile.values[i][v]));
    }

    int inputs_ = 0;
    int outputs_ = 0;
    int tiles_ = 1;
    float slope_ = 1;
    std::size_t multiplied_ = 0;  // inputs that are not looked up
    Array<OneHotColumns> runs_;   // those, first and count
    Array<OneHotColumns> looked_up_;
    FloatBuffer weights_;  // by tiles: bias, weights of the multiplied inputs
    FloatBuffer tables_;   // by tiles and sets, for each output
};

class DenseAutoencoder final : public Kernel {
  public:
    explicit DenseAutoencoder(const DenseAutoencoderParameters& given)
        : encoder_(given.encoder.size),
          decoder_(given.decoder.size),
          aggregation_(given.aggregation),
          features_(given.features),
          share_(given.share),
          latent_share_(given.latent_divisor),
          base_score_(given.base_score) {
        expect(given.encoder.size > 0 && given.decoder.size > 0, "an autoencoder has no encoder or no decoder");
        int width = given.encoder[0].inputs;
        columns_ = width;
        for (std::size_t i = 0; i < encoder_.size(); ++i)
            add(given.encoder[i], encoder_[i], width, i == 0 ? given.one_hot : Values<OneHotColumns>{});
        has_latent_ = given.latent.weight.size > 0;
        if (has_latent_) {
            int code = width;
            add(given.latent, latent_, code);
            expect(given.latent.slope == 1 && latent_share_ > 0,
                   "the latent distance is not linear, or has no divisor");
            latent_share_ = 1 / latent_share_;
        }
        for (std::size_t i = 0; i < decoder_.size(); ++i) add(given.decoder[i], decoder_[i], width);
        const auto columns = static_cast<std::size_t>(columns_);
        expect(width == columns_ && given.error_weight.size == columns && given.feature.size == columns,
               "an autoencoder does not rebuild the columns that it takes");
        expect(features_ > 0 && features_ <= (1 << 16), "an autoencoder has no feature, or too many");
        weight_.allocate(columns);
        feature_.allocate(columns);
        for (std::size_t i = 0; i < columns; ++i) {
            weight_[i] = given.error_weight[i];
            feature_[i] = given.feature[i];
            expect(feature_[i] >= 0 && feature_[i] < features_, "a column is of no feature");
            expect(aggregation_ != Aggregation::log_mean || weight_[i] >= 0, "the weight of an error is negative");
        }
    }

    View view() const override { return View::prepared; }
    int columns() const override { return columns_; }
    int features() const override { return features_; }
    std::size_t scratch_floats() const override { return (2 * widest_ + encoder_[0].looked_up()) * stripe_rows; }

    void score(const float* block, int stripes, float* scores, Scratch& scratch) const noexcept override {
        for (int stripe = 0; stripe < stripes; ++stripe) {
            const float* const columns = block + stripe_floats(columns_) * static_cast<std::size_t>(stripe);
            const int left = scratch.rows - stripe * stripe_rows;
            const int vectors = left < stripe_rows ? (left + LANES - 1) / LANES : VECTORS;
            float* const to = scores + stripe * stripe_rows;
            const float* const hidden = run(columns, vectors, to, scratch);
            const DenseLayer& last = decoder_[decoder_.size() - 1];
            if (aggregation_ == Aggregation::log_mean) {
                add_log_errors(last, hidden, columns, vectors, to);
            } else {
                add_errors(last, hidden, columns, vectors, to);
            }
        }
    }

    void feature_error(const float* block, int stripes, float* errors, Scratch& scratch) const noexcept override {
        alignas(vector_alignment) float unused[stripe_rows];
        for (int stripe = 0; stripe < stripes; ++stripe) {
            const float* const columns = block + stripe_floats(columns_) * static_cast<std::size_t>(stripe);
            float* const to = errors + stripe_floats(features_) * static_cast<std::size_t>(stripe);
            const float* const hidden = run(columns, VECTORS, unused, scratch);
            for (std::size_t i = 0; i < stripe_floats(features_); ++i) to[i] = 0;
            decoder_[decoder_.size() - 1].each_tile(
                hidden, VECTORS, [&]<int OUTPUTS, int COUNT>(const Tile<OUTPUTS, COUNT>& tile, int first, int row) {
                    for (int i = 0; i < OUTPUTS; ++i) {
                        const auto column = static_cast<std::size_t>(first + i);
                        float* const sum = to + stripe_floats(feature_[column]) + row;
                        for (int v = 0; v < COUNT; ++v) {
                            const Floats z = load(columns + column * stripe_rows + row + v * LANES);
                            store(sum + v * LANES, load(sum + v * LANES) + error(tile.values[i][v] - z, column));
                        }
                    }
                });
        }
    }

  private:
    static std::size_t stripe_floats(int columns) {
        return static_cast<std::size_t>(columns) * static_cast<std::size_t>(stripe_rows);
    }

    void add(const DenseLayerParameters& given, DenseLayer& layer, int& width,
             const Values<OneHotColumns>& one_hot = {}) {
        layer.pack(given, one_hot);
        expect(layer.inputs() == width, "the layers of an autoencoder do not fit together");
        width = layer.outputs();
        if (static_cast<std::size_t>(width) > widest_) widest_ = static_cast<std::size_t>(width);
    }

    // All layers but the last: writes what the scores have before any error, and returns the inputs of the last layer.
    const float* run(const float* columns, int vectors, float* scores, Scratch& scratch) const {
        float* const buffers[2] = {scratch.floats, scratch.floats + widest_ * stripe_rows};
        int next = 0;
        const float* values = columns;
        for (std::size_t i = 0; i < encoder_.size(); ++i) {
            if (i == 0 && encoder_[0].looked_up()) {
                float* const indices = scratch.floats + 2 * widest_ * stripe_rows;
                encoder_[0].write_indices(columns, vectors, indices);
                encoder_[0].apply(columns, vectors, buffers[next], indices);
            } else {
                encoder_[i].apply(values, vectors, buffers[next]);
            }
            values = buffers[next];
            next ^= 1;
        }
        write_latent(values, vectors, scores);
        for (int v = 0; v < VECTORS; ++v) store(scores + v * LANES, load(scores + v * LANES) + base_score_);
        for (std::size_t i = 0; i + 1 < decoder_.size(); ++i) {
            decoder_[i].apply(values, vectors, buffers[next]);
            values = buffers[next];
            next ^= 1;
        }
        return values;
    }

    void write_latent(const float* code, int vectors, float* scores) const {
        for (int v = 0; v < VECTORS; ++v) store(scores + v * LANES, zeros());
        if (!has_latent_) return;
        latent_.each_tile(code, vectors, [&]<int OUTPUTS, int COUNT>(const Tile<OUTPUTS, COUNT>& tile, int, int row) {
            for (int v = 0; v < COUNT; ++v) {
                Floats sum = load(scores + row + v * LANES);
                for (int i = 0; i < OUTPUTS; ++i) sum = fma(tile.values[i][v], tile.values[i][v], sum);
                store(scores + row + v * LANES, sum);
            }
        });
        if (aggregation_ != Aggregation::log_mean) return;
        for (int v = 0; v < vectors; ++v)
            store(scores + v * LANES, log(load(scores + v * LANES) + 1.0f) * latent_share_);
    }

    Floats error(Floats residual, std::size_t column) const {
        if (aggregation_ == Aggregation::absolute) return magnitude(residual) * weight_[column];
        const Floats weighted = residual * residual * weight_[column];
        return aggregation_ == Aggregation::log_mean ? log(weighted + 1.0f) * share_ : weighted;
    }

    void add_errors(const DenseLayer& last, const float* hidden, const float* columns, int vectors,
                    float* scores) const {
        const bool is_absolute = aggregation_ == Aggregation::absolute;
        last.each_tile(hidden, vectors,
                       [&]<int OUTPUTS, int COUNT>(const Tile<OUTPUTS, COUNT>& tile, int first, int row) {
                           const float* const z = columns + static_cast<std::size_t>(first) * stripe_rows + row;
                           const float* const weights = weight_.data() + first;
                           Floats sums[COUNT] = {};
#pragma GCC unroll 8
                           for (int i = 0; i < OUTPUTS; ++i) {
                               const Floats weight = broadcast(weights[i]);
#pragma GCC unroll 3
                               for (int v = 0; v < COUNT; ++v) {
                                   const Floats residual = tile.values[i][v] - load(z + i * stripe_rows + v * LANES);
                                   const Floats size = is_absolute ? magnitude(residual) : residual * residual;
                                   sums[v] = fma(size, weight, sums[v]);
                               }
                           }
                           for (int v = 0; v < COUNT; ++v)
                               store(scores + row + v * LANES, load(scores + row + v * LANES) + sums[v]);
                       });
    }

    // The sum of logarithms as one of a product, whose powers of two are counted apart so that it cannot overflow.
    void add_log_errors(const DenseLayer& last, const float* hidden, const float* columns, int vectors,
                        float* scores) const {
        alignas(vector_alignment) float products[stripe_rows];
        alignas(vector_alignment) float powers[stripe_rows];
        for (int v = 0; v < VECTORS; ++v) {
            store(products + v * LANES, broadcast(1.0f));
            store(powers + v * LANES, zeros());
        }
        last.each_tile(
            hidden, vectors, [&]<int OUTPUTS, int COUNT>(const Tile<OUTPUTS, COUNT>& tile, int first, int row) {
                const float* const z = columns + static_cast<std::size_t>(first) * stripe_rows + row;
                const float* const weights = weight_.data() + first;
#pragma GCC unroll 3
                for (int v = 0; v < COUNT; ++v) {
                    Floats product = load(products + row + v * LANES);
                    Floats power = load(powers + row + v * LANES);
                    Ints counted = {};
#pragma GCC unroll 8
                    for (int i = 0; i < OUTPUTS; ++i) {
                        const Floats residual = tile.values[i][v] - load(z + i * stripe_rows + v * LANES);
                        Ints exponent;
                        product *=
                            split_power(fma(residual * residual, broadcast(weights[i]), broadcast(1.0f)), exponent);
                        counted += exponent;
                    }
                    Ints exponent;
                    store(products + row + v * LANES, split_power(product, exponent));
                    store(powers + row + v * LANES, power + as_floats(counted + exponent));
                }
            });
        for (int v = 0; v < vectors; ++v) {
            const Floats power = load(powers + v * LANES);
            const Floats low = fma(power, broadcast(log_of_2_low), log_of_mantissa(load(products + v * LANES)));
            const Floats sum = fma(power, broadcast(log_of_2_high), low);
            store(scores + v * LANES, fma(sum, broadcast(share_), load(scores + v * LANES)));
        }
    }

    Array<DenseLayer> encoder_;
    Array<DenseLayer> decoder_;
    DenseLayer latent_;
    bool has_latent_ = false;
    Aggregation aggregation_;
    int columns_ = 0;
    int features_;
    float share_;
    float latent_share_;
    float base_score_;
    std::size_t widest_ = 0;
    Array<float> weight_;
    Array<std::int32_t> feature_;
};

}  // namespace netsieve::NETSIEVE_VARIANT
