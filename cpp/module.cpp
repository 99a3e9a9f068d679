// The Python module netsieve.kernels._native: one line for each register function.
#include <nanobind/nanobind.h>

#include "columns.hpp"
#include "derived.hpp"
#include "entities.hpp"
#include "json_lines.hpp"
#include "keyed_hash.hpp"
#include "networks.hpp"
#include "pcap.hpp"
#include "record_batch.hpp"
#include "scoring/scoring.hpp"
#include "zeek.hpp"

NB_MODULE(_native, module) {
#ifdef NDEBUG
    // Applications end while worker threads still hold columns; that is no leak to warn of
    nanobind::set_leak_warnings(false);
#endif
    module.doc() = "Native kernels of netsieve.";
    netsieve::register_columns(module);
    netsieve::register_record_batch(module);
    netsieve::register_derived(module);
    netsieve::register_zeek(module);
    netsieve::register_json_lines(module);
    netsieve::register_networks(module);
    netsieve::register_pcap(module);
    netsieve::register_keyed_hash(module);
    netsieve::register_interner(module);
    netsieve::register_scoring(module);
    netsieve::register_dense_kernels(module);
    netsieve::register_nearest_kernels(module);
    netsieve::register_layered_kernels(module);
    netsieve::register_forest_kernels(module);
}
