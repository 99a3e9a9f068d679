// What the code of a variational autoencoder adds to its score, and sums of several kernels' parts of one score.
#pragma once

#include <cstddef>

#include "buffer.hpp"
#include "dense_layer.hpp"
#include "exponential.hpp"
#include "lanes.hpp"
#include "layered.hpp"

namespace netsieve::NETSIEVE_VARIANT {

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
