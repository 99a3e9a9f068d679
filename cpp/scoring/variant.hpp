// The kernels of one instruction set as a table of functions, and the choice of one at run time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "block.hpp"
#include "cell_columns.hpp"
#include "forest_layout.hpp"
#include "layered_parameters.hpp"
#include "nearest_parameters.hpp"
#include "parameters.hpp"

namespace netsieve {

// Functions return new objects, and throw std::invalid_argument where sizes do not fit.
struct Variant {
    const char* name;
    // Runs multiply-adds in registers, and returns how many operations they are; a number comes out in result
    double (*multiply_adds)(std::int64_t rounds, float* result) noexcept;
    // x [rows, features] -> raw [stripes][features][48], the last row repeated up to whole stripes
    void (*transpose)(const float* x, std::size_t rows, int features, float* raw) noexcept;
    // columns [stripes][columns][48] -> out [rows, columns]
    void (*transpose_back)(const float* columns, std::size_t rows, int count, float* out) noexcept;
    // columns [features], of which the rows from start on are taken -> raw as of transpose, clipped to +-limit
    void (*load_columns)(const CellColumn* columns, int features, std::size_t start, std::size_t rows, float limit,
                         float* raw) noexcept;
    Preparation* (*preparation)(const PreparationParameters& parameters);
    Kernel* (*dense_autoencoder)(const DenseAutoencoderParameters& parameters);
    Kernel* (*stored_rows)(const StoredRowsParameters& parameters);
    Combination* (*tail_ranks)(const TailRanksParameters& parameters);
    Kernel* (*dense_score)(const DenseScoreParameters& parameters);
    Kernel* (*ellipsoid)(const EllipsoidParameters& parameters);
    Kernel* (*mixture)(const MixtureParameters& parameters);
    Kernel* (*hyperplane)(const HyperplaneParameters& parameters);
    Kernel* (*fourier_hyperplane)(const FourierHyperplaneParameters& parameters);
    Kernel* (*divergence)(const DivergenceParameters& parameters);
    Combination* (*sum_of_parts)(int members);
    Kernel* (*forest)(const ForestParameters& parameters);
};

// In variant.cpp, where they are compiled
namespace portable {
extern const Variant variant;
}
namespace avx2 {
extern const Variant variant;
}
namespace avx512 {
extern const Variant variant;
}

// What this machine has, the best first. The last one is portable, which every machine has.
struct Variants {
    const Variant* items[3];
    int size;
};
Variants available_variants();

// The one of this name; throws std::invalid_argument if there is none or the machine lacks its instructions.
const Variant& variant_named(const char* name);

// The best one, or the one that the environment variable NETSIEVE_CPU names.
const Variant& chosen_variant();

}  // namespace netsieve
