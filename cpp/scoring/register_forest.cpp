#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include <memory>
#include <string>

#include "forest_layout.hpp"
#include "scoring.hpp"

namespace nb = nanobind;

namespace netsieve {

namespace {

using BoolVector = nb::ndarray<const bool, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

TreeScore tree_score_named(const std::string& name) {
    if (name == "sum") return TreeScore::sum;
    if (name == "exponential") return TreeScore::exponential;
    if (name == "largest") return TreeScore::largest;
    throw std::invalid_argument("there is no score of trees '" + name.substr(0, 40) + "'");
}

std::shared_ptr<Kernel> forest(const std::string& variant, const std::string& view, int columns, const IntVector& root,
                               const IntVector& column, const FloatVector& threshold, const IntVector& left,
                               const IntVector& right, const BoolVector& missing_left, const FloatMatrix& value,
                               const IntVector& target, int targets, const std::string& score, bool explains) {
    const ForestParameters parameters{.view = view_named(view),
                                      .columns = columns,
                                      .root = values_of(root),
                                      .column = values_of(column),
                                      .threshold = values_of(threshold),
                                      .left = values_of(left),
                                      .right = values_of(right),
                                      .missing_left = values_of(missing_left),
                                      .value = values_of(value),
                                      .values = size_of(value.shape(1)),
                                      .target = values_of(target),
                                      .targets = targets,
                                      .score = tree_score_named(score),
                                      .explains = explains};
    return std::shared_ptr<Kernel>(variant_named(variant.c_str()).forest(parameters));
}

}  // namespace

void register_forest_kernels(nb::module_& module) {
    module.def(
        "forest", forest, nb::arg("variant"), nb::arg("view"), nb::arg("columns"), nb::arg("root"), nb::arg("column"),
        nb::arg("threshold"), nb::arg("left"), nb::arg("right"), nb::arg("missing_left"), nb::arg("value"),
        nb::arg("target"), nb::arg("targets"), nb::arg("score"), nb::arg("explains") = false,
        "Return the kernel of netsieve.engine.detectors.tree_ensemble.TreeScore and ColumnTrees.\n\n"
        "Parameters\n----------\n"
        "variant\n    One of scoring_variants().\n"
        "view\n    Of the records that the trees look at, 'prepared' or 'unscaled'.\n"
        "columns\n    Columns of the view.\n"
        "root, column, threshold, left, right, missing_left, value, target, targets\n"
        "    As in netsieve.engine.detectors.tree_ensemble.TreeEnsemble; a node stands before those that follow it.\n"
        "score\n    'sum' of all targets, its 'exponential', or the 'largest' target.\n"
        "explains\n    Whether the targets are the features' parts of the score.\n\n"
        "Raises\n------\n"
        "ValueError\n    The arrays are not trees, sizes do not fit together, or the machine lacks the variant.");
}

}  // namespace netsieve
