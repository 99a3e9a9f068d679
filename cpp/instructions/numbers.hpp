// The same numbers on every machine and with every library: neither the distributions of the standard library, which
// are its own choice, nor functions of libm.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace netsieve::instructions {

// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
class Numbers {
  public:
    explicit Numbers(std::uint64_t seed) : state_(seed) {}

    std::uint64_t bits() {
        state_ += 0x9E3779B97F4A7C15U;
        std::uint64_t mixed = state_;
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9U;
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBU;
        return mixed ^ mixed >> 31;
    }
    std::size_t below(std::size_t limit) { return static_cast<std::size_t>(bits() % limit); }
    bool chance(double share) { return uniform() < share; }
    double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
    // About normal: mean 0, deviation 1, within 6
    float normal() {
        double sum = -6;
        for (int i = 0; i < 12; ++i) sum += uniform();
        return static_cast<float>(sum);
    }
    // Whole numbers of very different size, as counts of bytes are
    std::uint64_t count() { return bits() >> (40 + below(24)); }
    template <typename Value, std::size_t SIZE>
    const Value& one_of(const Value (&values)[SIZE]) {
        return values[below(SIZE)];
    }

    std::vector<float> normals(std::size_t size, float deviation = 1) {
        std::vector<float> values(size);
        for (float& value : values) value = deviation * normal();
        return values;
    }

  private:
    std::uint64_t state_;
};

}  // namespace netsieve::instructions
