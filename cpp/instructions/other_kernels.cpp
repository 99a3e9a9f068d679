// Forests, stored rows, ensembles, and the kernels of one layer or a few.
#include <algorithm>
#include <string>
#include <utility>

#include "fixtures.hpp"

namespace netsieve::instructions {

namespace {

constexpr std::int32_t width = 41;
constexpr std::size_t columns = width;

// Trees whose splits part their leaves at random, as those of isolation forests do.
class RandomTrees {
  public:
    RandomTrees(Numbers& numbers, std::size_t trees, std::size_t leaves) : numbers_(numbers) {
        for (std::size_t tree = 0; tree < trees; ++tree) {
            root_.push_back(static_cast<std::int32_t>(column_.size()));
            add(leaves);
        }
        missing_left_ = std::make_unique<bool[]>(column_.size());
        for (std::size_t node = 0; node < column_.size(); ++node) missing_left_[node] = numbers.chance(0.5);
        target_.resize(trees);
    }

    ForestParameters parameters(TreeScore score) const {
        return {.view = View::unscaled,
                .columns = width,
                .root = values_of(root_),
                .column = values_of(column_),
                .threshold = values_of(threshold_),
                .left = values_of(left_),
                .right = values_of(right_),
                .missing_left = {missing_left_.get(), column_.size()},
                .value = values_of(value_),
                .values = 1,
                .target = values_of(target_),
                .targets = 1,
                .score = score,
                .explains = false};
    }

  private:
    std::int32_t add(std::size_t leaves) {
        const std::size_t node = column_.size();
        const bool is_leaf = leaves == 1;
        column_.push_back(is_leaf ? -1 : static_cast<std::int32_t>(numbers_.below(columns)));
        threshold_.push_back(numbers_.normal());
        value_.push_back(static_cast<float>(numbers_.below(1024)) * -0x1p-16f);
        left_.push_back(0);
        right_.push_back(0);
        if (!is_leaf) {
            const std::size_t lower = 1 + numbers_.below(leaves - 1);
            left_[node] = add(lower);
            right_[node] = add(leaves - lower);
        }
        return static_cast<std::int32_t>(node);
    }

