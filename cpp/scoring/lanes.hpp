// Vectors of floats over rows, for one instruction set: what kernels are written with. Only variant.cpp includes this.
//
// GCC vector extensions say most of it: + - * / and comparisons work on Floats as they are (a comparison gives Mask,
// all bits of a lane set where it holds).
#pragma once

#if !defined(NETSIEVE_VARIANT)
#error "cpp/scoring/variant.cpp includes the kernels, once for each instruction set"
#endif

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include <cstddef>
#include <cstdint>

#include "block.hpp"

#define NETSIEVE_INLINE [[gnu::always_inline]] inline

namespace netsieve::NETSIEVE_VARIANT {

#if defined(__AVX512F__)
inline constexpr int LANES = 16;
#elif defined(__AVX2__)
inline constexpr int LANES = 8;
#else
inline constexpr int LANES = 4;
#endif
// Vectors of a stripe
inline constexpr int VECTORS = stripe_rows / LANES;
// Vector registers there are
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr int REGISTERS = 32;
#else
inline constexpr int REGISTERS = 16;
#endif

typedef float Floats __attribute__((vector_size(LANES * sizeof(float))));
typedef std::int32_t Mask __attribute__((vector_size(LANES * sizeof(float))));
typedef std::int32_t Ints __attribute__((vector_size(LANES * sizeof(float))));
// The same in memory of any alignment, and of any type
typedef float AnyFloats __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));
typedef float AlignedFloats __attribute__((vector_size(LANES * sizeof(float)), may_alias));

// from: aligned to a vector
NETSIEVE_INLINE Floats load(const float* from) { return *reinterpret_cast<const AlignedFloats*>(from); }
NETSIEVE_INLINE Floats load_any(const float* from) { return *reinterpret_cast<const AnyFloats*>(from); }
NETSIEVE_INLINE void store(float* to, Floats values) { *reinterpret_cast<AlignedFloats*>(to) = values; }
NETSIEVE_INLINE void store_any(float* to, Floats values) { *reinterpret_cast<AnyFloats*>(to) = values; }

NETSIEVE_INLINE Floats broadcast(float value) {
#if defined(__AVX512F__)
    return _mm512_set1_ps(value);
#elif defined(__AVX2__)
    return _mm256_set1_ps(value);
#else
    return Floats{value, value, value, value};
#endif
}

NETSIEVE_INLINE Floats zeros() { return Floats{}; }

// a * b + c, in one rounding where the machine can
NETSIEVE_INLINE Floats fma(Floats a, Floats b, Floats c) {
#if defined(__AVX512F__)
    return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__) && defined(__FMA__)
    return _mm256_fmadd_ps(a, b, c);
#elif defined(__aarch64__)
    return Floats(vfmaq_f32(float32x4_t(c), float32x4_t(a), float32x4_t(b)));
#else
    return a * b + c;
#endif
}

// Lanes of a where the mask is set, of b elsewhere
NETSIEVE_INLINE Floats select(Mask mask, Floats a, Floats b) { return mask ? a : b; }
NETSIEVE_INLINE Ints select(Mask mask, Ints a, Ints b) { return mask ? a : b; }

// The smaller and the larger one; b where either is NaN (as min(a, b) = a < b ? a : b has it)
NETSIEVE_INLINE Floats min(Floats a, Floats b) {
#if defined(__AVX512F__)
    return _mm512_min_ps(a, b);
#elif defined(__AVX2__)
    return _mm256_min_ps(a, b);
#elif defined(__SSE2__)
    return _mm_min_ps(a, b);
#else
    return a < b ? a : b;
#endif
}
NETSIEVE_INLINE Floats max(Floats a, Floats b) {
#if defined(__AVX512F__)
    return _mm512_max_ps(a, b);
#elif defined(__AVX2__)
    return _mm256_max_ps(a, b);
#elif defined(__SSE2__)
    return _mm_max_ps(a, b);
#else
    return a > b ? a : b;
#endif
}

NETSIEVE_INLINE Ints bits_of(Floats values) { return (Ints)values; }
NETSIEVE_INLINE Floats floats_of_bits(Ints bits) { return (Floats)bits; }
NETSIEVE_INLINE Floats as_floats(Ints values) { return __builtin_convertvector(values, Floats); }
// Towards zero; of no use for what is beyond int32
NETSIEVE_INLINE Ints as_ints(Floats values) { return __builtin_convertvector(values, Ints); }
NETSIEVE_INLINE Floats magnitude(Floats values) { return floats_of_bits(bits_of(values) & 0x7FFFFFFF); }
NETSIEVE_INLINE Mask is_nan(Floats values) { return values != values; }

