// A plan: what computes the scores of a model file, from raw rows to one score each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "block.hpp"
#include "cell_columns.hpp"
#include "variant.hpp"

namespace netsieve {

class Plan {
  public:
    // preparations: at most one for each view, and every kernel's must be among them. combination: null for one kernel
    // alone. explained: the kernel whose feature errors are told, -1 for none. Throws std::invalid_argument.
    Plan(const Variant& variant, std::shared_ptr<const Preparation> prepared,
         std::shared_ptr<const Preparation> unscaled, std::vector<std::shared_ptr<const Kernel>> kernels,
         std::shared_ptr<const Combination> combination, int explained);

    const char* variant() const { return variant_.name; }
    int features() const { return features_; }
    bool has_feature_error() const { return explained_ >= 0; }

    // x [rows, features] -> scores [rows]
    void score(const float* x, std::size_t rows, float* scores) const;
    // columns [features], of which the rows from start on are scored, clipped to +-limit -> scores [rows]
    void score(const CellColumn* columns, std::size_t start, std::size_t rows, float limit, float* scores) const;
    // x [rows, features] -> errors [rows, features]
    void feature_error(const float* x, std::size_t rows, float* errors) const;
    // Columns of a view; 0 if no kernel takes it.
    int columns(View view) const;
    // x [rows, features] -> out [rows, columns(view)]: what kernels take
    void columns(View view, const float* x, std::size_t rows, float* out) const;

  private:
    struct Workspace {
        FloatBuffer raw, prepared, unscaled, members, scores, errors, scratch;
    };
    // Takes a workspace from those that no thread is using, and gives it back.
    class Lease;

    const float* columns_of(View view, const Workspace& workspace) const;
    // load(start, rows, workspace) puts rows into its raw block
    template <typename Load>
    void score_blocks(std::size_t rows, float* scores, Load load) const;
    void load_rows(const float* x, std::size_t rows, Workspace& workspace) const;
    // The views of the rows that were loaded
    void prepare(std::size_t rows, Workspace& workspace) const;
    void check(const Kernel& kernel) const;
    std::unique_ptr<Workspace> new_workspace() const;

    const Variant& variant_;
    std::shared_ptr<const Preparation> prepared_;
    std::shared_ptr<const Preparation> unscaled_;
    std::vector<std::shared_ptr<const Kernel>> kernels_;
    std::shared_ptr<const Combination> combination_;
    int explained_;
    int features_ = 0;
    mutable std::mutex mutex_;
    mutable std::vector<std::unique_ptr<Workspace>> idle_;  // never more than threads that scored at once
    mutable std::size_t workspaces_ = 0;
};

}  // namespace netsieve
