#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "scoring.hpp"

namespace nb = nanobind;

namespace netsieve {

namespace {

using DoubleMatrix = nb::ndarray<const double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Rank = std::tuple<FloatVector, FloatVector, FloatVector, float, float, float>;

bool is_farthest(const std::string& aggregation) {
    if (aggregation == "mean") return false;
    if (aggregation == "farthest") return true;
    throw std::invalid_argument("there is no aggregation '" + aggregation.substr(0, 40) + "'");
}

SurpriseCombination combination_named(const std::string& name) {
    if (name == "mean") return SurpriseCombination::mean;
    if (name == "max") return SurpriseCombination::max;
    if (name == "median") return SurpriseCombination::median;
    throw std::invalid_argument("there is no combination '" + name.substr(0, 40) + "'");
}

std::shared_ptr<Kernel> stored_rows(const std::string& variant, const FloatMatrix& rows, const FloatVector& weight,
                                    int neighbours, const std::string& aggregation, const DoubleMatrix& directions,
                                    const IntVector& feature, int features) {
    if (directions.shape(0) != rows.shape(1))
        throw std::invalid_argument("the directions are not of the stored rows' columns");
    const StoredRowsParameters parameters{.stored = size_of(rows.shape(0)),
                                          .columns = size_of(rows.shape(1)),
                                          .rows = values_of(rows),
                                          .weight = values_of(weight),
                                          .neighbours = neighbours,
                                          .farthest = is_farthest(aggregation),
                                          .directions = size_of(directions.shape(1)),
                                          .direction = values_of(directions),
                                          .feature = values_of(feature),
                                          .features = features};
    return std::shared_ptr<Kernel>(variant_named(variant.c_str()).stored_rows(parameters));
}

std::shared_ptr<Combination> tail_ranks(const std::string& variant, const std::vector<Rank>& ranks,
                                        const std::string& combination) {
    std::vector<TailRankParameters> each;
    for (const auto& [knots, base, slope, median, reach, decay] : ranks)
        each.push_back({values_of(knots), values_of(base), values_of(slope), median, reach, decay});
    return std::shared_ptr<Combination>(
        variant_named(variant.c_str()).tail_ranks({{each.data(), each.size()}, combination_named(combination)}));
}

}  // namespace

void register_nearest_kernels(nb::module_& module) {
    module.def("stored_rows", stored_rows, nb::arg("variant"), nb::arg("rows"), nb::arg("weight"),
               nb::arg("neighbours"), nb::arg("aggregation"), nb::arg("directions"), nb::arg("feature"),
               nb::arg("features"),
               "Return the kernel of netsieve.engine.detectors.stored_rows.StoredRows.\n\n"
               "Parameters\n----------\n"
               "variant\n    One of scoring_variants().\n"
               "rows\n    float32 [stored, columns].\n"
               "weight\n    float32 [columns], not below zero.\n"
               "neighbours\n    How many of the nearest rows count, 64 at most.\n"
               "aggregation\n    'mean' of their squared distances, or that of the 'farthest' of them.\n"
               "directions\n    float64 [columns, m], orthonormal columns: distances between rows times the square "
               "roots of the\n    weights are first compared along these. They change the speed, and no score.\n"
               "feature\n    int32 [columns]: the feature of each column.\n"
               "features\n    Number of features.\n\n"
               "Raises\n------\n"
               "ValueError\n    Sizes do not fit together, numbers are huge, or the machine lacks the variant.");
    module.def("tail_ranks", tail_ranks, nb::arg("variant"), nb::arg("ranks"), nb::arg("combination"),
               "Return what makes one score of those of an ensemble's members: 1 and their surprises combined.\n\n"
               "Parameters\n----------\n"
               "variant\n    One of scoring_variants().\n"
               "ranks\n    netsieve.engine.detectors.tail_rank.TailRank of each member: knots, base, slope (float32), "
               "median, the last\n    knot less the median, decay.\n"
               "combination\n    'mean', 'max' or 'median'.\n\n"
               "Raises\n------\n"
               "ValueError\n    Sizes do not fit together, or the machine lacks the variant.");
}

}  // namespace netsieve
