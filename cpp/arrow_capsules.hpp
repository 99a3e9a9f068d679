// Structures of the Arrow C data interface as Python objects (the Arrow PyCapsule interface).
#pragma once

#include <nanobind/nanobind.h>

#include "arrow.hpp"

namespace netsieve {

// Takes both structures over.
inline nanobind::object arrow_capsules(ArrowSchema* schema, ArrowArray* array) {
    const auto wrap = [](void* structure, const char* name, PyCapsule_Destructor destroy) {
        return nanobind::steal<nanobind::object>(PyCapsule_New(structure, name, destroy));
    };
    nanobind::object schema_capsule = wrap(schema, "arrow_schema", [](PyObject* capsule) {
        auto* owned = static_cast<ArrowSchema*>(PyCapsule_GetPointer(capsule, "arrow_schema"));
        if (owned->release) owned->release(owned);
        delete owned;
    });
    nanobind::object array_capsule = wrap(array, "arrow_array", [](PyObject* capsule) {
        auto* owned = static_cast<ArrowArray*>(PyCapsule_GetPointer(capsule, "arrow_array"));
        if (owned->release) owned->release(owned);
        delete owned;
    });
    return nanobind::make_tuple(schema_capsule, array_capsule);
}

}  // namespace netsieve
