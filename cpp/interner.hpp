// Entities (hosts, pairs of hosts) as dense numbers, so that kernels can keep what they know of them in arrays.
#pragma once

#include <nanobind/nanobind.h>

namespace netsieve {
void register_interner(nanobind::module_& module);
}
