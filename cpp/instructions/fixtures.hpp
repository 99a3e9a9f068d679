// What the cases of the kernels are made from: networks with random weights, columns of records, their scores.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "../scoring/parameters.hpp"
#include "../scoring/variant.hpp"
#include "cases.hpp"
#include "numbers.hpp"

namespace netsieve::instructions {

constexpr std::size_t blocks = 3;
constexpr std::size_t rows = blocks * block_rows;

template <typename Value>
Values<Value> values_of(const std::vector<Value>& values) {
    return {values.data(), values.size()};
}

inline std::vector<std::int32_t> counted_up(std::size_t size) {
    std::vector<std::int32_t> values(size);
    std::iota(values.begin(), values.end(), 0);
    return values;
}

inline bool all_finite(const float* values, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i)
        if (!std::isfinite(values[i])) return false;
    return true;
}

// Dense layers, and the weights that they lie in.
class Layers {
  public:
    Layers() = default;
    Layers(Layers&&) = default;  // the arrays stay where they are
    // One more layer, of random weights.
    void add(Numbers& numbers, std::int32_t inputs, std::int32_t outputs, float slope) {
        const auto size = static_cast<std::size_t>(inputs) * static_cast<std::size_t>(outputs);
        weights_.push_back(numbers.normals(size, 1 / std::sqrt(static_cast<float>(inputs))));
        biases_.push_back(numbers.normals(static_cast<std::size_t>(outputs), 0.1f));
        layers_.push_back({inputs, outputs, values_of(weights_.back()), values_of(biases_.back()), slope});
    }
    Values<DenseLayerParameters> values() const { return values_of(layers_); }

  private:
    std::vector<std::vector<float>> weights_, biases_;
    std::vector<DenseLayerParameters> layers_;
};

// Layers between so many columns, the last one linear.
inline Layers layers_between(Numbers& numbers, const std::vector<std::int32_t>& widths, bool linear_end) {
    constexpr float leaky = 0.01f;
    Layers layers;
    for (std::size_t i = 0; i + 1 < widths.size(); ++i)
        layers.add(numbers, widths[i], widths[i + 1], linear_end && i + 2 == widths.size() ? 1.0f : leaky);
    return layers;
}

// Columns of records, [blocks][stripes][columns][48], and memory for what is computed of them.
struct Columns {
    Columns(std::size_t width, std::size_t results_width) : columns(width * rows), results(results_width * rows) {}

    static Columns random(Numbers& numbers, std::size_t width, std::size_t results_width = 1) {
        Columns made(width, results_width);
        for (std::size_t i = 0; i < made.columns.size(); ++i) made.columns.data()[i] = numbers.normal();
        return made;
    }

    FloatBuffer columns, results, scratch;
};

// All blocks through a kernel, to scores or to the features' parts of them.
inline void add_kernel_case(Cases& cases, const Variant& variant, std::string name, Kernel* made, Columns given,
                            bool parts = false) {
    const std::shared_ptr<const Kernel> kernel(made);
    auto memory = std::make_shared<Columns>(std::move(given));
    memory->scratch = FloatBuffer(kernel->scratch_floats());
    const auto run = [kernel, memory, parts] {
        Scratch scratch{memory->scratch.data()};
        const std::size_t width = memory->columns.size() / blocks, results = memory->results.size() / blocks;
        for (std::size_t block = 0; block < blocks; ++block) {
            const float* const from = memory->columns.data() + block * width;
            float* const to = memory->results.data() + block * results;
            if (parts)
                kernel->feature_error(from, most_stripes, to, scratch);
            else
                kernel->score(from, most_stripes, to, scratch);
        }
    };
    const auto sound = [memory] {
        const float* const results = memory->results.data();
        return all_finite(results, memory->results.size()) && results[0] != results[1];
    };
    cases.push_back({std::move(name), variant.name, "row", rows, run, sound});
}

}  // namespace netsieve::instructions
