// Native scoring for Python: plans, and the functions that make their parts.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "block.hpp"
#include "parameters.hpp"
#include "variant.hpp"

namespace netsieve {

// Arrays of parameters from Python; another layout or type is copied.
using FloatVector = nanobind::ndarray<const float, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;
using FloatMatrix = nanobind::ndarray<const float, nanobind::ndim<2>, nanobind::c_contig, nanobind::device::cpu>;
using IntVector = nanobind::ndarray<const std::int32_t, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;

template <typename Array>
auto values_of(const Array& array) {
    if (reinterpret_cast<std::uintptr_t>(array.data()) % alignof(std::remove_pointer_t<decltype(array.data())>))
        throw std::invalid_argument("an array does not lie at an address of its type");
    return Values<std::remove_const_t<std::remove_pointer_t<decltype(array.data())>>>{array.data(), array.size()};
}

// A size of an array as the kernels' parameters have it.
inline std::int32_t size_of(std::size_t size) {
    if (size > INT32_MAX) throw std::invalid_argument("an array of " + std::to_string(size) + " numbers is too large");
    return static_cast<std::int32_t>(size);
}

// Throws std::invalid_argument.
View view_named(const std::string& name);

void register_scoring(nanobind::module_& module);          // plans and the preparation of records
void register_dense_kernels(nanobind::module_& module);    // dense networks
void register_forest_kernels(nanobind::module_& module);   // trees
void register_layered_kernels(nanobind::module_& module);  // classifiers, normal distributions, hyperplanes
void register_nearest_kernels(nanobind::module_& module);  // stored rows, and ensembles by tail ranks

}  // namespace netsieve