    Numbers& numbers_;
    std::vector<std::int32_t> root_, column_, left_, right_, target_;
    std::vector<float> threshold_, value_;
    std::unique_ptr<bool[]> missing_left_;
};

void add_forests(const Variant& variant, Cases& cases) {
    struct Shape {
        const char* name;
        std::size_t trees, leaves;
        TreeScore score;
    };
    for (const auto& [name, trees, leaves, score] :
         {Shape{"forest, 100 trees of 34 leaves", 100, 34, TreeScore::exponential},
          Shape{"forest, 100 trees of 100 leaves", 100, 100, TreeScore::exponential},
          Shape{"forest, 10 trees of 2,000 leaves", 10, 2000, TreeScore::sum}}) {
        Numbers numbers(leaves);
        const RandomTrees forest(numbers, trees, leaves);
        Columns given = Columns::random(numbers, columns);
        for (std::size_t i = 0; i < given.columns.size(); i += 29) given.columns.data()[i] = __builtin_nanf("");
        add_kernel_case(cases, variant, name, variant.forest(forest.parameters(score)), std::move(given));
    }
}

void add_stored_rows(const Variant& variant, Cases& cases) {
    constexpr std::size_t stored = 1000, directions = 8;
    constexpr float elsewhere = 0.05f;  // how far columns lie beside the directions
    Numbers numbers(stored);
    // The directions are axes. Along them records differ, as they do along few directions in traffic.
    const auto value = [&numbers](std::size_t column) {
        return column < directions ? numbers.normal() : elsewhere * numbers.normal();
    };
    std::vector<float> rows_stored(stored * columns);
    for (std::size_t i = 0; i < rows_stored.size(); ++i) rows_stored[i] = value(i % columns);
    Columns records(columns, 1);
    for (std::size_t i = 0; i < records.columns.size(); ++i)
        records.columns.data()[i] = value(i / stripe_rows % columns);
    std::vector<double> direction(columns * directions);
    for (std::size_t i = 0; i < directions; ++i) direction[i * directions + i] = 1;
    const std::vector<float> weight(columns, 0.5f);
    const std::vector<std::int32_t> feature = counted_up(columns);
    for (const std::int32_t neighbours : {1, 5}) {
        Columns given(columns, 1);
        std::copy_n(records.columns.data(), records.columns.size(), given.columns.data());
        const std::string name = "nearest rows, " + std::to_string(neighbours) + " of 1,000";
        add_kernel_case(cases, variant, name,
                        variant.stored_rows({.stored = stored,
                                             .columns = width,
                                             .rows = values_of(rows_stored),
                                             .weight = values_of(weight),
                                             .neighbours = neighbours,
                                             .farthest = false,
                                             .directions = directions,
                                             .direction = values_of(direction),
                                             .feature = values_of(feature),
                                             .features = width}),
                        std::move(given));
    }
}

void add_combination(const Variant& variant, std::string name, Combination* made, Cases& cases) {
    const std::shared_ptr<const Combination> combination(made);
    Numbers numbers(3);
    const auto members = static_cast<std::size_t>(combination->members());
    const auto memory = std::make_shared<Columns>(Columns::random(numbers, members));
    const auto run = [combination, memory, members] {
        for (std::size_t block = 0; block < blocks; ++block)
            combination->combine(memory->columns.data() + block * members * block_rows, most_stripes,
                                 memory->results.data() + block * block_rows);
    };
    const auto sound = [memory] { return all_finite(memory->results.data(), memory->results.size()); };
    cases.push_back({std::move(name), variant.name, "row", rows, run, sound});
}

void add_combinations(const Variant& variant, Cases& cases) {
    constexpr std::size_t intervals = 64;
    std::vector<float> knots, base, slope;
    for (std::size_t i = 0; i <= intervals; ++i) knots.push_back(-4 + static_cast<float>(i) / 8);
    for (std::size_t i = 0; i < intervals; ++i) {
        base.push_back(static_cast<float>(i));
        slope.push_back(8);
    }
    const std::vector<TailRankParameters> ranks(
        3, {values_of(knots), values_of(base), values_of(slope), 0, knots.back(), 2});
    add_combination(variant, "tail ranks, mean of 3", variant.tail_ranks({values_of(ranks), SurpriseCombination::mean}),
                    cases);
    add_combination(variant, "tail ranks, median of 3",
                    variant.tail_ranks({values_of(ranks), SurpriseCombination::median}), cases);
    add_combination(variant, "sum of 3 parts", variant.sum_of_parts(3), cases);
}

void add_layered(const Variant& variant, Cases& cases) {
    constexpr std::int32_t parts = 4, waves = 256, code = 8;
    Numbers numbers(width);
    const std::vector<float> center = numbers.normals(columns, 0.1f), centers = numbers.normals(columns * parts, 0.1f);
    const std::vector<float> scales(columns * parts, 0.5f), heights = numbers.normals(parts);
    const std::vector<float> normal = numbers.normals(waves);
    const std::vector<std::int32_t> feature = counted_up(columns);
    Layers whitening, whitenings, frequency, codes;
    whitening.add(numbers, width, width, 1);
    for (std::int32_t part = 0; part < parts; ++part) whitenings.add(numbers, width, width, 1);
    frequency.add(numbers, width, waves, 1);
    codes.add(numbers, 64, code, 1);
    codes.add(numbers, 64, code, 1);
    const Layers classifier = layers_between(numbers, {width, 64, 32, 1}, true);
    const Layers encoder = layers_between(numbers, {width, 128, 64}, false);
    const auto add = [&](const char* name, Kernel* kernel) {
        add_kernel_case(cases, variant, name, kernel, Columns::random(numbers, columns));
    };
    add("classifier", variant.dense_score({classifier.values()}));
    add("ellipsoid", variant.ellipsoid({values_of(center), whitening.values()[0].weight, values_of(feature), width}));
    add("mixture of 4, full",
        variant.mixture({width, values_of(heights), whitenings.values(), FloatValues{}, FloatValues{}}));
    add("mixture of 4, diagonal", variant.mixture({width, values_of(heights), Values<DenseLayerParameters>{},
                                                   values_of(centers), values_of(scales)}));
    add("hyperplane", variant.hyperplane({values_of(center), 1, values_of(feature), width}));
    add("hyperplane of 256 waves", variant.fourier_hyperplane({width, values_of(center), whitening.values()[0], 3,
                                                               frequency.values()[0], values_of(normal), 1}));
    add("divergence", variant.divergence({encoder.values(), codes.values()[0], codes.values()[1], 10, 0.1f}));
}

}  // namespace

void add_other_kernel_cases(const Variant& variant, Cases& cases) {
    add_forests(variant, cases);
    add_stored_rows(variant, cases);
    add_combinations(variant, cases);
    add_layered(variant, cases);
}

}  // namespace netsieve::instructions