// Whether the mask is set in any lane
NETSIEVE_INLINE bool any(Mask mask) {
#if defined(__AVX512F__)
    return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX2__)
    return _mm256_movemask_epi8((__m256i)mask) != 0;
#else
    std::int32_t joined = 0;
    for (int lane = 0; lane < LANES; ++lane) joined |= mask[lane];
    return joined != 0;
#endif
}

// values >= 0x1p-126 as a power of two and a mantissa in [sqrt(1/2), sqrt(2))
NETSIEVE_INLINE Floats split_power(Floats values, Ints& exponent) {
    const Ints shifted = bits_of(values) - 0x3F3504F3;  // bits of sqrt(1/2)
    exponent = shifted >> 23;
    return floats_of_bits((shifted & 0x007FFFFF) + 0x3F3504F3);
}

// log(mantissa) for a mantissa in [sqrt(1/2), sqrt(2)], to 2 units in the last place; 0 exactly for 1. The polynomial
// is that of logf in Cephes by Moshier (netlib.org/cephes, single).
NETSIEVE_INLINE Floats log_of_mantissa(Floats mantissa) {
    const Floats m = mantissa - 1.0f;
    const Floats square = m * m;
    Floats p = broadcast(7.0376836292e-2f);
    p = fma(p, m, broadcast(-1.1514610310e-1f));
    p = fma(p, m, broadcast(1.1676998740e-1f));
    p = fma(p, m, broadcast(-1.2420140846e-1f));
    p = fma(p, m, broadcast(1.4249322787e-1f));
    p = fma(p, m, broadcast(-1.6668057665e-1f));
    p = fma(p, m, broadcast(2.0000714765e-1f));
    p = fma(p, m, broadcast(-2.4999993993e-1f));
    p = fma(p, m, broadcast(3.3333331174e-1f));
    return fma(p * square, m, fma(broadcast(-0.5f), square, m));
}

inline constexpr float log_of_2_high = 0.693359375f;
inline constexpr float log_of_2_low = -2.12194440e-4f;

// Natural logarithm of normal positive numbers, to 2 units in the last place or so; infinity of infinity, NaN of NaN,
// 0 exactly of 1. Nothing useful for zero, denormal and negative numbers.
NETSIEVE_INLINE Floats log(Floats values) {
    Ints exponent;
    const Floats mantissa = split_power(values, exponent);
    const Floats power = as_floats(exponent);
    const Floats low = fma(power, broadcast(log_of_2_low), log_of_mantissa(mantissa));
    const Floats result = fma(power, broadcast(log_of_2_high), low);
    return select(values < __builtin_inff(), result, values);
}

// Bit i is set where a_i <= b_i.
NETSIEVE_INLINE std::uint32_t bits_at_most(Floats a, Floats b) {
#if defined(__AVX512F__)
    return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
#elif defined(__AVX2__)
    return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LE_OQ)));
#else
    const Mask mask = a <= b;
    std::uint32_t bits = 0;
    for (int lane = 0; lane < LANES; ++lane) bits |= static_cast<std::uint32_t>(mask[lane] & 1) << lane;
    return bits;
#endif
}

NETSIEVE_INLINE Floats square_root(Floats values) {
#if defined(__AVX512F__)
    return _mm512_sqrt_ps(values);
#elif defined(__AVX2__)
    return _mm256_sqrt_ps(values);
#else
    Floats roots = values;
    for (int lane = 0; lane < LANES; ++lane) roots[lane] = __builtin_sqrtf(values[lane]);
    return roots;
#endif
}

NETSIEVE_INLINE float sum_of_lanes(Floats values) {
    typedef float Four __attribute__((vector_size(16)));
    Four sums;
#if defined(__AVX512F__)
    const __m256 halves = _mm256_add_ps(_mm512_castps512_ps256(values), _mm512_extractf32x8_ps(values, 1));
    sums = Four(_mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1)));
#elif defined(__AVX2__)
    sums = Four(_mm_add_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps(values, 1)));
#else
    sums = values;
#endif
    const Four pairs = sums + __builtin_shufflevector(sums, sums, 2, 3, 0, 1);
    return pairs[0] + pairs[1];
}

}  // namespace netsieve::NETSIEVE_VARIANT
