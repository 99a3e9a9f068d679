// JSON lines as Arrow columns.
#pragma once

#include <nanobind/nanobind.h>

namespace netsieve {
void register_json_lines(nanobind::module_& module);
}
