// Zeek's tab-separated logs as Arrow columns.
#pragma once

#include <nanobind/nanobind.h>

namespace netsieve {
void register_zeek(nanobind::module_& module);
}
