#include "plan.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

namespace netsieve {

FloatBuffer::FloatBuffer(std::size_t size) : size_(size) {
    if (!size) return;
    if (size > std::numeric_limits<std::size_t>::max() / sizeof(float) - vector_alignment) throw std::bad_alloc();
    const std::size_t bytes = (size * sizeof(float) + vector_alignment - 1) / vector_alignment * vector_alignment;
    data_ = static_cast<float*>(std::aligned_alloc(vector_alignment, bytes));
    if (!data_) throw std::bad_alloc();
    std::memset(data_, 0, bytes);
}
FloatBuffer::FloatBuffer(FloatBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
FloatBuffer& FloatBuffer::operator=(FloatBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}
FloatBuffer::~FloatBuffer() { std::free(data_); }

Kernel::~Kernel() = default;
int Kernel::features() const { return 0; }
void Kernel::feature_error(const float*, int, float*, Scratch&) const noexcept {}
Combination::~Combination() = default;
Preparation::~Preparation() = default;

namespace {

std::size_t block_floats(int columns) { return static_cast<std::size_t>(columns) * block_rows; }

int stripes_of(std::size_t rows) { return static_cast<int>((rows + stripe_rows - 1) / stripe_rows); }

}  // namespace

class Plan::Lease {
  public:
    explicit Lease(const Plan& plan) : plan_(plan) {
        {
            const std::lock_guard lock(plan.mutex_);
            if (!plan.idle_.empty()) {
                workspace_ = std::move(plan.idle_.back());
                plan.idle_.pop_back();
            }
        }
        if (!workspace_) workspace_ = plan.new_workspace();
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() {
        const std::lock_guard lock(plan_.mutex_);
        plan_.idle_.push_back(std::move(workspace_));
    }

    Workspace& operator*() { return *workspace_; }

  private:
    const Plan& plan_;
    std::unique_ptr<Workspace> workspace_;
};

Plan::Plan(const Variant& variant, std::shared_ptr<const Preparation> prepared,
           std::shared_ptr<const Preparation> unscaled, std::vector<std::shared_ptr<const Kernel>> kernels,
           std::shared_ptr<const Combination> combination, int explained)
    : variant_(variant),
      prepared_(std::move(prepared)),
      unscaled_(std::move(unscaled)),
      kernels_(std::move(kernels)),
      combination_(std::move(combination)),
      explained_(explained) {
    for (const auto* preparation : {prepared_.get(), unscaled_.get()}) {
        if (!preparation) continue;
        if (features_ && preparation->features() != features_)
            throw std::invalid_argument("the two views of a plan are of different records");
        features_ = preparation->features();
    }
    if (!features_ || kernels_.empty()) throw std::invalid_argument("a plan needs a view of the record and a kernel");
    for (const auto& kernel : kernels_) {
        if (!kernel) throw std::invalid_argument("a kernel of the plan is None");
        check(*kernel);
    }
    if (combination_ ? combination_->members() != static_cast<int>(kernels_.size()) : kernels_.size() > 1)
        throw std::invalid_argument("the plan has " + std::to_string(kernels_.size()) +
                                    " kernels, and what combines them expects another number");
    if (explained_ < -1 || explained_ >= static_cast<int>(kernels_.size()))
        throw std::invalid_argument("the plan has no kernel " + std::to_string(explained_));
    if (explained_ >= 0 && kernels_[static_cast<std::size_t>(explained_)]->features() != features_)
        throw std::invalid_argument("the kernel " + std::to_string(explained_) +
                                    " does not tell each feature's part of the score");
}

void Plan::check(const Kernel& kernel) const {
    const auto& preparation = kernel.view() == View::prepared ? prepared_ : unscaled_;
    if (!preparation) throw std::invalid_argument("the plan does not prepare the view that a kernel takes");
    if (preparation->columns() != kernel.columns())
        throw std::invalid_argument("a kernel takes " + std::to_string(kernel.columns()) +
                                    " columns, and the plan has " + std::to_string(preparation->columns()));
}

std::unique_ptr<Plan::Workspace> Plan::new_workspace() const {
    {
        const std::lock_guard lock(mutex_);
        idle_.reserve(++workspaces_);  // a place for each, so that giving one back cannot fail
    }
    auto workspace = std::make_unique<Workspace>();
    workspace->raw = FloatBuffer(block_floats(features_));
    if (prepared_) workspace->prepared = FloatBuffer(block_floats(prepared_->columns()));
    if (unscaled_) workspace->unscaled = FloatBuffer(block_floats(unscaled_->columns()));
    workspace->members = FloatBuffer(kernels_.size() * block_rows);
    workspace->scores = FloatBuffer(block_rows);
    if (explained_ >= 0) workspace->errors = FloatBuffer(block_floats(features_));
    std::size_t scratch = 0;
    for (const auto& kernel : kernels_) scratch = std::max(scratch, kernel->scratch_floats());
    workspace->scratch = FloatBuffer(scratch);
    return workspace;
}

const float* Plan::columns_of(View view, const Workspace& workspace) const {
    return view == View::prepared ? workspace.prepared.data() : workspace.unscaled.data();
}

void Plan::load_rows(const float* x, std::size_t rows, Workspace& workspace) const {
    variant_.transpose(x, rows, features_, workspace.raw.data());
}

void Plan::prepare(std::size_t rows, Workspace& workspace) const {
    const int count = static_cast<int>(rows), stripes = stripes_of(rows);
    if (prepared_) prepared_->prepare(workspace.raw.data(), stripes, count, workspace.prepared.data());
    if (unscaled_) unscaled_->prepare(workspace.raw.data(), stripes, count, workspace.unscaled.data());
}

void Plan::score(const float* x, std::size_t rows, float* scores) const {
    score_blocks(rows, scores, [&](std::size_t start, std::size_t count, Workspace& workspace) {
        load_rows(x + start * static_cast<std::size_t>(features_), count, workspace);
    });
}

void Plan::score(const CellColumn* columns, std::size_t first, std::size_t rows, float limit, float* scores) const {
    score_blocks(rows, scores, [&](std::size_t start, std::size_t count, Workspace& workspace) {
        variant_.load_columns(columns, features_, first + start, count, limit, workspace.raw.data());
    });
}

template <typename Load>
void Plan::score_blocks(std::size_t rows, float* scores, Load load) const {
    if (!rows) return;
    Lease lease(*this);
    Workspace& workspace = *lease;
    Scratch scratch{workspace.scratch.data()};
    for (std::size_t start = 0; start < rows; start += block_rows) {
        const std::size_t count = std::min<std::size_t>(block_rows, rows - start);
        const int stripes = stripes_of(count);
        scratch.rows = static_cast<int>(count);
        load(start, count, workspace);
        prepare(count, workspace);
        for (std::size_t k = 0; k < kernels_.size(); ++k)
            kernels_[k]->score(columns_of(kernels_[k]->view(), workspace), stripes,
                               workspace.members.data() + k * block_rows, scratch);
        const float* found = workspace.members.data();
        if (combination_) {
            combination_->combine(found, stripes, workspace.scores.data());
            found = workspace.scores.data();
        }
        std::memcpy(scores + start, found, count * sizeof(float));
    }
}

void Plan::feature_error(const float* x, std::size_t rows, float* errors) const {
    if (explained_ < 0) throw std::invalid_argument("the plan does not tell each feature's part of the score");
    if (!rows) return;
    const Kernel& kernel = *kernels_[static_cast<std::size_t>(explained_)];
    Lease lease(*this);
    Workspace& workspace = *lease;
    Scratch scratch{workspace.scratch.data()};
    const auto features = static_cast<std::size_t>(features_);
    for (std::size_t start = 0; start < rows; start += block_rows) {
        const std::size_t count = std::min<std::size_t>(block_rows, rows - start);
        const int stripes = stripes_of(count);
        scratch.rows = static_cast<int>(count);
        load_rows(x + start * features, count, workspace);
        prepare(count, workspace);
        kernel.feature_error(columns_of(kernel.view(), workspace), stripes, workspace.errors.data(), scratch);
        variant_.transpose_back(workspace.errors.data(), count, features_, errors + start * features);
    }
}

int Plan::columns(View view) const {
    const auto& preparation = view == View::prepared ? prepared_ : unscaled_;
    return preparation ? preparation->columns() : 0;
}

void Plan::columns(View view, const float* x, std::size_t rows, float* out) const {
    const int count = columns(view);
    if (!count) throw std::invalid_argument("the plan does not prepare this view");
    if (!rows) return;
    Lease lease(*this);
    Workspace& workspace = *lease;
    for (std::size_t start = 0; start < rows; start += block_rows) {
        const std::size_t block = std::min<std::size_t>(block_rows, rows - start);
        load_rows(x + start * static_cast<std::size_t>(features_), block, workspace);
        prepare(block, workspace);
        variant_.transpose_back(columns_of(view, workspace), block, count,
                                out + start * static_cast<std::size_t>(count));
    }
}

}  // namespace netsieve
