#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "scoring.hpp"

namespace nb = nanobind;

namespace netsieve {

namespace {

using Layer = std::tuple<FloatMatrix, FloatVector, float>;

DenseLayerParameters parameters_of(const Layer& layer) {
    const auto& [weight, bias, slope] = layer;
    return {size_of(weight.shape(0)), size_of(weight.shape(1)), values_of(weight), values_of(bias), slope};
}

std::vector<DenseLayerParameters> parameters_of(const std::vector<Layer>& layers) {
    std::vector<DenseLayerParameters> parameters;
    for (const Layer& layer : layers) parameters.push_back(parameters_of(layer));
    return parameters;
}

Aggregation aggregation_named(const std::string& name) {
    if (name == "sum") return Aggregation::sum;
    if (name == "log_mean") return Aggregation::log_mean;
    if (name == "absolute") return Aggregation::absolute;
    throw std::invalid_argument("there is no aggregation '" + name.substr(0, 40) + "'");
}

std::shared_ptr<Kernel> dense_autoencoder(const std::string& variant, const std::vector<Layer>& encoder,
                                          const std::vector<Layer>& decoder, const std::string& aggregation,
                                          const FloatVector& error_weight, float share, const IntVector& feature,
                                          int features, const std::optional<Layer>& latent, float latent_divisor,
                                          const std::vector<std::tuple<int, int>>& one_hot, float base_score) {
    const auto first = parameters_of(encoder), second = parameters_of(decoder);
    std::vector<OneHotColumns> hot;
    for (const auto& [from, count] : one_hot) hot.push_back({from, count});
    DenseAutoencoderParameters parameters{.encoder = {first.data(), first.size()},
                                          .decoder = {second.data(), second.size()},
                                          .one_hot = {hot.data(), hot.size()},
                                          .aggregation = aggregation_named(aggregation),
                                          .error_weight = values_of(error_weight),
                                          .share = share,
                                          .feature = values_of(feature),
                                          .features = features,
                                          .latent = {},
                                          .latent_divisor = latent_divisor,
                                          .base_score = base_score};
    if (latent) parameters.latent = parameters_of(*latent);
    return std::shared_ptr<Kernel>(variant_named(variant.c_str()).dense_autoencoder(parameters));
}

}  // namespace

void register_dense_kernels(nb::module_& module) {
    module.def(
        "dense_autoencoder", dense_autoencoder, nb::arg("variant"), nb::arg("encoder"), nb::arg("decoder"),
        nb::arg("aggregation"), nb::arg("error_weight"), nb::arg("share"), nb::arg("feature"), nb::arg("features"),
        nb::arg("latent").none() = nb::none(), nb::arg("latent_divisor") = 1.0f,
        nb::arg("one_hot") = std::vector<std::tuple<int, int>>(), nb::arg("base_score") = 0.0f,
        "Return the kernel of netsieve.engine.detectors.dense_autoencoder.DenseAutoencoder.\n\n"
        "Parameters\n----------\n"
        "variant\n    One of scoring_variants().\n"
        "encoder, decoder\n    Layers: weight float32 [inputs, outputs], bias float32 [outputs], and the slope of the\n"
        "    activation below zero, 1 where it is linear.\n"
        "aggregation\n    'sum', 'log_mean' or 'absolute'.\n"
        "error_weight\n    float32 [columns].\n"
        "share\n    What the logarithms of the errors are multiplied by.\n"
        "feature\n    int32 [columns]: the feature of each column.\n"
        "features\n    Number of features.\n"
        "latent\n    A linear layer over the code, the squares of whose outputs are added to the score.\n"
        "latent_divisor\n    What the logarithm of the latent distance is divided by.\n"
        "one_hot\n    First and number of columns of which, in every row, one is 1 and the others are 0, in order.\n"
        "base_score\n    Added to all scores.\n\n"
        "Raises\n------\n"
        "ValueError\n    Sizes do not fit together, or the machine lacks the variant.");
}

}  // namespace netsieve
