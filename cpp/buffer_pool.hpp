// Freed column buffers, kept for the next block. Fresh memory costs a page fault every 4 KiB, which is a good part of
// the time that parsing takes; the allocator gives large buffers back to the system as soon as they are freed.
#pragma once

#include <cstddef>

namespace netsieve {

// A buffer of at least so many bytes, with its size. Throws std::bad_alloc.
struct PooledBuffer {
    void* memory = nullptr;
    std::size_t size = 0;
};
PooledBuffer take_buffer(std::size_t size);

// Keeps a buffer that take_buffer gave, or frees it where enough are kept. Any thread may call it.
void give_buffer(PooledBuffer buffer) noexcept;

}  // namespace netsieve
