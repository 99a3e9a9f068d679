#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "layered_parameters.hpp"
#include "scoring.hpp"

namespace nb = nanobind;

namespace netsieve {

namespace {

using Layer = std::tuple<FloatMatrix, FloatVector, float>;
using Whitening = std::tuple<FloatVector, FloatMatrix, float>;

DenseLayerParameters parameters_of(const Layer& layer) {
    const auto& [weight, bias, slope] = layer;
    return {size_of(weight.shape(0)), size_of(weight.shape(1)), values_of(weight), values_of(bias), slope};
}

std::vector<DenseLayerParameters> parameters_of(const std::vector<Layer>& layers) {
    std::vector<DenseLayerParameters> parameters;
    for (const Layer& layer : layers) parameters.push_back(parameters_of(layer));
    return parameters;
}

std::shared_ptr<Kernel> dense_score(const std::string& variant, const std::vector<Layer>& layers) {
    const auto each = parameters_of(layers);
    return std::shared_ptr<Kernel>(variant_named(variant.c_str()).dense_score({{each.data(), each.size()}}));
}

std::shared_ptr<Kernel> ellipsoid(const std::string& variant, const FloatVector& center, const FloatMatrix& whitening,
                                  const IntVector& feature, int features) {
    return std::shared_ptr<Kernel>(
        variant_named(variant.c_str())
            .ellipsoid({values_of(center), values_of(whitening), values_of(feature), features}));
}

std::shared_ptr<Kernel> mixture(const std::string& variant, const FloatVector& log_height,
                                const std::vector<Layer>& layers) {
    const auto each = parameters_of(layers);
    if (each.empty()) throw std::invalid_argument("a mixture has no part, or too many");
    const MixtureParameters parameters{.columns = each[0].inputs,
                                       .log_height = values_of(log_height),
                                       .layers = {each.data(), each.size()},
                                       .center = {},
                                       .whitening = {}};
    return std::shared_ptr<Kernel>(variant_named(variant.c_str()).mixture(parameters));
}

std::shared_ptr<Kernel> diagonal_mixture(const std::string& variant, const FloatVector& log_height,
                                         const FloatMatrix& center, const FloatMatrix& whitening) {
    const MixtureParameters parameters{.columns = size_of(center.shape(1)),
                                       .log_height = values_of(log_height),
                                       .layers = {},
                                       .center = values_of(center),
                                       .whitening = values_of(whitening)};
    return std::shared_ptr<Kernel>(variant_named(variant.c_str()).mixture(parameters));
}

std::shared_ptr<Kernel> hyperplane(const std::string& variant, const FloatVector& weight, float offset,
                                   const IntVector& feature, int features) {
    return std::shared_ptr<Kernel>(variant_named(variant.c_str())
                                       .hyperplane({values_of(weight), offset, values_of(feature), features}));
}

std::shared_ptr<Kernel> fourier_hyperplane(const std::string& variant, const Layer& frequency,
                                           const FloatVector& normal, float offset,
                                           const std::optional<Whitening>& whitening) {
    FourierHyperplaneParameters parameters{.columns = parameters_of(frequency).inputs,
                                           .center = {},
                                           .whitening = {},
                                           .limit = 0,
                                           .frequency = parameters_of(frequency),
                                           .normal = values_of(normal),
                                           .offset = offset};
    std::vector<float> zeros;
    if (whitening) {
        const auto& [center, matrix, limit] = *whitening;
        if (!center.size()) throw std::invalid_argument("a kernel has no columns, or too many");
        zeros.resize(matrix.shape(1));
        parameters.columns = size_of(matrix.shape(0));
        parameters.center = values_of(center);
        parameters.whitening = {size_of(matrix.shape(0)), size_of(matrix.shape(1)), values_of(matrix),
                                {zeros.data(), zeros.size()}, 1.0f};
        parameters.limit = limit;
    }
    return std::shared_ptr<Kernel>(variant_named(variant.c_str()).fourier_hyperplane(parameters));
}

std::shared_ptr<Kernel> divergence(const std::string& variant, const std::vector<Layer>& encoder, const Layer& mean,
                                   const Layer& log_variance, float limit, float share) {
    const auto each = parameters_of(encoder);
    return std::shared_ptr<Kernel>(
        variant_named(variant.c_str())
            .divergence({{each.data(), each.size()}, parameters_of(mean), parameters_of(log_variance), limit, share}));
}

std::shared_ptr<Combination> sum_of_parts(const std::string& variant, int members) {
    return std::shared_ptr<Combination>(variant_named(variant.c_str()).sum_of_parts(members));
}

}  // namespace

void register_layered_kernels(nb::module_& module) {
    module.def("dense_score", dense_score, nb::arg("variant"), nb::arg("layers"),
               "Return the kernel of netsieve.engine.detectors.classifier.DenseScore.\n\n"
               "Parameters\n----------\n"
               "variant\n    One of scoring_variants().\n"
               "layers\n    As those of dense_autoencoder; the last one has one output.\n\n"
               "Raises\n------\n"
               "ValueError\n    Sizes do not fit together, or the machine lacks the variant.");
    module.def("ellipsoid", ellipsoid, nb::arg("variant"), nb::arg("center"), nb::arg("whitening"), nb::arg("feature"),
               nb::arg("features"),
               "Return the kernel of netsieve.engine.detectors.gaussian.Ellipsoid.\n\n"
               "Parameters\n----------\n"
               "variant\n    One of scoring_variants().\n"
               "center\n    float32 [columns].\n"
               "whitening\n    float32 [columns, columns].\n"
               "feature\n    int32 [columns]: the feature of each column.\n"
               "features\n    Number of features.\n\n"
               "Raises\n------\n"
               "ValueError\n    Sizes do not fit together, or the machine lacks the variant.");
    module.def("mixture", mixture, nb::arg("variant"), nb::arg("log_height"), nb::arg("layers"),
               "Return the kernel of netsieve.engine.detectors.gaussian.Mixture with full covariances.\n\n"
               "Parameters\n----------\n"
               "variant\n    One of scoring_variants().\n"
               "log_height\n    float32 [components].\n"
               "layers\n    A linear layer for each component, whose outputs' squared length is the distance.\n\n"
               "Raises\n------\n"
               "ValueError\n    Sizes do not fit together, or the machine lacks the variant.");
    module.def("diagonal_mixture", diagonal_mixture, nb::arg("variant"), nb::arg("log_height"), nb::arg("center"),
               nb::arg("whitening"),
               "Return the kernel of netsieve.engine.detectors.gaussian.Mixture with diagonal covariances.\n\n"
               "Parameters\n----------\n"
               "variant\n    One of scoring_variants().\n"
               "log_height\n    float32 [components].\n"
               "center, whitening\n    float32 [components, columns].\n\n"
               "Raises\n------\n"
               "ValueError\n    Sizes do not fit together, or the machine lacks the variant.");
    module.def("hyperplane", hyperplane, nb::arg("variant"), nb::arg("weight"), nb::arg("offset"), nb::arg("feature"),
               nb::arg("features"),
               "Return the kernel of netsieve.engine.detectors.hyperplane.Hyperplane.\n\n"
               "Parameters\n----------\n"
               "variant\n    One of scoring_variants().\n"
               "weight\n    float32 [columns]: the normal, negative.\n"
               "offset\n    Added to the sum.\n"
               "feature\n    int32 [columns]: the feature of each column.\n"
               "features\n    Number of features.\n\n"
               "Raises\n------\n"
               "ValueError\n    Sizes do not fit together, or the machine lacks the variant.");
    module.def("fourier_hyperplane", fourier_hyperplane, nb::arg("variant"), nb::arg("frequency"), nb::arg("normal"),
               nb::arg("offset"), nb::arg("whitening").none() = nb::none(),
               "Return the kernel of netsieve.engine.detectors.hyperplane.FourierHyperplane or WhitenedHyperplane.\n\n"
               "Parameters\n----------\n"
               "variant\n    One of scoring_variants().\n"
               "frequency\n    A linear layer with the phases as its bias.\n"
               "normal\n    float32 [m], of the layer's outputs.\n"
               "offset\n    What the sum is subtracted from.\n"
               "whitening\n    Center (float32 [columns]), matrix (float32 [columns, values]) and limit of the values; "
               "None for none.\n\n"
               "Raises\n------\n"
               "ValueError\n    Sizes do not fit together, or the machine lacks the variant.");
    module.def("divergence", divergence, nb::arg("variant"), nb::arg("encoder"), nb::arg("mean"),
               nb::arg("log_variance"), nb::arg("limit"), nb::arg("share"),
               "Return the kernel of what the code of a variational autoencoder adds to the score.\n\n"
               "Parameters\n----------\n"
               "variant\n    One of scoring_variants().\n"
               "encoder\n    Layers, as those of dense_autoencoder.\n"
               "mean, log_variance\n    Linear layers from the encoder's output to the code.\n"
               "limit\n    Of the log variance, to either side.\n"
               "share\n    What the logarithm of 1 and the divergence is multiplied by; 0 for the divergence itself.\n\n"
               "Raises\n------\n"
               "ValueError\n    Sizes do not fit together, or the machine lacks the variant.");
    module.def("sum_of_parts", sum_of_parts, nb::arg("variant"), nb::arg("members"),
               "Return what adds up several kernels' parts of one score.\n\n"
               "Parameters\n----------\n"
               "variant\n    One of scoring_variants().\n"
               "members\n    How many.");
}

}  // namespace netsieve
