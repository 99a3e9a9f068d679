#include "buffer_pool.hpp"

#include <array>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

namespace netsieve {

namespace {

// Smaller buffers cost little to make; larger ones, and more in all, are too much to keep for later.
constexpr std::size_t smallest = 16 * 1024;
constexpr std::size_t largest = 4 * 1024 * 1024;
constexpr std::size_t most_kept = 48 * 1024 * 1024;
constexpr std::size_t classes = 40;

// Sizes are powers of two and three quarters of them.
std::size_t rounded_size(std::size_t size) {
    const std::size_t power = std::bit_ceil(size);
    return size <= power / 4 * 3 ? power / 4 * 3 : power;
}

std::size_t class_of(std::size_t rounded) {
    const std::size_t power = std::bit_ceil(rounded);
    return 2 * static_cast<std::size_t>(std::countr_zero(power) - std::countr_zero(smallest)) + (rounded == power);
}

struct Pool {
    std::mutex mutex;
    std::array<std::vector<void*>, classes> kept;
    std::size_t bytes = 0;
};

// Never destroyed: columns may be freed after the module's static objects are.
Pool& pool() {
    static Pool& only = *new Pool;
    return only;
}

bool is_pooled(std::size_t size) { return size >= smallest && size <= largest; }

}  // namespace

PooledBuffer take_buffer(std::size_t size) {
    if (is_pooled(size)) {
        size = rounded_size(size);
        Pool& own = pool();
        // a lock that another thread held when the process forked will never be free
        if (const std::unique_lock lock(own.mutex, std::try_to_lock); lock) {
            std::vector<void*>& fitting = own.kept[class_of(size)];
            if (!fitting.empty()) {
                void* const memory = fitting.back();
                fitting.pop_back();
                own.bytes -= size;
                return {memory, size};
            }
        }
    }
    void* const memory = std::malloc(size);
    if (!memory) throw std::bad_alloc();
    return {memory, size};
}

void give_buffer(PooledBuffer buffer) noexcept {
    if (is_pooled(buffer.size) && rounded_size(buffer.size) == buffer.size) {
        Pool& own = pool();
        try {
            if (const std::unique_lock lock(own.mutex, std::try_to_lock);
                lock && own.bytes + buffer.size <= most_kept) {
                own.kept[class_of(buffer.size)].push_back(buffer.memory);
                own.bytes += buffer.size;
                return;
            }
        } catch (const std::bad_alloc&) {
            // no room to remember it
        }
    }
    std::free(buffer.memory);
}

}  // namespace netsieve
