// The growing Arrow buffers of one column, and their hand-over to Arrow libraries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>
#include <vector>

#include "arrow.hpp"
#include "simd.hpp"

namespace netsieve {

enum class ColumnKind : std::uint8_t { skipped = 0, integer = 1, number = 2, boolean = 3, text = 4, time = 5 };

// Memory that is not cleared first: these buffers are written before they are read.
class RawBuffer {
  public:
    std::uint8_t* data() const { return data_.get(); }
    std::size_t capacity() const { return capacity_; }
    void reserve(std::size_t size) {
        if (size <= capacity_) return;
        void* grown = std::realloc(data_.get(), size);
        if (!grown) throw std::bad_alloc();
        static_cast<void>(data_.release());
        data_.reset(static_cast<std::uint8_t*>(grown));
        capacity_ = size;
    }

  private:
    struct Free {
        void operator()(void* memory) const { std::free(memory); }
    };
    std::unique_ptr<std::uint8_t, Free> data_;
    std::size_t capacity_ = 0;
};

// Text of up to 12 bytes lies in its view; longer text lies in the arena, and the view holds its first four bytes.
constexpr std::size_t inline_text = 12;
constexpr std::size_t view_size = 16;

class ColumnBuffers {
  public:
    ColumnBuffers(ColumnKind kind, std::size_t capacity);

    ColumnKind kind() const { return kind_; }
    void set_integer(std::size_t row, std::int64_t value) { std::memcpy(values_.data() + 8 * row, &value, 8); }
    void set_number(std::size_t row, double value) { std::memcpy(values_.data() + 8 * row, &value, 8); }
    void set_boolean(std::size_t row, bool value) {
        std::uint8_t& byte = values_.data()[row / 8];
        const auto bit = static_cast<std::uint8_t>(1U << (row % 8));
        byte = static_cast<std::uint8_t>(value ? byte | bit : byte & ~bit);
    }
    void set_text(std::size_t row, const std::uint8_t* text, std::size_t size) {
        std::uint8_t* const view = values_.data() + view_size * row;
        const auto length = static_cast<std::uint32_t>(size);
        std::memcpy(view, &length, 4);
        if (size <= inline_text) {
            std::memset(view + 4, 0, inline_text);
            std::memcpy(view + 4, text, size);
            return;
        }
        std::uint8_t* const copy = extend_arena(size);
        std::memcpy(copy, text, size);
        set_view(view + 4, copy);
    }
    // Text of up to 16 bytes.
    void set_short_text(std::size_t row, const Block16& text, unsigned size) {
        std::uint8_t* const view = values_.data() + view_size * row;
        if (size <= inline_text) {
            text.store_with_length(view, size);
            return;
        }
        std::uint8_t* const copy = extend_arena(size);
        text.store(copy);
        std::memcpy(view, &size, 4);
        set_view(view + 4, copy);
    }
    void set_missing(std::size_t row) {
        validity_.data()[row / 8] &= static_cast<std::uint8_t>(~(1U << (row % 8)));
        any_missing_ = true;
        if (kind_ != ColumnKind::boolean) {
            const std::size_t width = kind_ == ColumnKind::text ? view_size : 8;
            std::memset(values_.data() + width * row, 0, width);
        }
    }
    // Takes back set_missing: the row will be written again.
    void reset_row(std::size_t row) { validity_.data()[row / 8] |= static_cast<std::uint8_t>(1U << (row % 8)); }

    bool is_missing(std::size_t row) const { return !(validity_.data()[row / 8] >> (row % 8) & 1U); }
    std::int64_t integer_at(std::size_t row) const {
        std::int64_t value = 0;
        std::memcpy(&value, values_.data() + 8 * row, 8);
        return value;
    }
    double number_at(std::size_t row) const {
        double value = 0;
        std::memcpy(&value, values_.data() + 8 * row, 8);
        return value;
    }
    std::string_view text_at(std::size_t row) const {
        const std::uint8_t* const view = values_.data() + view_size * row;
        std::uint32_t size = 0, position = 0;
        std::memcpy(&size, view, 4);
        std::memcpy(&position, view + 12, 4);
        const std::uint8_t* const text = size <= inline_text ? view + 4 : arena_.data() + position;
        return {reinterpret_cast<const char*>(text), size};
    }

    void finish(std::size_t rows);
    const char* arrow_format() const;
    std::size_t rows() const { return rows_; }
    std::size_t missing() const { return missing_; }
    std::vector<const void*> arrow_buffers() const;

  private:
    // Room for so many bytes more (and up to 16 that may be written behind them).
    std::uint8_t* extend_arena(std::size_t size) {
        const auto used = static_cast<std::size_t>(arena_used_);
        if (used + size + 16 > arena_.capacity()) grow_arena(used + size + 16);
        arena_used_ += static_cast<std::int64_t>(size);
        return arena_.data() + used;
    }
    void grow_arena(std::size_t size);
    // The part of a view behind the length: first bytes, number of the arena, offset in it.
    void set_view(std::uint8_t* view, const std::uint8_t* copy) const {
        const std::uint32_t position[2] = {0, static_cast<std::uint32_t>(copy - arena_.data())};
        std::memcpy(view, copy, 4);
        std::memcpy(view + 4, position, 8);
    }

    ColumnKind kind_;
    RawBuffer values_;
    RawBuffer validity_;
    RawBuffer arena_;
    std::int64_t arena_used_ = 0;
    std::size_t rows_ = 0;
    std::size_t missing_ = 0;
    bool any_missing_ = false;
};

ArrowSchema* new_arrow_schema(const ColumnBuffers& column);
ArrowArray* new_arrow_array(std::shared_ptr<ColumnBuffers> column);

}  // namespace netsieve
