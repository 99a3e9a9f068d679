// Trees as tests over bits: what a forest's kernel reads. Made once, from arrays that are not trusted; free of any
// instruction set.
//
// The leaves of a tree, from left to right, are the bits of one 32-bit word or several. A test that sends a row to the
// right rules out the leaves of its left subtree; when all tests are done, in any order, the lowest bit left is the
// leaf that the row falls into (Lucchese et al., "QuickScorer: a fast algorithm to rank documents with additive
// ensembles of regression trees", SIGIR 2015). A test of a vector of rows is thus a load, a comparison and a masked
// OR, with no branch and nothing gathered.
#pragma once

#include <cstddef>
#include <cstdint>

#include "block.hpp"
#include "parameters.hpp"

namespace netsieve {

// How the sums of the targets become the score: netsieve.engine.detectors.tree_ensemble.Combination, and their sum.
enum class TreeScore { sum, exponential, largest };

// Binary trees as netsieve.engine.detectors.tree_ensemble.TreeEnsemble has them.
struct ForestParameters {
    View view;
    std::int32_t columns;
    IntValues root;             // [trees], increasing, the first 0
    IntValues column;           // [nodes]; negative: a leaf
    FloatValues threshold;      // [nodes]
    IntValues left;             // [nodes]
    IntValues right;            // [nodes]
    Values<bool> missing_left;  // [nodes]
    FloatValues value;          // [nodes, values]
    std::int32_t values;
    IntValues target;  // [trees]
    std::int32_t targets;
    TreeScore score;
    bool explains;  // whether the targets are the features' parts of the score
};

// Rows for which value <= threshold does not hold lose the leaves whose bits are set.
struct ForestTest {
    std::uint32_t offset;  // of the column in a stripe
    float threshold;
    std::int32_t ruled_out;
};

// Tests of up to 32 leaves of a tree.
struct ForestWord {
    const ForestTest* first;
    const ForestTest* missing_left;  // from here on, missing values go left
    const ForestTest* end;
    std::int32_t ruled_out;  // bits of no leaf
};

// A tree that is tested as a whole.
struct TestedTree {
    const ForestWord* words;  // of the leaves from left to right
    std::int32_t count;       // of words
    std::int32_t target;
    const float* leaves;  // [values][count][32], 64-byte aligned; leaf i of a word stands at (i + 31) % 32
};

// A node of a tree that is walked through, because it has too many leaves.
struct WalkedNode {
    std::int32_t next[2];  // left and right; a leaf's are the leaf
    std::uint32_t offset;
    float threshold;
    std::int32_t missing_left;
    std::int32_t leaf;  // its number
};

struct WalkedTree {
    const WalkedNode* nodes;
    std::int32_t target;
    const float* leaves;  // [leaves][values]
};

class ForestLayout {
  public:
    // Trees of more than so many tests are walked through. Throws std::invalid_argument unless the arrays are trees.
    ForestLayout(const ForestParameters& given, int most_tests);
    ForestLayout(const ForestLayout&) = delete;
    ForestLayout& operator=(const ForestLayout&) = delete;
    ~ForestLayout();

    View view;
    TreeScore score;
    bool explains;
    std::int32_t columns;
    std::int32_t values;
    std::int32_t targets;
    const TestedTree* tested = nullptr;
    std::size_t tested_count = 0;
    const WalkedTree* walked = nullptr;
    std::size_t walked_count = 0;

  private:
    struct Store;
    Store* store_;
};

}  // namespace netsieve
