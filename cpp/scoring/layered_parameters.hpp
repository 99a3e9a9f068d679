// What the kernels of one or a few dense layers are made from; see parameters.hpp.
#pragma once

#include <cstdint>

#include "parameters.hpp"

namespace netsieve {

// The score is the one output of the last layer.
struct DenseScoreParameters {
    Values<DenseLayerParameters> layers;
};

// The score is 1 + sum_j ((z - center) @ whitening)_j^2; the parts belong to the features of the columns.
struct EllipsoidParameters {
    FloatValues center;     // [columns]
    FloatValues whitening;  // [columns, columns]
    IntValues feature;      // [columns]
    std::int32_t features;
};

// The score is 1 - log sum_k exp(log_height_k - distance_k / 2). With `layers`, distance_k is the squared length of the
// k-th one's outputs; without, sum_j ((z_j - center_kj) * whitening_kj)^2.
struct MixtureParameters {
    std::int32_t columns;
    FloatValues log_height;               // [components]
    Values<DenseLayerParameters> layers;  // [components], linear
    FloatValues center;                   // [components, columns]
    FloatValues whitening;                // [components, columns]
};

// The score is offset + sum_j weight_j * z_j; the parts belong to the features of the columns.
struct HyperplaneParameters {
    FloatValues weight;  // [columns]
    float offset;
    IntValues feature;  // [columns]
    std::int32_t features;
};

// The score is offset - cos(values @ frequency + phase) @ normal, where the values are the columns, or, with a center,
// clip((z - center) @ whitening, -limit, limit).
struct FourierHyperplaneParameters {
    std::int32_t columns;
    FloatValues center;              // [columns]; empty for none
    DenseLayerParameters whitening;  // [columns, values], linear
    float limit;
    DenseLayerParameters frequency;  // [values, m], with the phase as bias; linear
    FloatValues normal;              // [m]
    float offset;
};

// What the code of a variational autoencoder adds to the score: d = sum_j mean_j^2 + exp(v_j) - v_j - 1, where v is the
// log variance within the limit; with a share, log(1 + d) * share.
struct DivergenceParameters {
    Values<DenseLayerParameters> encoder;
    DenseLayerParameters mean;
    DenseLayerParameters log_variance;
    float limit;
    float share;  // 0 for none
};

}  // namespace netsieve
