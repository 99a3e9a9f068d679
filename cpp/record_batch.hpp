// Columns of equal length with their names, handed over to Arrow libraries in one piece: a struct array.
#pragma once

#include <nanobind/nanobind.h>

namespace netsieve {
void register_record_batch(nanobind::module_& module);
}
