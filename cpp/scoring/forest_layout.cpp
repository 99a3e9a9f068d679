#include "forest_layout.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace netsieve {

namespace {

constexpr int word_bits = 32;
constexpr std::size_t tests_per_word = 4;  // that take as long as what a word costs beside its tests
constexpr std::int32_t most_columns = 1 << 16;
constexpr std::int32_t most_targets = 1 << 16;
constexpr std::int32_t most_values = 64;
constexpr std::size_t most_leaf_places = std::size_t{1} << 24;  // 64 MiB; words of few leaves have as many as others

void expect(bool holds, const char* message) {
    if (!holds) throw std::invalid_argument(message);
}

// An inner node, and the leaves of its left subtree, counted from the tree's leftmost.
struct Split {
    std::int32_t node;
    std::int32_t first;
    std::int32_t last;
};

// A tree's inner nodes, and its leaves from left to right.
struct TreeShape {
    std::vector<Split> splits;
    std::vector<std::int32_t> leaves;
};

// Each node but the root follows one node before it, so that every way from the root ends at a leaf.
void check_tree(const ForestParameters& given, std::size_t first, std::size_t end, std::vector<bool>& has_parent) {
    for (std::size_t node = first; node < end; ++node) {
        if (given.column[node] < 0) {
            for (std::int32_t i = 0; i < given.values; ++i)
                expect(std::isfinite(
                           given.value[node * static_cast<std::size_t>(given.values) + static_cast<std::size_t>(i)]),
                       "a leaf's value is not finite");
            continue;
        }
        expect(given.column[node] < given.columns, "a node looks at a column that is not there");
        expect(!std::isnan(given.threshold[node]), "a threshold is not a number");
        for (const std::int32_t child : {given.left[node], given.right[node]}) {
            expect(child > static_cast<std::int64_t>(node) && child < static_cast<std::int64_t>(end),
                   "a node is followed by one before it, or of another tree");
            expect(!has_parent[static_cast<std::size_t>(child)], "a node follows two others");
            has_parent[static_cast<std::size_t>(child)] = true;
        }
    }
    for (std::size_t node = first + 1; node < end; ++node) expect(has_parent[node], "a node follows no other");
}

// For each node, a leaf that gives all rows the values that they get there, or -1: a leaf itself, and a split between
// leaves of the same values. In isolation forests a fifth of the splits are such.
std::vector<std::int32_t> leaves_standing_for(const ForestParameters& given) {
    std::vector<std::int32_t> leaf(given.column.size, -1);
    const auto values_of = [&](std::int32_t node) {
        return given.value.data + static_cast<std::size_t>(node) * static_cast<std::size_t>(given.values);
    };
    for (std::size_t node = leaf.size(); node-- > 0;) {  // those that follow a node stand behind it
        if (given.column[node] < 0) {
            leaf[node] = static_cast<std::int32_t>(node);
            continue;
        }
        const std::int32_t left = leaf[static_cast<std::size_t>(given.left[node])];
        const std::int32_t right = leaf[static_cast<std::size_t>(given.right[node])];
        if (left >= 0 && right >= 0 && std::equal(values_of(left), values_of(left) + given.values, values_of(right)))
            leaf[node] = left;
    }
    return leaf;
}

TreeShape shape_of(const ForestParameters& given, const std::vector<std::int32_t>& leaf, std::size_t root) {
    struct Open {
        std::int32_t node;
        std::int32_t split;  // whose right child it is, or -1
    };
    TreeShape shape;
    std::vector<Open> open{{static_cast<std::int32_t>(root), -1}};
    while (!open.empty()) {
        const auto [node, split] = open.back();
        open.pop_back();
        const auto leaves = static_cast<std::int32_t>(shape.leaves.size());
        if (split >= 0) shape.splits[static_cast<std::size_t>(split)].last = leaves;
        const auto at = static_cast<std::size_t>(node);
        if (leaf[at] >= 0) {
            shape.leaves.push_back(leaf[at]);
            continue;
        }
        open.push_back({given.right[at], static_cast<std::int32_t>(shape.splits.size())});
        open.push_back({given.left[at], -1});
        shape.splits.push_back({node, leaves, 0});
    }
    return shape;
}

// Where the words of a tree begin among its leaves, and the tests of all words together.
struct Cuts {
    std::vector<std::int32_t> first;
    std::size_t tests;
};

// Cuts the leaves so that few splits have left leaves in several words, which cost a test in each.
Cuts cuts_of(const TreeShape& shape) {
    const std::size_t leaves = shape.leaves.size();
    // Splits whose left leaves begin before a leaf, and end before or with it
    std::vector<std::size_t> begun(leaves + 1), ended(leaves + 1);
    for (const Split& split : shape.splits) {
        ++begun[static_cast<std::size_t>(split.first) + 1];
        ++ended[static_cast<std::size_t>(split.last)];
    }
    for (std::size_t leaf = 1; leaf <= leaves; ++leaf) {
        begun[leaf] += begun[leaf - 1];
        ended[leaf] += ended[leaf - 1];
    }
    struct Best {
        std::size_t cost;
        std::size_t tests;
        std::size_t first;  // of the last word
    };
    std::vector<Best> best(leaves + 1, {SIZE_MAX, 0, 0});
    best[0].cost = 0;
    for (std::size_t end = 1; end <= leaves; ++end)
        for (std::size_t first = end > word_bits ? end - word_bits : 0; first < end; ++first) {
            const std::size_t tests = begun[end] - ended[first];
            const std::size_t cost = best[first].cost + tests + tests_per_word;
            if (cost < best[end].cost) best[end] = {cost, best[first].tests + tests, first};
        }
    Cuts cuts{{}, best[leaves].tests};
    for (std::size_t end = leaves; end > 0; end = best[end].first)
        cuts.first.push_back(static_cast<std::int32_t>(best[end].first));
    std::reverse(cuts.first.begin(), cuts.first.end());
    return cuts;
}

// The bits from first up to last of a word.
std::int32_t bits_between(std::int32_t first, std::int32_t last) {
    first = std::max(first, 0);
    last = std::min(last, word_bits);
    if (first >= last) return 0;
    return static_cast<std::int32_t>(((std::uint64_t{1} << (last - first)) - 1) << first);
}

}  // namespace

