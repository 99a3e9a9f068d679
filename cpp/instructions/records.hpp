// Raw records of flows, and how they are prepared: what a model file of so many features would have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "fixtures.hpp"

namespace netsieve::instructions {

class Records {
  public:
    // The last features are categories of so many codes.
    Records(Numbers& numbers, std::size_t features, const std::vector<std::int32_t>& codes);

    std::int32_t features() const { return features_; }
    const float* raw() const { return raw_.data(); }  // [rows, features]
    std::shared_ptr<const Preparation> preparation(const Variant& variant) const;
    Columns transposed(const Variant& variant, std::size_t results_width) const;
    Columns prepared(const Variant& variant, std::size_t results_width = 1) const;
    const std::vector<OneHotColumns>& one_hot() const { return one_hot_; }
    // Of each column
    const std::vector<std::int32_t>& feature() const { return feature_; }

  private:
    std::int32_t features_;
    std::vector<NumericColumn> numbers_;
    std::vector<std::int32_t> indicated_;
    std::vector<std::vector<float>> tables_;
    std::vector<CategoryTable> categories_;
    std::vector<OneHotColumns> one_hot_;
    std::vector<std::int32_t> feature_;
    std::vector<float> raw_;
};

}  // namespace netsieve::instructions
