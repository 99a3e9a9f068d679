// From rows to lanes and back.
#pragma once

#include <cstddef>

#include "lanes.hpp"

namespace netsieve::NETSIEVE_VARIANT {

typedef float Quarter __attribute__((vector_size(16), aligned(4), may_alias));

// The four numbers at each of the addresses, one address for each 128 bits of a vector.
template <typename RowAt>
NETSIEVE_INLINE Floats load_quarters(RowAt row_at, int first) {
#if defined(__AVX512F__)
    __m512 all = _mm512_castps128_ps512(_mm_loadu_ps(row_at(first)));
    all = _mm512_insertf32x4(all, _mm_loadu_ps(row_at(first + 4)), 1);
    all = _mm512_insertf32x4(all, _mm_loadu_ps(row_at(first + 8)), 2);
    return _mm512_insertf32x4(all, _mm_loadu_ps(row_at(first + 12)), 3);
#elif defined(__AVX2__)
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(row_at(first))), _mm_loadu_ps(row_at(first + 4)),
                                1);
#else
    return *reinterpret_cast<const Quarter*>(row_at(first));
#endif
}

// Within each 128 bits: the lower halves of a and b in turn, or the upper ones
NETSIEVE_INLINE Floats interleave_low(Floats a, Floats b) {
#if defined(__AVX512F__)
    return _mm512_unpacklo_ps(a, b);
#elif defined(__AVX2__)
    return _mm256_unpacklo_ps(a, b);
#else
    return __builtin_shufflevector(a, b, 0, 4, 1, 5);
#endif
}
NETSIEVE_INLINE Floats interleave_high(Floats a, Floats b) {
#if defined(__AVX512F__)
    return _mm512_unpackhi_ps(a, b);
#elif defined(__AVX2__)
    return _mm256_unpackhi_ps(a, b);
#else
    return __builtin_shufflevector(a, b, 2, 6, 3, 7);
#endif
}

// Within each 128 bits: the lower halves of a and b one after the other, or the upper ones
NETSIEVE_INLINE Floats join_low(Floats a, Floats b) {
#if defined(__AVX512F__)
    return _mm512_shuffle_ps(a, b, 0x44);
#elif defined(__AVX2__)
    return _mm256_shuffle_ps(a, b, 0x44);
#else
    return __builtin_shufflevector(a, b, 0, 1, 4, 5);
#endif
}
NETSIEVE_INLINE Floats join_high(Floats a, Floats b) {
#if defined(__AVX512F__)
    return _mm512_shuffle_ps(a, b, 0xEE);
#elif defined(__AVX2__)
    return _mm256_shuffle_ps(a, b, 0xEE);
#else
    return __builtin_shufflevector(a, b, 2, 3, 6, 7);
#endif
}

// One stripe: row_at(row, column) is the address of a number. Four columns of a vector of rows are loaded so that the
// rows already lie in the order of the lanes once each 128 bits are transposed, which takes 8 shuffles.
template <typename At>
NETSIEVE_INLINE void transpose_stripe(At at, int width, float* to) {
    if (width < 4) {
        for (int row = 0; row < stripe_rows; ++row)
            for (int column = 0; column < width; ++column) to[column * stripe_rows + row] = *at(row, column);
        return;
    }
    for (int left = width; left > 0; left -= 4) {
        const int column = width - (left < 4 ? 4 : left);  // the last four may be some for the second time
        for (int v = 0; v < VECTORS; ++v) {
            const auto row_at = [&](int row) { return at(v * LANES + row, column); };
            const Floats a = load_quarters(row_at, 0), b = load_quarters(row_at, 1);
            const Floats c = load_quarters(row_at, 2), d = load_quarters(row_at, 3);
            const Floats low = interleave_low(a, b), high = interleave_high(a, b);
            const Floats next_low = interleave_low(c, d), next_high = interleave_high(c, d);
            float* const first = to + column * stripe_rows + v * LANES;
            store(first, join_low(low, next_low));
            store(first + stripe_rows, join_high(low, next_low));
            store(first + 2 * stripe_rows, join_low(high, next_high));
            store(first + 3 * stripe_rows, join_high(high, next_high));
        }
    }
}

// x [rows, features] -> raw [stripes][features][48], the last row repeated up to whole stripes
inline void transpose_rows(const float* x, std::size_t rows, int features, float* raw) noexcept {
    const auto width = static_cast<std::size_t>(features);
    for (std::size_t start = 0; start < rows; start += stripe_rows, raw += width * stripe_rows) {
        const float* const from = x + start * width;
        if (rows - start >= stripe_rows) {
            transpose_stripe([&](int row, int column) { return from + static_cast<std::size_t>(row) * width + column; },
                             features, raw);
            continue;
        }
        const auto last = static_cast<int>(rows - start - 1);
        if (last == 0) {
            for (std::size_t column = 0; column < width; ++column)
                for (int v = 0; v < VECTORS; ++v)
                    store(raw + column * stripe_rows + v * LANES, broadcast(from[column]));
            continue;
        }
        transpose_stripe(
            [&](int row, int column) {
                return from + static_cast<std::size_t>(row < last ? row : last) * width + column;
            },
            features, raw);
    }
}

// columns [stripes][count][48] -> out [rows, count]
inline void transpose_columns(const float* columns, std::size_t rows, int count, float* out) noexcept {
    const auto width = static_cast<std::size_t>(count);
    for (std::size_t row = 0; row < rows; ++row) {
        const float* const from = columns + row / stripe_rows * stripe_rows * width + row % stripe_rows;
        for (std::size_t column = 0; column < width; ++column) out[row * width + column] = from[column * stripe_rows];
    }
}

}  // namespace netsieve::NETSIEVE_VARIANT
