// The Python module netsieve.kernels._native: one line for each register function.
#include <nanobind/nanobind.h>

#include "columns.hpp"
#include "interner.hpp"
#include "keyed_hash.hpp"
#include "records.hpp"

NB_MODULE(_native, module) {
#ifdef NDEBUG
    // Applications end while worker threads still hold columns; that is no leak to warn of
    nanobind::set_leak_warnings(false);
#endif
    module.doc() = "Native kernels of netsieve.";
    netsieve::register_records(module);
    netsieve::register_columns(module);
    netsieve::register_keyed_hash(module);
    netsieve::register_interner(module);
}
