// What must hold for any input.
#pragma once

#include <cstdlib>

namespace netsieve::fuzz {

inline void require(bool condition) {
    if (!condition) std::abort();
}

}  // namespace netsieve::fuzz
