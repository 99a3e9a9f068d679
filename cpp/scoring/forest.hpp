// The sums of a forest's leaves, a vector of rows at a time: see forest_layout.hpp for how.
//
// A tree's tests are done for six vectors of rows together, so that a test's numbers are loaded once for 6 comparisons,
// and the six words of bits stay in registers. Trees with too many leaves for that are walked through row by row.
#pragma once

#include <cstddef>
#include <cstdint>

#include "exponential.hpp"
#include "forest_layout.hpp"
#include "lanes.hpp"

namespace netsieve::NETSIEVE_VARIANT {

class Forest final : public Kernel {
  public:
    explicit Forest(const ForestParameters& given) : layout_(given, most_tests) {}

    View view() const override { return layout_.view; }
    int columns() const override { return layout_.columns; }
    int features() const override { return layout_.explains ? layout_.targets : 0; }
    std::size_t scratch_floats() const override {
        return layout_.score == TreeScore::largest ? static_cast<std::size_t>(layout_.targets) * block_rows : 0;
    }

    void score(const float* block, int stripes, float* scores, Scratch& scratch) const noexcept override {
        if (layout_.score == TreeScore::largest) {
            add_up(block, stripes, scratch.rows, Sums{scratch.floats, layout_.targets, stripe_rows});
            for (int row = 0; row < stripes * stripe_rows; row += LANES) {
                const float* const from = scratch.floats + static_cast<std::size_t>(row / stripe_rows) * stripe_rows *
                                                               static_cast<std::size_t>(layout_.targets);
                Floats largest = load(from + row % stripe_rows);
                for (int target = 1; target < layout_.targets; ++target)
                    largest = max(largest, load(from + target * stripe_rows + row % stripe_rows));
                store(scores + row, largest);
            }
            return;
        }
        add_up(block, stripes, scratch.rows, Sums{scores, 1, 0});
        if (layout_.score == TreeScore::exponential)
            for (int row = 0; row < stripes * stripe_rows; row += LANES)
                store(scores + row, exponential(load(scores + row)));
    }

    void feature_error(const float* block, int stripes, float* errors, Scratch& scratch) const noexcept override {
        add_up(block, stripes, scratch.rows, Sums{errors, layout_.targets, stripe_rows});
    }

  private:
    typedef std::uint32_t Bits __attribute__((vector_size(LANES * sizeof(float))));

    // Where sums are added to: float32 [stripes][targets][48], a target's place being target * step.
    struct Sums {
        float* sums;
        int targets;
        int step;
    };

    // Measured: walking costs 16 to 26 ns a row and tree, from 7 levels to 12; a test costs 0.035 ns a row with
    // AVX-512, 0.065 with AVX2, 0.12 with SSE. Beyond this many tests walking is faster.
    static constexpr int most_tests = 48 * LANES;
    static constexpr int most_vectors = 6;
    static constexpr int word_leaves = 32;
    static constexpr int walked_rows = 8;
#if defined(__AVX512F__)
    static constexpr bool looks_up_words = true;
#else
    static constexpr bool looks_up_words = false;
#endif

    void add_up(const float* block, int stripes, int rows, Sums to) const {
        const std::size_t size = static_cast<std::size_t>(stripes) * static_cast<std::size_t>(to.targets) * stripe_rows;
        for (std::size_t i = 0; i < size; i += LANES) store(to.sums + i, zeros());
        for (int vector = 0, vectors = (rows + LANES - 1) / LANES; vector < vectors; vector += most_vectors) {
            if (vectors - vector > 3) {
                add_tested<6>(block, vector, to);
            } else if (vectors - vector > 1) {
                add_tested<3>(block, vector, to);
            } else {
                add_tested<1>(block, vector, to);
            }
        }
        for (std::size_t tree = 0; tree < layout_.walked_count; ++tree)
            for (int row = 0; row < rows; row += walked_rows) add_walked(layout_.walked[tree], block, row, to);
    }

    // Where the vector i after the first one stands, in stripes that are count times 48 numbers apart.
    NETSIEVE_INLINE static std::size_t place(int i, int count) {
        return static_cast<std::size_t>(i / VECTORS) * static_cast<std::size_t>(count) * stripe_rows +
               static_cast<std::size_t>(i % VECTORS) * LANES;
    }

