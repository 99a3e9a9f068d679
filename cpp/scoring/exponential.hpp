// exp of vectors of floats.
#pragma once

#include "lanes.hpp"

namespace netsieve::NETSIEVE_VARIANT {

// e to the power of values, to 2 units in the last place or so; infinity where it is beyond float32. The polynomial is
// that of expf in Cephes by Moshier (netlib.org/cephes, single).
NETSIEVE_INLINE Floats exponential(Floats values) {
    const Floats x = max(min(values, broadcast(89.0f)), broadcast(-104.0f));
    const Floats turns = x * 1.44269504088896341f;
    const Ints n = as_ints(turns + select(turns < 0.0f, broadcast(-0.5f), broadcast(0.5f)));
    const Floats power = as_floats(n);
    const Floats r = fma(power, broadcast(-log_of_2_low), fma(power, broadcast(-log_of_2_high), x));
    Floats p = broadcast(1.9875691500e-4f);
    p = fma(p, r, broadcast(1.3981999507e-3f));
    p = fma(p, r, broadcast(8.3334519073e-3f));
    p = fma(p, r, broadcast(4.1665795894e-2f));
    p = fma(p, r, broadcast(1.6666665459e-1f));
    p = fma(p, r, broadcast(5.0000001201e-1f));
    const Floats mantissa = fma(p * r, r, r) + 1.0f;
    const Ints half = n >> 1;  // in two steps: 2^n alone can be beyond float32
    return mantissa * floats_of_bits((half + 127) << 23) * floats_of_bits((n - half + 127) << 23);
}

}  // namespace netsieve::NETSIEVE_VARIANT
