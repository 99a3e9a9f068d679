#include "entities.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "interner.hpp"

namespace nb = nanobind;

namespace netsieve {

namespace {

template <typename Value>
nb::ndarray<nb::numpy, Value, nb::ndim<1>> as_array(std::vector<Value>&& values) {
    auto* const owned = new std::vector<Value>(std::move(values));
    const nb::capsule owner(owned, [](void* held) noexcept { delete static_cast<std::vector<Value>*>(held); });
    return nb::ndarray<nb::numpy, Value, nb::ndim<1>>(owned->data(), {owned->size()}, owner);
}

using Keys = nb::ndarray<const std::uint64_t, nb::shape<-1, 2>, nb::c_contig, nb::device::cpu>;
using Times = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

}  // namespace

void register_interner(nb::module_& module) {
    nb::class_<Interner>(module, "Interner",
                         "Gives each entity a dense number while it is in use, in bounded memory. Thread-safe.\n\n"
                         "Parameters\n----------\n"
                         "max_entities\n    Entities known at a time. One more takes the number of the least recently "
                         "used.\n"
                         "expiry\n    Seconds after which an unused entity starts anew, and its number may go to "
                         "another.")
        .def(nb::init<std::size_t, double>(), nb::arg("max_entities"), nb::arg("expiry"))
        .def_prop_ro("max_entities", &Interner::max_entities)
        .def_prop_ro("expiry", &Interner::expiry)
        .def_prop_ro("size", &Interner::size, "Numbers handed out so far: all are below it.")
        .def_prop_ro("evicted", &Interner::evicted, "Entities that had to go before they expired.")
        .def_prop_ro("expired", &Interner::expired, "Entities that expired, as far as that was noticed.")
        .def_prop_ro("late", &Interner::late, "Rows that were earlier than the last one of their entity.")
        .def_prop_ro(
            "generations", [](Interner& interner) { return as_array(interner.generations()); },
            nb::rv_policy::automatic,
            "uint32 [size]: how often each number went to a new entity, or its own started anew.")
        .def(
            "assign",
            [](Interner& interner, Keys keys, Times times) {
                const std::size_t rows = keys.shape(0);
                if (times.shape(0) != rows) throw std::invalid_argument("keys and times differ in length");
                std::vector<std::int32_t> ids(rows);
                std::vector<double> elapsed(rows), seen(rows);
                {
                    nb::gil_scoped_release unlocked;
                    interner.assign(keys.data(), times.data(), rows, ids.data(), elapsed.data(), seen.data());
                }
                return std::make_tuple(as_array(std::move(ids)), as_array(std::move(elapsed)),
                                       as_array(std::move(seen)));
            },
            nb::arg("keys"), nb::arg("times"),
            "Return the number of each row's entity, the seconds since its last row, and its time.\n\n"
            "Parameters\n----------\n"
            "keys\n    uint64 [n, 2], from fingerprints or paired_fingerprints.\n"
            "times\n    float64 [n], seconds, finite.\n\n"
            "Returns\n-------\n"
            "ids\n    int32 [n], below size; -1 where the key is missing.\n"
            "elapsed\n    float64 [n]; NaN where the entity is new or starts anew, and what is kept of its number is\n"
            "    to be cleared.\n"
            "times\n    float64 [n]: the row's time, or that of the entity's latest row where that is later.")
        .def(
            "saved",
            [](Interner& interner) {
                const std::string bytes = interner.saved();
                return nb::bytes(bytes.data(), bytes.size());
            },
            "Return everything as bytes, for restore.")
        .def(
            "restore",
            [](Interner& interner, nb::bytes state) {
                const char* const bytes = state.c_str();
                const std::size_t length = state.size();
                nb::gil_scoped_release unlocked;
                interner.restore(bytes, length);
            },
            nb::arg("state"),
            "Take over the state of an interner with the same parameters; raises ValueError for anything else.");
}

}  // namespace netsieve
