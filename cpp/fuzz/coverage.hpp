// Which edges of the code under test a run passed, and how often: what -fsanitize-coverage=trace-pc reports.
#pragma once

#include <cstddef>

namespace netsieve::fuzz {

void begin_coverage();
// Whether the run passed an edge that none before it did, or passed one another number of times: 1, 2, 3, 4 to 7,
// 8 to 15, 16 to 31, 32 to 127, more.
bool end_coverage();

// Edges that were ever passed.
std::size_t covered_edges();

}  // namespace netsieve::fuzz
