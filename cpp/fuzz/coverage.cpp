#include "coverage.hpp"

#include <bit>
#include <cstdint>

namespace {

constexpr unsigned cell_bits = 20;  // far more cells than edges: hardly ever do two share one
constexpr std::size_t cells = std::size_t{1} << cell_bits;

std::uint8_t hits[cells];
std::uint8_t seen[cells];  // a bit for each class of counts
std::uint32_t touched[cells];
std::size_t touched_cells = 0;
std::size_t edges = 0;
std::uint32_t previous = 0;
bool recording = false;

std::uint8_t count_class(std::uint8_t hits_of_cell) {
    if (hits_of_cell <= 3) return static_cast<std::uint8_t>(1U << (hits_of_cell - 1));
    if (hits_of_cell >= 128) return 0x80;
    if (hits_of_cell >= 32) return 0x40;
    return static_cast<std::uint8_t>(1U << std::bit_width(hits_of_cell));
}

}  // namespace

// Called at the beginning of each basic block of the code under test.
extern "C" void __sanitizer_cov_trace_pc() {
    if (!recording) return;
    // relative to this function, as the program lies elsewhere each time
    const std::uint64_t place = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)) -
                                reinterpret_cast<std::uintptr_t>(&__sanitizer_cov_trace_pc);
    const auto here = static_cast<std::uint32_t>((place * 0x9E3779B97F4A7C15U) >> (64 - cell_bits));
    const std::uint32_t edge = here ^ (previous >> 1);
    previous = here;
    std::uint8_t& count = hits[edge];
    if (count == 0) touched[touched_cells++] = edge;
    if (count < 255) ++count;
}

namespace netsieve::fuzz {

void begin_coverage() {
    previous = 0;
    recording = true;
}

bool end_coverage() {
    recording = false;
    bool is_new = false;
    for (std::size_t i = 0; i < touched_cells; ++i) {
        const std::uint32_t edge = touched[i];
        const std::uint8_t found = count_class(hits[edge]);
        edges += seen[edge] == 0;
        is_new |= (seen[edge] & found) == 0;
        seen[edge] |= found;
        hits[edge] = 0;
    }
    touched_cells = 0;
    return is_new;
}

std::size_t covered_edges() { return edges; }

}  // namespace netsieve::fuzz