struct ForestLayout::Store {
    std::vector<ForestTest> tests;
    std::vector<ForestWord> words;
    std::vector<TestedTree> tested;
    std::vector<WalkedNode> nodes;
    std::vector<WalkedTree> walked;
    std::vector<float> walked_leaves;
    FloatBuffer leaves;

    void add_tested(const ForestParameters& given, const TreeShape& shape, const Cuts& cuts) {
        for (std::size_t word = 0; word < cuts.first.size(); ++word) {
            const std::int32_t leaf = cuts.first[word];
            const auto all = static_cast<std::int32_t>(shape.leaves.size());
            const std::int32_t leaves = (word + 1 < cuts.first.size() ? cuts.first[word + 1] : all) - leaf;
            const std::size_t first = tests.size();
            std::size_t missing_left = first;
            for (const bool is_left : {false, true}) {
                const auto start = static_cast<std::ptrdiff_t>(tests.size());
                missing_left = tests.size();
                for (const Split& split : shape.splits) {
                    const auto node = static_cast<std::size_t>(split.node);
                    const std::int32_t bits = bits_between(split.first - leaf, std::min(split.last - leaf, leaves));
                    if (bits && given.missing_left[node] == is_left)
                        tests.push_back({static_cast<std::uint32_t>(given.column[node]) * stripe_rows,
                                         given.threshold[node], bits});
                }
                std::sort(tests.begin() + start, tests.end(),
                          [](const ForestTest& a, const ForestTest& b) { return a.offset < b.offset; });
            }
            words.push_back({tests.data() + first, tests.data() + missing_left, tests.data() + tests.size(),
                             bits_between(leaves, word_bits)});
        }
    }

    void add_walked(const ForestParameters& given, const std::vector<std::int32_t>& leaf, std::size_t first,
                    std::size_t end) {
        std::int32_t leaves = 0;
        for (std::size_t node = first; node < end; ++node) {
            const bool is_leaf = leaf[node] >= 0;
            const auto own = static_cast<std::int32_t>(node - first);
            const auto base = static_cast<std::int32_t>(first);
            nodes.push_back({{is_leaf ? own : given.left[node] - base, is_leaf ? own : given.right[node] - base},
                             is_leaf ? 0 : static_cast<std::uint32_t>(given.column[node]) * stripe_rows,
                             given.threshold[node],
                             given.missing_left[node],
                             is_leaf ? leaves++ : 0});
            if (is_leaf) {
                const float* const from =
                    given.value.data + static_cast<std::size_t>(leaf[node]) * static_cast<std::size_t>(given.values);
                walked_leaves.insert(walked_leaves.end(), from, from + given.values);
            }
        }
    }
};

