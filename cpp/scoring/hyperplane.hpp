// Scores of hyperplanes: among the columns, or among random Fourier features of them.
#pragma once

#include <cstddef>

#include "buffer.hpp"
#include "cosine.hpp"
#include "dense_layer.hpp"
#include "lanes.hpp"
#include "layered.hpp"

namespace netsieve::NETSIEVE_VARIANT {

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
        frequency_.each_tile(columns, vectors,
                             [&]<int OUTPUTS, int COUNT>(const Tile<OUTPUTS, COUNT>& tile, int first, int row) {
                                 for (int v = 0; v < COUNT; ++v) {
                                     Floats sum = zeros();
                                     for (int i = 0; i < OUTPUTS; ++i)
                                         sum = fma(cosine(tile.values[i][v]),
                                                   broadcast(normal_[static_cast<std::size_t>(first + i)]), sum);
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

}  // namespace netsieve::NETSIEVE_VARIANT
