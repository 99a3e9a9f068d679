// Scores of one or a few dense layers: classifiers, normal distributions and hyperplanes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "buffer.hpp"
#include "cosine.hpp"
#include "dense.hpp"
#include "exponential.hpp"
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

class Hyperplane final : public LayeredKernel {
  public:
    explicit Hyperplane(const HyperplaneParameters& given) : offset_(given.offset) {
        set_columns(given.weight.size);
        set_features(given.feature, given.features);
        copy(given.weight, given.weight.size, weight_);
    }

    std::size_t scratch_floats() const override { return 0; }

  protected:
    void score_stripe(const float* columns, int vectors, float* scores, float*) const noexcept override {
        for (int v = 0; v < vectors; ++v) {
            Floats sums[2] = {zeros(), zeros()};
            for (std::size_t c = 0; c < weight_.size(); ++c)
                sums[c & 1] = fma(load(columns + c * stripe_rows + v * LANES), broadcast(weight_[c]), sums[c & 1]);
            store(scores + v * LANES, sums[0] + sums[1] + offset_);
        }
    }

    void add_errors(const float* columns, float* errors, float*) const noexcept override {
        for (std::size_t c = 0; c < weight_.size(); ++c)
            for (int v = 0; v < VECTORS; ++v) {
                float* const sum = errors_of(errors, c) + v * LANES;
                store(sum, fma(load(columns + c * stripe_rows + v * LANES), broadcast(weight_[c]), load(sum)));
            }
    }

  private:
    Array<float> weight_;
    float offset_;
};

class FourierHyperplane final : public LayeredKernel {
  public:
    explicit FourierHyperplane(const FourierHyperplaneParameters& given)
        : is_whitened_(given.center.size > 0), limit_(given.limit), offset_(given.offset) {
        expect(given.columns >= 1, "a kernel has no columns, or too many");
        set_columns(static_cast<std::size_t>(given.columns));
        int width = columns_;
        if (is_whitened_) {
            expect(limit_ > 0, "the limit of the components is not above zero");
            copy(given.center, static_cast<std::size_t>(columns_), center_);
            pack_linear(whitening_, given.whitening, columns_);
            width = whitening_.outputs();
        }
        pack_linear(frequency_, given.frequency, width);
        copy(given.normal, static_cast<std::size_t>(frequency_.outputs()), normal_);
    }

    std::size_t scratch_floats() const override {
        return is_whitened_ ? floats(columns_) + floats(whitening_.outputs()) : 0;
    }

  protected:
    void score_stripe(const float* columns, int vectors, float* scores, float* scratch) const noexcept override {
        if (is_whitened_) {
            float* const components = scratch + floats(columns_);
            subtract(columns, center_, vectors, scratch);
            whitening_.apply(scratch, vectors, components);
            for (int c = 0; c < whitening_.outputs(); ++c)
                for (int v = 0; v < vectors; ++v) {
                    float* const at = components + c * stripe_rows + v * LANES;
                    store(at, min(broadcast(limit_), max(broadcast(-limit_), load(at))));
                }
            columns = components;
        }
        for (int v = 0; v < VECTORS; ++v) store(scores + v * LANES, broadcast(offset_));
        frequency_.each_tile(
            columns, vectors, [&]<int OUTPUTS, int COUNT>(const Tile<OUTPUTS, COUNT>& tile, int first, int row) {
                for (int v = 0; v < COUNT; ++v) {
                    Floats sum = zeros();
                    for (int i = 0; i < OUTPUTS; ++i)
                        sum = fma(cosine(tile.values[i][v]), broadcast(normal_[static_cast<std::size_t>(first + i)]),
                                  sum);
                    store(scores + row + v * LANES, load(scores + row + v * LANES) - sum);
                }
            });
    }

  private:
    bool is_whitened_;
    float limit_, offset_;
    Array<float> center_, normal_;
    DenseLayer whitening_, frequency_;
};

class Divergence final : public LayeredKernel {
  public:
    explicit Divergence(const DivergenceParameters& given)
        : encoder_(given.encoder.size), limit_(given.limit), share_(given.share) {
        expect(given.encoder.size > 0, "a network has no layer");
        int width = given.encoder[0].inputs;
        for (std::size_t i = 0; i < encoder_.size(); ++i) {
            encoder_[i].pack(given.encoder[i]);
            expect(encoder_[i].inputs() == width, "the layers of a network do not fit together");
            width = encoder_[i].outputs();
            if (width > widest_) widest_ = width;
        }
        pack_linear(mean_, given.mean, width);
        pack_linear(log_variance_, given.log_variance, width);
        expect(mean_.outputs() == log_variance_.outputs(), "mean and log variance are not of the same code");
        expect(limit_ > 0 && limit_ < 80 && share_ >= 0, "the limit of a log variance is not above zero, or too high");
        set_columns(static_cast<std::size_t>(given.encoder[0].inputs));
    }

    std::size_t scratch_floats() const override { return 2 * floats(widest_); }

  protected:
    void score_stripe(const float* columns, int vectors, float* scores, float* scratch) const noexcept override {
        float* const buffers[2] = {scratch, scratch + floats(widest_)};
        int next = 0;
        for (std::size_t i = 0; i < encoder_.size(); ++i) {
            encoder_[i].apply(columns, vectors, buffers[next]);
            columns = buffers[next];
            next ^= 1;
        }
        squared_lengths(mean_, columns, vectors, scores);
        log_variance_.each_tile(
            columns, vectors, [&]<int OUTPUTS, int COUNT>(const Tile<OUTPUTS, COUNT>& tile, int, int row) {
                for (int v = 0; v < COUNT; ++v) {
                    Floats sum = zeros();
                    for (int i = 0; i < OUTPUTS; ++i) {
                        const Floats value = min(broadcast(limit_), max(broadcast(-limit_), tile.values[i][v]));
                        sum += exponential(value) - value - 1.0f;
                    }
                    store(scores + row + v * LANES, load(scores + row + v * LANES) + sum);
                }
            });
        if (share_ == 0) return;
        for (int v = 0; v < vectors; ++v)
            store(scores + v * LANES, log(load(scores + v * LANES) + 1.0f) * broadcast(share_));
    }

  private:
    Array<DenseLayer> encoder_;
    DenseLayer mean_, log_variance_;
    int widest_ = 0;
    float limit_, share_;
};

// The sum of several kernels' parts of one score.
class SumOfParts final : public Combination {
  public:
    explicit SumOfParts(int members) : members_(members) {
        expect(members >= 1 && members <= 64, "a sum is of from 1 to 64 parts");
    }

    int members() const override { return members_; }

    void combine(const float* members, int stripes, float* scores) const noexcept override {
        for (int row = 0; row < stripes * stripe_rows; row += LANES) {
            Floats sum = load(members + row);
            for (int i = 1; i < members_; ++i) sum += load(members + i * block_rows + row);
            store(scores + row, sum);
        }
    }

  private:
    int members_;
};

}  // namespace netsieve::NETSIEVE_VARIANT
