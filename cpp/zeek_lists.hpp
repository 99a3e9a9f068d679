// JSON arrays as the text that the elements of sets and vectors have in Zeek's tab-separated logs.
#pragma once

#include <nanobind/nanobind.h>

namespace netsieve {
void register_zeek_lists(nanobind::module_& module);
}