    // Adds the leaves of count vectors of rows, which begin with a stripe where they are longer than one.
    template <int COUNT>
    void add_tested(const float* block, int vector, Sums to) const {
        const float* const x = block + place(vector, layout_.columns);
        float* const sums = to.sums + place(vector, to.targets);
        for (std::size_t i = 0; i < layout_.tested_count; ++i) {
            const TestedTree& tree = layout_.tested[i];
            float* const target = sums + tree.target * to.step;
            Ints number[COUNT];
            if (tree.count == 1) {
                test<COUNT>(tree.words[0], x, number);
#pragma GCC unroll 6
                for (int v = 0; v < COUNT; ++v) number[v] = lowest_left(number[v]);
                add_leaves<COUNT, 1>(tree, number, target, to);
            } else if (looks_up_words && layout_.values == 1) {
                add_word_by_word<COUNT>(tree, x, target, to);
            } else {
                number_leaves<COUNT>(tree, x, number);
                add_leaves<COUNT, 0>(tree, number, target, to);
            }
        }
    }

    // Does the tests of a word: the bits of the leaves that they rule out.
    template <int COUNT>
    NETSIEVE_INLINE void test(const ForestWord& word, const float* x, Ints (&ruled_out)[COUNT]) const {
#pragma GCC unroll 6
        for (int v = 0; v < COUNT; ++v) ruled_out[v] = Ints{} + word.ruled_out;
        const ForestTest* test = word.first;
        for (; test < word.missing_left; ++test) {
            const Floats threshold = broadcast(test->threshold);
            const Ints bits = Ints{} + test->ruled_out;
            const float* const column = x + test->offset;
#pragma GCC unroll 6
            for (int v = 0; v < COUNT; ++v)
                ruled_out[v] =
                    ruled_out_unless_at_most(ruled_out[v], load(column + place(v, layout_.columns)), threshold, bits);
        }
        for (; test < word.end; ++test) {
            const Floats threshold = broadcast(test->threshold);
            const Ints bits = Ints{} + test->ruled_out;
            const float* const column = x + test->offset;
#pragma GCC unroll 6
            for (int v = 0; v < COUNT; ++v)
                ruled_out[v] =
                    ruled_out_if_above(ruled_out[v], load(column + place(v, layout_.columns)), threshold, bits);
        }
    }

    // The number of the lowest bit that is not ruled out, plus 31, in the five lowest bits: the exponent of a power of
    // two tells which one it is, plus 127. Nothing of use where all are.
    NETSIEVE_INLINE static Ints lowest_left(Ints ruled_out) {
        const Bits bits = (Bits)ruled_out;
        return bits_of(as_floats((Ints)(~bits & (bits + 1)))) >> 23;
    }

    // The places of a tree's leaves among all its words.
    template <int COUNT>
    NETSIEVE_INLINE void number_leaves(const TestedTree& tree, const float* x, Ints (&number)[COUNT]) const {
#pragma GCC unroll 6
        for (int v = 0; v < COUNT; ++v) number[v] = Ints{};
        for (int word = tree.count - 1; word >= 0; --word) {
            Ints ruled_out[COUNT];
            test<COUNT>(tree.words[word], x, ruled_out);
#pragma GCC unroll 6
            for (int v = 0; v < COUNT; ++v) {
                const Ints found = (lowest_left(ruled_out[v]) & (word_leaves - 1)) | (word * word_leaves);
                number[v] = select(ruled_out[v] != -1, found, number[v]);
            }
        }
    }

    // Adds the leaves of a tree of several words and one value, looked up in each word: faster than gathering them at
    // the end where a word's leaves fit in two registers.
    template <int COUNT>
    NETSIEVE_INLINE void add_word_by_word(const TestedTree& tree, const float* x, float* target, Sums to) const {
        Floats leaf[COUNT];
#pragma GCC unroll 6
        for (int v = 0; v < COUNT; ++v) leaf[v] = zeros();
        for (int word = tree.count - 1; word >= 0; --word) {
            Ints ruled_out[COUNT];
            test<COUNT>(tree.words[word], x, ruled_out);
            const float* const leaves = tree.leaves + word * word_leaves;
#pragma GCC unroll 6
            for (int v = 0; v < COUNT; ++v)
                leaf[v] = select(ruled_out[v] != -1, looked_up<1>(leaves, lowest_left(ruled_out[v])), leaf[v]);
        }
#pragma GCC unroll 6
        for (int v = 0; v < COUNT; ++v) {
            float* const sum = target + place(v, to.targets);
            store(sum, load(sum) + leaf[v]);
        }
    }

