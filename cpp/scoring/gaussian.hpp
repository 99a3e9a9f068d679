// Scores of normal distributions: an ellipsoid, and mixtures.
#pragma once

#include <cstddef>

#include "buffer.hpp"
#include "dense_layer.hpp"
#include "exponential.hpp"
#include "lanes.hpp"
#include "layered.hpp"

namespace netsieve::NETSIEVE_VARIANT {

class Ellipsoid final : public LayeredKernel {
  public:
    explicit Ellipsoid(const EllipsoidParameters& given) {
        set_columns(given.center.size);
        set_features(given.feature, given.features);
        copy(given.center, given.center.size, center_);
        zeros_.allocate(given.center.size);
        pack_linear(whitening_,
                    {.inputs = columns_,
                     .outputs = columns_,
                     .weight = given.whitening,
                     .bias = {zeros_.data(), zeros_.size()},
                     .slope = 1},
                    columns_);
    }

    std::size_t scratch_floats() const override { return floats(columns_); }

  protected:
    void score_stripe(const float* columns, int vectors, float* scores, float* scratch) const noexcept override {
        subtract(columns, center_, vectors, scratch);
        squared_lengths(whitening_, scratch, vectors, scores);
        for (int v = 0; v < vectors; ++v) store(scores + v * LANES, load(scores + v * LANES) + 1.0f);
    }

    void add_errors(const float* columns, float* errors, float* scratch) const noexcept override {
        subtract(columns, center_, VECTORS, scratch);
        whitening_.each_tile(
            scratch, VECTORS, [&]<int OUTPUTS, int COUNT>(const Tile<OUTPUTS, COUNT>& tile, int first, int row) {
                for (int i = 0; i < OUTPUTS; ++i)
                    for (int v = 0; v < COUNT; ++v) {
                        float* const sum = errors_of(errors, static_cast<std::size_t>(first + i)) + row + v * LANES;
                        store(sum, fma(tile.values[i][v], tile.values[i][v], load(sum)));
                    }
            });
    }

  private:
    Array<float> center_, zeros_;
    DenseLayer whitening_;
};

class Mixture final : public LayeredKernel {
  public:
    explicit Mixture(const MixtureParameters& given) : layers_(given.layers.size) {
        const std::size_t components = given.log_height.size;
        expect(components >= 1 && components <= most_size && given.columns >= 1, "a mixture has no part, or too many");
        set_columns(static_cast<std::size_t>(given.columns));
        copy(given.log_height, components, log_height_);
        if (layers_.size()) {
            expect(layers_.size() == components, "a mixture has not one layer for each part");
            for (std::size_t k = 0; k < components; ++k) pack_linear(layers_[k], given.layers[k], columns_);
        } else {
            const std::size_t size = components * static_cast<std::size_t>(columns_);
            copy(given.center, size, center_);
            copy(given.whitening, size, whitening_);
        }
    }

    std::size_t scratch_floats() const override { return (log_height_.size() + 1) * stripe_rows; }

  protected:
    void score_stripe(const float* columns, int vectors, float* scores, float* scratch) const noexcept override {
        const std::size_t components = log_height_.size();
        float* const largest = scratch + components * stripe_rows;
        for (std::size_t k = 0; k < components; ++k) {
            float* const exponent = scratch + k * stripe_rows;
            if (layers_.size()) {
                squared_lengths(layers_[k], columns, vectors, exponent);
            } else {
                diagonal_distances(columns, k, vectors, exponent);
            }
            for (int v = 0; v < vectors; ++v) {
                const Floats value = fma(load(exponent + v * LANES), broadcast(-0.5f), broadcast(log_height_[k]));
                store(exponent + v * LANES, value);
                store(largest + v * LANES, k ? max(load(largest + v * LANES), value) : value);
            }
        }
        for (int v = 0; v < vectors; ++v) {
            const Floats most = load(largest + v * LANES);
            Floats sum = zeros();
            for (std::size_t k = 0; k < components; ++k)
                sum += exponential(load(scratch + k * stripe_rows + v * LANES) - most);
            store(scores + v * LANES, (1.0f - most) - log(sum));
        }
    }

  private:
    void diagonal_distances(const float* columns, std::size_t component, int vectors, float* to) const {
        const std::size_t first = component * static_cast<std::size_t>(columns_);
        for (int v = 0; v < vectors; ++v) {
            Floats even = zeros(), odd = zeros();
            for (int c = 0; c < columns_; ++c) {
                const std::size_t at = first + static_cast<std::size_t>(c);
                const Floats centered = load(columns + c * stripe_rows + v * LANES) - broadcast(center_[at]);
                const Floats whitened = centered * broadcast(whitening_[at]);
                (c & 1 ? odd : even) = fma(whitened, whitened, c & 1 ? odd : even);
            }
            store(to + v * LANES, even + odd);
        }
    }

    Array<float> log_height_, center_, whitening_;
    Array<DenseLayer> layers_;
};

}  // namespace netsieve::NETSIEVE_VARIANT
