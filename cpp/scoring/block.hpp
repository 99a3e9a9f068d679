// How rows lie in memory while they are scored, and what a scoring kernel is. Free of any instruction set.
//
// Rows are scored in blocks of up to most_stripes stripes of stripe_rows rows. The columns of a block are float32
// [stripe][column][stripe_rows], 64-byte aligned: lanes are rows, so that no kernel ever sums across a vector, and 48
// rows are 3 vectors of AVX-512, 6 of AVX2, 12 of SSE or NEON. Rows beyond the end repeat the last row.
#pragma once

#include <cstddef>
#include <cstdint>

namespace netsieve {

inline constexpr int stripe_rows = 48;
inline constexpr int most_stripes = 4;
inline constexpr int block_rows = stripe_rows * most_stripes;
inline constexpr std::size_t vector_alignment = 64;  // bytes

// 64-byte aligned float32 memory. The functions are in plan.cpp, not here: see variant.cpp on what may be inline.
class FloatBuffer {
  public:
    FloatBuffer() = default;
    explicit FloatBuffer(std::size_t size);  // zeros
    FloatBuffer(const FloatBuffer&) = delete;
    FloatBuffer& operator=(const FloatBuffer&) = delete;
    FloatBuffer(FloatBuffer&& other) noexcept;
    FloatBuffer& operator=(FloatBuffer&& other) noexcept;
    ~FloatBuffer();

    [[gnu::always_inline]] float* data() { return data_; }
    [[gnu::always_inline]] const float* data() const { return data_; }
    [[gnu::always_inline]] std::size_t size() const { return size_; }

  private:
    float* data_ = nullptr;
    std::size_t size_ = 0;
};

// What a thread lends to the kernels of a plan.
struct Scratch {
    float* floats;          // at least the largest scratch_floats() of them, 64-byte aligned; not kept between calls
    int rows = block_rows;  // only the first rows of the block are looked at: a kernel may leave the others out
};

// Which columns of a record a kernel takes; see netsieve.engine.detectors.core.View.
enum class View { prepared, unscaled };

// Turns the columns of a block into scores. Immutable, so that any number of threads may use one.
class Kernel {
  public:
    Kernel() = default;
    Kernel(const Kernel&) = delete;
    Kernel& operator=(const Kernel&) = delete;
    virtual ~Kernel();  // in plan.cpp, and with it the table of virtual functions

    virtual View view() const = 0;
    // Columns of the view that it takes; a plan refuses a kernel of another number than it prepares.
    virtual int columns() const = 0;
    virtual std::size_t scratch_floats() const = 0;

    // block [stripes][columns][48] -> scores [stripes][48]; allocates nothing, throws nothing. A row's score may depend
    // neither on its place nor on the other rows.
    virtual void score(const float* block, int stripes, float* scores, Scratch& scratch) const noexcept = 0;

    // Features of which it tells the parts of the score; 0 if it does not.
    virtual int features() const;
    // errors [stripes][features][48]
    virtual void feature_error(const float* block, int stripes, float* errors, Scratch& scratch) const noexcept;
};

// Makes one score of those of several kernels.
class Combination {
  public:
    Combination() = default;
    Combination(const Combination&) = delete;
    Combination& operator=(const Combination&) = delete;
    virtual ~Combination();

    virtual int members() const = 0;
    // members [members][block_rows], of which the first stripes * 48 are given -> scores [stripes][48]
    virtual void combine(const float* members, int stripes, float* scores) const noexcept = 0;
};

// Makes the columns of a view from raw records.
class Preparation {
  public:
    Preparation() = default;
    Preparation(const Preparation&) = delete;
    Preparation& operator=(const Preparation&) = delete;
    virtual ~Preparation();

    virtual int features() const = 0;
    virtual int columns() const = 0;
    // raw [stripes][features][48], of which the first rows are looked at -> block [stripes][columns][48]
    virtual void prepare(const float* raw, int stripes, int rows, float* block) const noexcept = 0;
};

}  // namespace netsieve