    // NaN is not at most anything
    NETSIEVE_INLINE static Ints ruled_out_unless_at_most(Ints before, Floats x, Floats threshold, Ints bits) {
#if defined(__AVX512F__)
        const __mmask16 above = _mm512_cmp_ps_mask(x, threshold, _CMP_NLE_UQ);
        return (Ints)_mm512_mask_or_epi32((__m512i)before, above, (__m512i)before, (__m512i)bits);
#else
        return before | (~(x <= threshold) & bits);
#endif
    }
    NETSIEVE_INLINE static Ints ruled_out_if_above(Ints before, Floats x, Floats threshold, Ints bits) {
#if defined(__AVX512F__)
        const __mmask16 above = _mm512_cmp_ps_mask(x, threshold, _CMP_GT_OQ);
        return (Ints)_mm512_mask_or_epi32((__m512i)before, above, (__m512i)before, (__m512i)bits);
#else
        return before | ((x > threshold) & bits);
#endif
    }

    // Adds the values of the leaves at these places; with one word, their five lowest bits count.
    template <int COUNT, int WORDS>
    NETSIEVE_INLINE void add_leaves(const TestedTree& tree, const Ints (&number)[COUNT], float* target, Sums to) const {
        const float* leaves = tree.leaves;
        for (int value = 0; value < layout_.values; ++value) {
#pragma GCC unroll 6
            for (int v = 0; v < COUNT; ++v) {
                float* const sum = target + place(v, to.targets);
                store(sum, load(sum) + looked_up<WORDS>(leaves, number[v]));
            }
            leaves += tree.count * word_leaves;
            target += to.step;
        }
    }

    template <int WORDS>
    NETSIEVE_INLINE static Floats looked_up(const float* leaves, Ints number) {
#if defined(__AVX512F__)
        if constexpr (WORDS == 1) return _mm512_permutex2var_ps(load(leaves), (__m512i)number, load(leaves + 16));
        return _mm512_i32gather_ps((__m512i)number, leaves, sizeof(float));
#else
        const Ints place = WORDS == 1 ? number & (word_leaves - 1) : number;
#if defined(__AVX2__)
        return _mm256_i32gather_ps(leaves, (__m256i)place, sizeof(float));
#else
        return Floats{leaves[place[0]], leaves[place[1]], leaves[place[2]], leaves[place[3]]};
#endif
#endif
    }

    // Walks through a tree with 8 rows at once, so that their waiting for memory overlaps.
    void add_walked(const WalkedTree& tree, const float* block, int row, Sums to) const {
        const float* const x = block + place(row / LANES, layout_.columns) + row % LANES;
        float* target = to.sums + place(row / LANES, to.targets) + row % LANES + tree.target * to.step;
        std::int32_t node[walked_rows] = {};
        for (bool moves = true; moves;) {
            moves = false;
            for (int i = 0; i < walked_rows; ++i) {
                const WalkedNode& at = tree.nodes[node[i]];
                const float value = x[at.offset + static_cast<std::uint32_t>(i)];
                // Without branches, which would be wrong half of the time: 3 times as fast
                const int goes_left = (value <= at.threshold) | ((value != value) & at.missing_left);
                const std::int32_t next = at.next[1 - goes_left];
                moves |= next != node[i];
                node[i] = next;
            }
        }
        for (int value = 0; value < layout_.values; ++value, target += to.step)
            for (int i = 0; i < walked_rows; ++i)
                target[i] += tree.leaves[tree.nodes[node[i]].leaf * layout_.values + value];
    }

    ForestLayout layout_;
};

}  // namespace netsieve::NETSIEVE_VARIANT
