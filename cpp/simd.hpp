// Byte comparisons over 16 and 64 bytes: SSE2 where it is (every x86-64), plain loops elsewhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace netsieve {

// Bit i is set where text[i] == byte, for i in [0, 64).
inline std::uint64_t equal_mask_64(const std::uint8_t* text, std::uint8_t byte) {
#if defined(__SSE2__)
    const __m128i wanted = _mm_set1_epi8(static_cast<char>(byte));
    std::uint64_t mask = 0;
    for (int part = 0; part < 4; ++part) {
        const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text + 16 * part));
        const auto bits = static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(block, wanted)));
        mask |= static_cast<std::uint64_t>(bits) << (16 * part);
    }
    return mask;
#else
    std::uint64_t mask = 0;
    for (unsigned i = 0; i < 64; ++i) mask |= static_cast<std::uint64_t>(text[i] == byte) << i;
    return mask;
#endif
}

// 16 bytes of text.
class Block16 {
  public:
#if defined(__SSE2__)
    explicit Block16(const std::uint8_t* text) : bytes_(_mm_loadu_si128(reinterpret_cast<const __m128i*>(text))) {}

    // Bit i is set where byte i is first or second.
    std::uint32_t either(std::uint8_t first, std::uint8_t second) const {
        const __m128i hits = _mm_or_si128(_mm_cmpeq_epi8(bytes_, _mm_set1_epi8(static_cast<char>(first))),
                                          _mm_cmpeq_epi8(bytes_, _mm_set1_epi8(static_cast<char>(second))));
        return static_cast<std::uint32_t>(_mm_movemask_epi8(hits));
    }

    // Bit i is set where byte i is one of '0' to '9'.
    std::uint32_t digits() const {
        const __m128i values = _mm_sub_epi8(bytes_, _mm_set1_epi8('0'));
        return static_cast<std::uint32_t>(
            _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(values, _mm_set1_epi8(9)), values)));
    }

    // Bit i is set where byte i is above 127.
    std::uint32_t beyond_ascii() const { return static_cast<std::uint32_t>(_mm_movemask_epi8(bytes_)); }

    // Bit i is set where byte i is below ' ' or above 127.
    std::uint32_t beyond_printable() const {
        return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmplt_epi8(bytes_, _mm_set1_epi8(' '))));
    }

    void store(std::uint8_t* to) const { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes_); }

    // Stores the first length (at most 12) bytes behind the length as a 32-bit number, and zeros behind them.
    void store_with_length(std::uint8_t* to, unsigned length) const {
        alignas(16) static constexpr std::uint8_t window[32] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                                                0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
        const __m128i kept = _mm_loadu_si128(reinterpret_cast<const __m128i*>(window + 16 - length));
        const __m128i text = _mm_slli_si128(_mm_and_si128(bytes_, kept), 4);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                         _mm_or_si128(text, _mm_cvtsi32_si128(static_cast<int>(length))));
    }

  private:
    __m128i bytes_;
#else
    explicit Block16(const std::uint8_t* text) { std::memcpy(bytes_, text, 16); }

    std::uint32_t either(std::uint8_t first, std::uint8_t second) const {
        std::uint32_t mask = 0;
        for (unsigned i = 0; i < 16; ++i)
            mask |= static_cast<std::uint32_t>(bytes_[i] == first || bytes_[i] == second) << i;
        return mask;
    }

    std::uint32_t digits() const {
        std::uint32_t mask = 0;
        for (unsigned i = 0; i < 16; ++i) mask |= static_cast<std::uint32_t>(bytes_[i] >= '0' && bytes_[i] <= '9') << i;
        return mask;
    }

    std::uint32_t beyond_ascii() const {
        std::uint32_t mask = 0;
        for (unsigned i = 0; i < 16; ++i) mask |= static_cast<std::uint32_t>(bytes_[i] >> 7) << i;
        return mask;
    }

    std::uint32_t beyond_printable() const {
        std::uint32_t mask = 0;
        for (unsigned i = 0; i < 16; ++i) mask |= static_cast<std::uint32_t>(bytes_[i] < ' ' || bytes_[i] > 127) << i;
        return mask;
    }

    void store(std::uint8_t* to) const { std::memcpy(to, bytes_, 16); }

    void store_with_length(std::uint8_t* to, unsigned length) const {
        const std::uint32_t number = length;
        std::memset(to, 0, 16);
        std::memcpy(to, &number, 4);
        std::memcpy(to + 4, bytes_, length);
    }

  private:
    std::uint8_t bytes_[16];
#endif
};

}  // namespace netsieve
