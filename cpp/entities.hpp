// The Python class Interner.
#pragma once

#include <nanobind/nanobind.h>

namespace netsieve {
void register_interner(nanobind::module_& module);
}
