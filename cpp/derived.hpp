// Columns that are computed row by row from others.
#pragma once

#include <nanobind/nanobind.h>

namespace netsieve {
void register_derived(nanobind::module_& module);
}
