// A dense autoencoder in one pass over 48 rows: all layers from one cache-sized buffer to the next, and the errors of
// the last one summed in registers, so that what it rebuilds is never stored.
#pragma once

#include <cstddef>
#include <cstdint>

#include "buffer.hpp"
#include "dense_layer.hpp"
#include "lanes.hpp"
#include "parameters.hpp"

namespace netsieve::NETSIEVE_VARIANT {

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
