// cos of vectors of floats.
#pragma once

#include "lanes.hpp"

namespace netsieve::NETSIEVE_VARIANT {

// cos(values), off by 1e-7 or so for values within +-30,000; what is beyond loses digits as the values themselves do.
// NaN of NaN and infinity. Multiples of pi are taken off in three parts, of which the first two have so few bits that
// their products are exact (Cody and Waite, "Software Manual for the Elementary Functions", 1980, chapter 8); what is
// left is within +-pi/2, where the Taylor series of 12th order is off by 6e-9.
NETSIEVE_INLINE Floats cosine(Floats values) {
    const Floats whole = broadcast(0x1.8p23f);  // adding it rounds to a whole number, whose last bit is then in sight
    const Floats shifted = fma(values, broadcast(0.318309886183790672f), whole);
    const Floats turns = shifted - whole;
    Floats r = fma(turns, broadcast(-3.140625f), values);
    r = fma(turns, broadcast(-9.67502593994140625e-4f), r);
    r = fma(turns, broadcast(-1.509957990978376432e-7f), r);
    const Floats square = r * r;
    Floats p = broadcast(2.08767569878681e-9f);
    p = fma(p, square, broadcast(-2.75573192239859e-7f));
    p = fma(p, square, broadcast(2.48015873015873e-5f));
    p = fma(p, square, broadcast(-1.38888888888889e-3f));
    p = fma(p, square, broadcast(4.16666666666667e-2f));
    p = fma(p, square, broadcast(-0.5f));
    const Floats magnitude = fma(p, square, broadcast(1.0f));
    return floats_of_bits(bits_of(magnitude) ^ (bits_of(shifted) << 31));
}

}  // namespace netsieve::NETSIEVE_VARIANT
