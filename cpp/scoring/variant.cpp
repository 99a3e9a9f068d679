// All scoring kernels for one instruction set. CMake compiles this file once for each, with NETSIEVE_VARIANT as the
// name of the namespace.
//
// The linker keeps one copy of each inline function and template that several files instantiate, and may keep the one
// that was compiled for AVX-512: a machine without it would then crash somewhere else altogether. So nothing here may
// instantiate code outside the namespace of the variant: no std:: templates, no inline functions of common headers (but
// always_inline ones). symbols.cmake checks the object files at each build.
#include "variant.hpp"

#include "column_loading.hpp"
#include "dense.hpp"
#include "forest.hpp"
#include "gaussian.hpp"
#include "hyperplane.hpp"
#include "lanes.hpp"
#include "layered.hpp"
#include "peak.hpp"
#include "preparation.hpp"
#include "stored_rows.hpp"
#include "tail_rank.hpp"
#include "transpose.hpp"
#include "variational.hpp"

namespace netsieve::NETSIEVE_VARIANT {

namespace {

#define NETSIEVE_TEXT(name) NETSIEVE_QUOTED(name)
#define NETSIEVE_QUOTED(name) #name

Preparation* new_preparation(const PreparationParameters& parameters) { return new ColumnPreparation(parameters); }
Kernel* new_dense_autoencoder(const DenseAutoencoderParameters& parameters) { return new DenseAutoencoder(parameters); }
Kernel* new_stored_rows(const StoredRowsParameters& parameters) { return new StoredRows(parameters); }
Kernel* new_dense_score(const DenseScoreParameters& parameters) { return new DenseScore(parameters); }
Kernel* new_ellipsoid(const EllipsoidParameters& parameters) { return new Ellipsoid(parameters); }
Kernel* new_mixture(const MixtureParameters& parameters) { return new Mixture(parameters); }
Kernel* new_hyperplane(const HyperplaneParameters& parameters) { return new Hyperplane(parameters); }
Kernel* new_fourier_hyperplane(const FourierHyperplaneParameters& parameters) {
    return new FourierHyperplane(parameters);
}
Kernel* new_divergence(const DivergenceParameters& parameters) { return new Divergence(parameters); }
Combination* new_sum_of_parts(int members) { return new SumOfParts(members); }
Combination* new_tail_ranks(const TailRanksParameters& parameters) { return new TailRanks(parameters); }
Kernel* new_forest(const ForestParameters& parameters) { return new Forest(parameters); }

}  // namespace

extern const Variant variant;
const Variant variant = {
    .name = NETSIEVE_TEXT(NETSIEVE_VARIANT),
    .multiply_adds = multiply_adds,
    .transpose = transpose_rows,
    .transpose_back = transpose_columns,
    .load_columns = load_columns,
    .preparation = new_preparation,
    .dense_autoencoder = new_dense_autoencoder,
    .stored_rows = new_stored_rows,
    .tail_ranks = new_tail_ranks,
    .dense_score = new_dense_score,
    .ellipsoid = new_ellipsoid,
    .mixture = new_mixture,
    .hyperplane = new_hyperplane,
    .fourier_hyperplane = new_fourier_hyperplane,
    .divergence = new_divergence,
    .sum_of_parts = new_sum_of_parts,
    .forest = new_forest,
};

}  // namespace netsieve::NETSIEVE_VARIANT
