// Capture files as Arrow columns of packets and of flows.
#pragma once

#include <nanobind/nanobind.h>

namespace netsieve {
void register_pcap(nanobind::module_& module);
}
