// An ensemble's score: each member's score taken to its surprise, which are then combined.
//
// The interval of a score is found by comparing with every knot: 64 comparisons for 16 rows are less than a search of
// each.
#pragma once

#include <cstddef>
#include <cstdint>

#include "buffer.hpp"
#include "lanes.hpp"
#include "nearest_parameters.hpp"

namespace netsieve::NETSIEVE_VARIANT {

class TailRank {
  public:
    static constexpr std::size_t most_intervals = 4096;

    void pack(const TailRankParameters& p) {
        intervals_ = p.base.size;
        expect(intervals_ >= 1 && intervals_ <= most_intervals && p.slope.size == intervals_ &&
                   p.knots.size == intervals_ + 1,
               "the lines of a tail rank are none, more than 4,096, or not one for each interval");
        for (std::size_t i = 0; i < intervals_; ++i)
            expect(p.knots[i] <= p.knots[i + 1], "the knots of a tail rank do not ascend");
        expect(p.reach > 0 && p.decay > 0, "the reach or the decay of a tail rank is not above zero");
        knots_.allocate(intervals_ + 1);
        base_.allocate(intervals_);
        slope_.allocate(intervals_);
        for (std::size_t i = 0; i <= intervals_; ++i) knots_[i] = p.knots[i];
        for (std::size_t i = 0; i < intervals_; ++i) {
            base_[i] = p.base[i];
            slope_[i] = p.slope[i];
        }
        median_ = p.median;
        reach_ = p.reach;
        decay_ = p.decay;
    }

    // NaN of NaN
    NETSIEVE_INLINE Floats surprise(Floats score) const {
        const Floats inside = min(broadcast(knots_[intervals_]), max(broadcast(knots_[0]), score));
        Ints interval = {};
        for (std::size_t i = 1; i < intervals_; ++i) interval -= inside > broadcast(knots_[i]);
        alignas(vector_alignment) std::int32_t place[LANES];
        store(reinterpret_cast<float*>(place), floats_of_bits(interval));
        alignas(vector_alignment) float start[LANES], base[LANES], slope[LANES];
        for (int lane = 0; lane < LANES; ++lane) {
            const auto i = static_cast<std::size_t>(place[lane]);
            start[lane] = knots_[i];
            base[lane] = base_[i];
            slope[lane] = slope_[i];
        }
        const Floats below = fma(inside - load(start), load(slope), load(base));
        const Floats ratio = max(broadcast(1.0f), (score - broadcast(median_)) / broadcast(reach_));
        return below + log(ratio) / broadcast(decay_);
    }

  private:
    std::size_t intervals_ = 0;
    Array<float> knots_, base_, slope_;
    float median_ = 0, reach_ = 1, decay_ = 1;
};

class TailRanks final : public Combination {
  public:
    static constexpr std::size_t most_members = 64;

    explicit TailRanks(const TailRanksParameters& p) : combination_(p.combination) {
        expect(p.ranks.size >= 1 && p.ranks.size <= most_members, "an ensemble has from 1 to 64 members");
        ranks_.allocate(p.ranks.size);
        for (std::size_t i = 0; i < p.ranks.size; ++i) ranks_[i].pack(p.ranks[i]);
    }

    int members() const override { return static_cast<int>(ranks_.size()); }

    void combine(const float* members, int stripes, float* scores) const noexcept override {
        for (int row = 0; row < stripes * stripe_rows; row += LANES) {
            Floats surprises[most_members];
            for (std::size_t i = 0; i < ranks_.size(); ++i)
                surprises[i] = ranks_[i].surprise(load(members + i * block_rows + row));
            store(scores + row, broadcast(1.0f) + combined(surprises));
        }
    }

  private:
    // NaN where a surprise is
    NETSIEVE_INLINE Floats combined(Floats* surprises) const {
        const std::size_t count = ranks_.size();
        Floats sum = surprises[0], largest = surprises[0];
        for (std::size_t i = 1; i < count; ++i) {
            sum += surprises[i];
            largest = max(largest, surprises[i]);
        }
        if (combination_ == SurpriseCombination::mean) return sum / broadcast(static_cast<float>(count));
        if (combination_ == SurpriseCombination::max) return select(is_nan(sum), sum, largest);
        for (std::size_t i = 1; i < count; ++i)
            for (std::size_t j = i; j; --j) {
                const Floats lower = min(surprises[j - 1], surprises[j]);
                surprises[j] = max(surprises[j - 1], surprises[j]);
                surprises[j - 1] = lower;
            }
        const Floats middle = (surprises[(count - 1) / 2] + surprises[count / 2]) * 0.5f;
        return select(is_nan(sum), sum, middle);
    }

    SurpriseCombination combination_;
    Array<TailRank> ranks_;
};

}  // namespace netsieve::NETSIEVE_VARIANT
