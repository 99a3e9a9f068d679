// What kernels of one or a few dense layers share, and the score of a dense network with one output.
#pragma once

#include <cstddef>
#include <cstdint>

#include "buffer.hpp"
#include "dense_layer.hpp"
#include "lanes.hpp"
#include "layered_parameters.hpp"

namespace netsieve::NETSIEVE_VARIANT {

// What these kernels share: the prepared view, stripe by stripe, and parts of the score by feature.
class LayeredKernel : public Kernel {
  public:
    View view() const override { return View::prepared; }
    int columns() const override { return columns_; }
    int features() const override { return features_; }

    void score(const float* block, int stripes, float* scores, Scratch& scratch) const noexcept override {
        for (int stripe = 0; stripe < stripes; ++stripe) {
            const int left = scratch.rows - stripe * stripe_rows;
            const int vectors = left < stripe_rows ? (left + LANES - 1) / LANES : VECTORS;
            score_stripe(block + floats(columns_) * static_cast<std::size_t>(stripe), vectors,
                         scores + stripe * stripe_rows, scratch.floats);
        }
    }

    void feature_error(const float* block, int stripes, float* errors, Scratch& scratch) const noexcept override {
        for (int stripe = 0; stripe < stripes; ++stripe) {
            float* const to = errors + floats(features_) * static_cast<std::size_t>(stripe);
            for (std::size_t i = 0; i < floats(features_); ++i) to[i] = 0;
            add_errors(block + floats(columns_) * static_cast<std::size_t>(stripe), to, scratch.floats);
        }
    }

  protected:
    // columns [columns][48] -> scores [48], for the first vectors
    virtual void score_stripe(const float* columns, int vectors, float* scores, float* scratch) const noexcept = 0;
    // columns [columns][48] -> added to errors [features][48]
    virtual void add_errors(const float*, float*, float*) const noexcept {}

    static constexpr int most_size = 1 << 16;

    static std::size_t floats(int columns) {
        return static_cast<std::size_t>(columns) * static_cast<std::size_t>(stripe_rows);
    }

    void set_columns(std::size_t columns) {
        expect(columns >= 1 && columns <= most_size, "a kernel has no columns, or too many");
        columns_ = static_cast<int>(columns);
    }

    void set_features(const IntValues& feature, std::int32_t features) {
        expect(feature.size == static_cast<std::size_t>(columns_) && features >= 1 && features <= most_size,
               "the features of a kernel are not one for each column");
        features_ = features;
        feature_.allocate(feature.size);
        for (std::size_t i = 0; i < feature.size; ++i) {
            expect(feature[i] >= 0 && feature[i] < features, "a column is of no feature");
            feature_[i] = feature[i];
        }
    }

    // Where the errors of a column are added
    float* errors_of(float* errors, std::size_t column) const { return errors + floats(feature_[column]); }

    static void pack_linear(DenseLayer& layer, const DenseLayerParameters& given, int inputs) {
        expect(given.slope == 1, "a layer is not linear");
        layer.pack(given);
        expect(layer.inputs() == inputs, "the layers of a kernel do not fit together");
    }

    static void copy(const FloatValues& from, std::size_t size, Array<float>& to) {
        expect(from.size == size, "the parameters of a kernel differ in length");
        to.allocate(size);
        for (std::size_t i = 0; i < size; ++i) to[i] = from[i];
    }

    // columns less the center, [columns][48]
    void subtract(const float* columns, const Array<float>& center, int vectors, float* to) const {
        for (std::size_t c = 0; c < center.size(); ++c)
            for (int v = 0; v < vectors; ++v) {
                const std::size_t at = c * stripe_rows + static_cast<std::size_t>(v) * LANES;
                store(to + at, load(columns + at) - broadcast(center[c]));
            }
    }

    // The squared lengths of the layer's outputs, [48]
    static void squared_lengths(const DenseLayer& layer, const float* input, int vectors, float* to) {
        for (int v = 0; v < VECTORS; ++v) store(to + v * LANES, zeros());
        layer.each_tile(input, vectors, [&]<int OUTPUTS, int COUNT>(const Tile<OUTPUTS, COUNT>& tile, int, int row) {
            for (int v = 0; v < COUNT; ++v) {
                Floats sum = zeros();
                for (int i = 0; i < OUTPUTS; ++i) sum = fma(tile.values[i][v], tile.values[i][v], sum);
                store(to + row + v * LANES, load(to + row + v * LANES) + sum);
            }
        });
    }

    int columns_ = 0;
    int features_ = 0;
    Array<std::int32_t> feature_;
};

class DenseScore final : public LayeredKernel {
  public:
    explicit DenseScore(const DenseScoreParameters& given) : layers_(given.layers.size) {
        expect(given.layers.size > 0, "a network has no layer");
        int width = given.layers[0].inputs;
        for (std::size_t i = 0; i < layers_.size(); ++i) {
            layers_[i].pack(given.layers[i]);
            expect(layers_[i].inputs() == width, "the layers of a network do not fit together");
            width = layers_[i].outputs();
            if (width > widest_) widest_ = width;
        }
        expect(width == 1, "the last layer of a network has more than one output");
        set_columns(static_cast<std::size_t>(given.layers[0].inputs));
    }

    std::size_t scratch_floats() const override { return 2 * floats(widest_); }

  protected:
    void score_stripe(const float* columns, int vectors, float* scores, float* scratch) const noexcept override {
        float* const buffers[2] = {scratch, scratch + floats(widest_)};
        int next = 0;
        for (std::size_t i = 0; i + 1 < layers_.size(); ++i) {
            layers_[i].apply(columns, vectors, buffers[next]);
            columns = buffers[next];
            next ^= 1;
        }
        layers_[layers_.size() - 1].apply(columns, vectors, scores);
    }

  private:
    Array<DenseLayer> layers_;
    int widest_ = 0;
};

}  // namespace netsieve::NETSIEVE_VARIANT
