// Delimited text as Arrow columns.
#pragma once

#include <nanobind/nanobind.h>

namespace netsieve {
void register_columns(nanobind::module_& module);
}
