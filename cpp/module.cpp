// The Python module netsieve.kernels._native: one line for each register function.
#include <nanobind/nanobind.h>

#include "columns.hpp"
#include "records.hpp"

NB_MODULE(_native, module) {
    module.doc() = "Native kernels of netsieve.";
    netsieve::register_records(module);
    netsieve::register_columns(module);
}