ForestLayout::ForestLayout(const ForestParameters& given, int most_tests)
    : view(given.view),
      score(given.score),
      explains(given.explains),
      columns(given.columns),
      values(given.values),
      targets(given.targets) {
    const std::size_t trees = given.root.size, nodes = given.column.size;
    expect(given.columns > 0 && given.columns <= most_columns, "a forest looks at no column, or at too many");
    expect(given.values > 0 && given.values <= most_values && given.targets > 0 && given.targets <= most_targets,
           "a forest has no target, or too many");
    expect(trees > 0 && given.target.size == trees && nodes < (std::size_t{1} << 30), "a forest has no tree");
    expect(given.threshold.size == nodes && given.left.size == nodes && given.right.size == nodes &&
               given.missing_left.size == nodes && given.value.size == nodes * static_cast<std::size_t>(given.values),
           "the nodes of a forest differ in number");
    expect(given.score == TreeScore::largest || given.values == 1, "only one value of a leaf can be summed up");
    expect(given.score == TreeScore::sum || !given.explains, "the features' parts of the score do not sum up to it");
    const auto end_of = [&](std::size_t tree) {
        return tree + 1 < trees ? static_cast<std::size_t>(given.root[tree + 1]) : nodes;
    };
    for (std::size_t tree = 0; tree < trees; ++tree) {
        expect(given.root[tree] >= 0 && (tree || given.root[tree] == 0) && end_of(tree) <= nodes &&
                   static_cast<std::size_t>(given.root[tree]) < end_of(tree),
               "the trees of a forest do not follow each other");
        expect(given.target[tree] >= 0 && given.target[tree] <= given.targets - given.values,
               "a tree adds to a target that is not there");
    }

    std::vector<bool> has_parent(nodes);
    for (std::size_t tree = 0; tree < trees; ++tree)
        check_tree(given, static_cast<std::size_t>(given.root[tree]), end_of(tree), has_parent);
    const std::vector<std::int32_t> leaf = leaves_standing_for(given);

    auto store = std::make_unique<Store>();
    struct Shape {
        TreeShape tree;
        Cuts cuts;
    };
    std::vector<Shape> shapes;  // of the tested trees
    struct Start {
        std::size_t node;
        std::size_t leaf;
    };
    std::vector<Start> starts;  // of the walked trees
    std::size_t tests = 0, words = 0;
    for (std::size_t tree = 0; tree < trees; ++tree) {
        const auto root = static_cast<std::size_t>(given.root[tree]), end = end_of(tree);
        TreeShape shape = shape_of(given, leaf, root);
        Cuts cuts = cuts_of(shape);
        if (cuts.tests > static_cast<std::size_t>(most_tests)) {
            store->walked.push_back({nullptr, given.target[tree], nullptr});
            starts.push_back({store->nodes.size(), store->walked_leaves.size()});
            store->add_walked(given, leaf, root, end);
        } else {
            const std::size_t count = cuts.first.size();
            store->tested.push_back({nullptr, static_cast<std::int32_t>(count), given.target[tree], nullptr});
            tests += cuts.tests;
            words += count;
            expect(words * word_bits * static_cast<std::size_t>(values) <= most_leaf_places,
                   "a forest has too many trees");
            shapes.push_back({std::move(shape), std::move(cuts)});
        }
    }

    // Pointers into vectors that do not grow any more
    store->tests.reserve(tests);
    store->words.reserve(words);
    store->leaves = FloatBuffer(words * word_bits * static_cast<std::size_t>(values));
    float* leaves = store->leaves.data();
    for (std::size_t i = 0; i < shapes.size(); ++i) {
        TestedTree& tree = store->tested[i];
        tree.words = store->words.data() + store->words.size();
        tree.leaves = leaves;
        const auto& [shape, cuts] = shapes[i];
        store->add_tested(given, shape, cuts);
        const std::size_t places = cuts.first.size() * word_bits;
        std::size_t word = 0;
        for (std::size_t number = 0; number < shape.leaves.size(); ++number) {
            if (word + 1 < cuts.first.size() && static_cast<std::int32_t>(number) == cuts.first[word + 1]) ++word;
            const std::size_t bit = number - static_cast<std::size_t>(cuts.first[word]);
            const std::size_t place = word * word_bits + (bit + word_bits - 1) % word_bits;
            const auto from = static_cast<std::size_t>(shape.leaves[number]) * static_cast<std::size_t>(values);
            for (std::size_t j = 0; j < static_cast<std::size_t>(values); ++j)
                leaves[j * places + place] = given.value[from + j];
        }
        leaves += places * static_cast<std::size_t>(values);
    }
    for (std::size_t i = 0; i < starts.size(); ++i) {
        store->walked[i].nodes = store->nodes.data() + starts[i].node;
        store->walked[i].leaves = store->walked_leaves.data() + starts[i].leaf;
    }

    tested = store->tested.data();
    tested_count = store->tested.size();
    walked = store->walked.data();
    walked_count = store->walked.size();
    store_ = store.release();
}

ForestLayout::~ForestLayout() { delete store_; }

}  // namespace netsieve
