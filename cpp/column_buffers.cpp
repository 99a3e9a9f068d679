#include "column_buffers.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <stdexcept>
#include <utility>

namespace netsieve {

namespace {
constexpr std::size_t first_arena = 64 * 1024;
}

ColumnBuffers::ColumnBuffers(ColumnKind kind, std::size_t capacity) : kind_(kind) {
    const std::size_t bitmap = capacity / 8 + 8;
    const std::size_t width = kind == ColumnKind::text ? view_size : 8;
    values_.reserve(kind == ColumnKind::boolean ? bitmap : width * (capacity + 1));
    if (kind == ColumnKind::boolean) std::memset(values_.data(), 0, bitmap);
    validity_.reserve(bitmap);
    std::memset(validity_.data(), 0xFF, bitmap);
}

void ColumnBuffers::grow_arena(std::size_t size) {
    // offsets are 32-bit numbers, signed for some readers
    if (size > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
        throw std::length_error("a block of text is too large");
    arena_.reserve(std::max({first_arena, size, arena_.capacity() + arena_.capacity() / 2}));
}

void ColumnBuffers::finish(std::size_t rows) {
    rows_ = rows;
    missing_ = 0;
    if (!any_missing_) return;
    for (std::size_t row = 0; row < rows; row += 8) {
        std::uint8_t absent = static_cast<std::uint8_t>(~validity_.data()[row / 8]);
        if (rows - row < 8) absent = static_cast<std::uint8_t>(absent & ((1U << (rows - row)) - 1));
        missing_ += static_cast<std::size_t>(std::popcount(absent));
    }
}

const char* ColumnBuffers::arrow_format() const {
    switch (kind_) {
        case ColumnKind::integer:
            return "l";
        case ColumnKind::number:
            return "g";
        case ColumnKind::boolean:
            return "b";
        case ColumnKind::time:
            return "tsu:UTC";
        default:
            return "vu";
    }
}

std::vector<const void*> ColumnBuffers::arrow_buffers() const {
    std::vector<const void*> buffers{missing_ ? validity_.data() : nullptr, values_.data()};
    if (kind_ == ColumnKind::text) {
        if (arena_used_) buffers.push_back(arena_.data());
        buffers.push_back(&arena_used_);  // lengths of the arenas: the one length, or none of it
    }
    return buffers;
}

ArrowSchema* new_arrow_schema(const ColumnBuffers& column) {
    return new ArrowSchema{column.arrow_format(),
                           "",
                           nullptr,
                           arrow_flag_nullable,
                           0,
                           nullptr,
                           nullptr,
                           [](ArrowSchema* schema) { schema->release = nullptr; },
                           nullptr};
}

ArrowArray* new_arrow_array(std::shared_ptr<ColumnBuffers> column) {
    struct Owned {
        std::shared_ptr<ColumnBuffers> column;
        std::vector<const void*> buffers;
    };
    std::vector<const void*> buffers = column->arrow_buffers();
    const auto rows = static_cast<std::int64_t>(column->rows());
    const auto missing = static_cast<std::int64_t>(column->missing());
    auto owned = std::make_unique<Owned>(std::move(column), std::move(buffers));
    const void** const pointers = owned->buffers.data();
    const auto count = static_cast<std::int64_t>(owned->buffers.size());
    auto* array = new ArrowArray{rows,
                                 missing,
                                 0,
                                 count,
                                 0,
                                 pointers,
                                 nullptr,
                                 nullptr,
                                 [](ArrowArray* released) {
                                     delete static_cast<Owned*>(released->private_data);
                                     released->release = nullptr;
                                 },
                                 owned.get()};
    static_cast<void>(owned.release());
    return array;
}

}  // namespace netsieve
