// What the kernel of stored rows and the combination by tail ranks are made from; see parameters.hpp.
#pragma once

#include <cstdint>

#include "parameters.hpp"

namespace netsieve {

// The score is 1 + sum_j weight_j * (z_j - row_j)^2 for the nearest stored row, or the mean of that sum over the
// nearest `neighbours`, or that of the farthest of them.
struct StoredRowsParameters {
    std::int32_t stored;
    std::int32_t columns;
    FloatValues rows;    // [stored, columns], finite
    FloatValues weight;  // [columns], finite, not below zero
    std::int32_t neighbours;
    bool farthest;
    // [columns, directions], float64: orthonormal, so that distances along them bound those of the scaled columns
    // sqrt(weight_j) * z_j from below. Any will do; the closer they bound, the fewer rows are compared in full.
    std::int32_t directions;
    Values<double> direction;
    IntValues feature;  // [columns]: the feature of each column
    std::int32_t features;
};

// The surprise of a score: linear between knots, and beyond the last a power law; netsieve.engine.detectors.tail_rank.
struct TailRankParameters {
    FloatValues knots;  // [intervals + 1], ascending
    FloatValues base;   // [intervals]
    FloatValues slope;  // [intervals]
    float median;
    float reach;  // the last knot less the median, above zero
    float decay;  // above zero
};

enum class SurpriseCombination { mean, max, median };

// The score of an ensemble: 1 + the mean, maximum or median of its members' surprises.
struct TailRanksParameters {
    Values<TailRankParameters> ranks;
    SurpriseCombination combination;
};

}  // namespace netsieve
