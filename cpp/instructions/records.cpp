#include "records.hpp"

#include <limits>

namespace netsieve::instructions {

namespace {

constexpr float soft_clip = 10, largest_excess = 1e30f;
constexpr std::size_t indicated_each = 5;
constexpr double missing_share = 0.03;

}  // namespace

Records::Records(Numbers& numbers, std::size_t features, const std::vector<std::int32_t>& codes)
    : features_(static_cast<std::int32_t>(features)), raw_(rows * features) {
    const std::size_t count = features - codes.size();
    for (std::size_t i = 0; i < count; ++i) {
        const bool is_count = i % 2 == 0;  // and its logarithm is taken
        numbers_.push_back({static_cast<std::int32_t>(i), is_count, is_count ? 4.0f : 0.0f, is_count ? 2.0f : 0.5f, 0});
        feature_.push_back(static_cast<std::int32_t>(i));
    }
    for (std::size_t i = 0; i < count; i += indicated_each) {
        indicated_.push_back(static_cast<std::int32_t>(i));
        feature_.push_back(static_cast<std::int32_t>(i));
    }
    for (std::size_t i = 0; i < codes.size(); ++i) {
        const auto feature = static_cast<std::int32_t>(count + i), size = codes[i];
        const auto width = static_cast<std::size_t>(size) + 1;
        one_hot_.push_back({static_cast<std::int32_t>(feature_.size()) + 1, size});
        feature_.insert(feature_.end(), width, feature);
        std::vector<float> table(static_cast<std::size_t>(size) * width);
        for (std::size_t code = 0; code < static_cast<std::size_t>(size); ++code) {
            table[code * width] = numbers.normal();  // how rare it is
            table[code * width + code + 1] = 1;
        }
        tables_.push_back(std::move(table));
        categories_.push_back({feature, size, size + 1, values_of(tables_.back())});
    }
    for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t i = 0; i < features; ++i) {
            float& value = raw_[row * features + i];
            if (i >= count)  // codes beyond the table among them
                value = static_cast<float>(numbers.below(static_cast<std::size_t>(codes[i - count]) + 1));
            else if (numbers.chance(missing_share))
                value = std::numeric_limits<float>::quiet_NaN();
            else
                value = i % 2 == 0 ? static_cast<float>(numbers.count()) : numbers.normal();
        }
}

std::shared_ptr<const Preparation> Records::preparation(const Variant& variant) const {
    return std::shared_ptr<const Preparation>(variant.preparation({.features = features_,
                                                                   .view = View::prepared,
                                                                   .numbers = values_of(numbers_),
                                                                   .indicated = values_of(indicated_),
                                                                   .categories = values_of(categories_),
                                                                   .limit = soft_clip,
                                                                   .largest_excess = largest_excess}));
}

Columns Records::transposed(const Variant& variant, std::size_t results_width) const {
    const auto width = static_cast<std::size_t>(features_);
    Columns made(width, results_width);
    for (std::size_t block = 0; block < blocks; ++block)
        variant.transpose(raw_.data() + block * block_rows * width, block_rows, features_,
                          made.columns.data() + block * block_rows * width);
    return made;
}

Columns Records::prepared(const Variant& variant, std::size_t results_width) const {
    const auto preparation = this->preparation(variant);
    const Columns raw = transposed(variant, 1);
    const auto from = static_cast<std::size_t>(features_), to = feature_.size();
    Columns made(to, results_width);
    for (std::size_t block = 0; block < blocks; ++block)
        preparation->prepare(raw.columns.data() + block * block_rows * from, most_stripes, block_rows,
                             made.columns.data() + block * block_rows * to);
    return made;
}

}  // namespace netsieve::instructions
