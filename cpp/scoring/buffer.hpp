// Memory that kernels keep what they packed in; std::vector would be instantiated (see variant.cpp).
#pragma once

#include <cstddef>
#include <stdexcept>

#include "block.hpp"
#include "lanes.hpp"

namespace netsieve::NETSIEVE_VARIANT {

// An array of plain values of fixed size.
template <typename Value>
class Array {
  public:
    Array() = default;
    explicit Array(std::size_t size) : values_(new Value[size]()), size_(size) {}
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;
    ~Array() { delete[] values_; }
    void allocate(std::size_t size) {
        delete[] values_;
        values_ = nullptr;
        values_ = new Value[size]();
        size_ = size;
    }

    Value& operator[](std::size_t i) { return values_[i]; }
    const Value& operator[](std::size_t i) const { return values_[i]; }
    Value* data() { return values_; }
    const Value* data() const { return values_; }
    std::size_t size() const { return size_; }

  private:
    Value* values_ = nullptr;
    std::size_t size_ = 0;
};

inline void expect(bool holds, const char* message) {
    if (!holds) throw std::invalid_argument(message);
}

}  // namespace netsieve::NETSIEVE_VARIANT
