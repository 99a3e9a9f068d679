// What kernels are made from: plain arrays, as the model file holds them. Constructors check the sizes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "block.hpp"

namespace netsieve {

// An array that is someone else's.
template <typename Value>
struct Values {
    const Value* data = nullptr;
    std::size_t size = 0;

    [[gnu::always_inline]] const Value& operator[](std::size_t i) const { return data[i]; }
};

using FloatValues = Values<float>;
using IntValues = Values<std::int32_t>;

// One number of a record: z = soft_clip((signed_log?(x) - center) / scale), or fill where it is missing.
struct NumericColumn {
    std::int32_t feature;  // its column in the raw matrix
    bool signed_log;       // take sign(x) * log(1 + |x|) first; never in the unscaled view
    float center;
    float scale;
    float fill;
};

// One category of a record: a row of a table by its code.
struct CategoryTable {
    std::int32_t feature;
    std::int32_t rows;  // codes from rows - 1 on, and what is no code, have the last row
    std::int32_t columns;
    FloatValues values;  // [rows, columns]
};

// Both views of a record: numbers, indicators of missing ones, columns of categories.
struct PreparationParameters {
    std::int32_t features;
    View view;
    Values<NumericColumn> numbers;
    IntValues indicated;  // which of the numbers have an indicator
    Values<CategoryTable> categories;
    float limit;           // of the soft clip
    float largest_excess;  // beyond the limit less 1, of which the logarithm is taken
};

// activation(x @ weight + bias), where activation(v) is v above zero and slope * v below: 1 for linear, 0 for ReLU.
struct DenseLayerParameters {
    std::int32_t inputs;
    std::int32_t outputs;
    FloatValues weight;  // [inputs, outputs]
    FloatValues bias;    // [outputs]
    float slope;
};

// Columns of which one is 1 and the others are 0, in every row.
struct OneHotColumns {
    std::int32_t first;
    std::int32_t count;
};

enum class Aggregation { sum, log_mean, absolute };

// Errors e_j of the columns rebuilt by the layers: weight_j * r_j^2, log(1 + weight_j * r_j^2) * share or
// weight_j * |r_j|; the score is their sum and what the latent code adds.
struct DenseAutoencoderParameters {
    Values<DenseLayerParameters> encoder;
    Values<DenseLayerParameters> decoder;
    Values<OneHotColumns> one_hot;  // of the columns that the encoder takes, in order
    Aggregation aggregation;
    FloatValues error_weight;  // [columns]
    float share;               // 1 but for log_mean
    IntValues feature;         // [columns]: the feature of each column
    std::int32_t features;
    // latent distance = |code @ whitening + bias|^2, through log(1 + d) / latent_divisor for log_mean; no sizes: none
    DenseLayerParameters latent;
    float latent_divisor;
    float base_score;  // added to all scores
};

}  // namespace netsieve
