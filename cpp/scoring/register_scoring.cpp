#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "plan.hpp"
#include "scoring.hpp"

namespace nb = nanobind;

namespace netsieve {

View view_named(const std::string& name) {
    if (name == "prepared") return View::prepared;
    if (name == "unscaled") return View::unscaled;
    throw std::invalid_argument("there is no view '" + name.substr(0, 40) + "'");
}

namespace {

using Records = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using BoolVector = nb::ndarray<const bool, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

std::shared_ptr<Preparation> preparation(const std::string& variant, int features, const std::string& view,
                                         const IntVector& number_feature, const BoolVector& signed_log,
                                         const FloatVector& center, const FloatVector& scale, const FloatVector& fill,
                                         const IntVector& indicated,
                                         const std::vector<std::tuple<int, FloatMatrix>>& categories, float limit,
                                         float largest_excess) {
    const std::size_t count = number_feature.size();
    if (signed_log.size() != count || center.size() != count || scale.size() != count || fill.size() != count)
        throw std::invalid_argument("the parameters of the numbers differ in length");
    std::vector<NumericColumn> numbers(count);
    for (std::size_t i = 0; i < count; ++i)
        numbers[i] = {number_feature.data()[i], signed_log.data()[i], center.data()[i], scale.data()[i],
                      fill.data()[i]};
    std::vector<CategoryTable> tables;
    for (const auto& [feature, table] : categories)
        tables.push_back({feature, size_of(table.shape(0)), size_of(table.shape(1)), values_of(table)});
    const PreparationParameters parameters{.features = features,
                                           .view = view_named(view),
                                           .numbers = {numbers.data(), numbers.size()},
                                           .indicated = values_of(indicated),
                                           .categories = {tables.data(), tables.size()},
                                           .limit = limit,
                                           .largest_excess = largest_excess};
    return std::shared_ptr<Preparation>(variant_named(variant.c_str()).preparation(parameters));
}

// An uninitialised array of Python's.
nb::object new_array(float*& data, std::vector<std::size_t> shape) {
    std::size_t size = 1;
    for (const std::size_t length : shape) size *= length;
    auto owned = std::make_unique_for_overwrite<float[]>(size);
    data = owned.get();
    const nb::capsule owner(owned.release(), [](void* held) noexcept { delete[] static_cast<float*>(held); });
    return nb::cast(nb::ndarray<nb::numpy, float>(data, shape.size(), shape.data(), owner));
}

// Rows of the plan's features, copied where they lie at odd addresses, as those of a file mapped into memory may.
class CheckedRows {
  public:
    CheckedRows(const Plan& plan, const Records& x) : data_(x.data()), rows_(x.shape(0)) {
        if (x.shape(1) != static_cast<std::size_t>(plan.features()))
            throw std::invalid_argument("the rows have " + std::to_string(x.shape(1)) + " features, where " +
                                        std::to_string(plan.features()) + " are expected");
        if (reinterpret_cast<std::uintptr_t>(data_) % alignof(float) == 0) return;
        copy_ = FloatBuffer(x.size());
        std::memcpy(copy_.data(), static_cast<const void*>(data_), x.size() * sizeof(float));
        data_ = copy_.data();
    }

    const float* data() const { return data_; }
    std::size_t count() const { return rows_; }

  private:
    const float* data_;
    std::size_t rows_;
    FloatBuffer copy_;
};

// A column of a table, of any type of numbers.
using Cells = nb::ndarray<nb::ro, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

CellType cell_type(const nb::dlpack::dtype& type) {
    using enum CellType;
    const auto code = static_cast<nb::dlpack::dtype_code>(type.code);
    if (type.lanes == 1 && code == nb::dlpack::dtype_code::Bool && type.bits == 8) return uint8;
    const int size = type.bits == 8 ? 0 : type.bits == 16 ? 1 : type.bits == 32 ? 2 : type.bits == 64 ? 3 : -1;
    if (type.lanes == 1 && size >= 0) {
        constexpr CellType integers[] = {int8, int16, int32, int64},
                           unsigned_integers[] = {uint8, uint16, uint32, uint64};
        if (code == nb::dlpack::dtype_code::Int) return integers[size];
        if (code == nb::dlpack::dtype_code::UInt) return unsigned_integers[size];
        if (code == nb::dlpack::dtype_code::Float && size >= 2) return size == 2 ? float32 : float64;
    }
    throw std::invalid_argument("a column holds cells of a type that is not read; make it float64");
}

std::vector<CellColumn> cell_columns(const Plan& plan, const std::vector<Cells>& columns, std::size_t stop) {
    if (columns.size() != static_cast<std::size_t>(plan.features()))
        throw std::invalid_argument(std::to_string(columns.size()) + " columns are given, where " +
                                    std::to_string(plan.features()) + " are expected");
    std::vector<CellColumn> found;
    for (const Cells& column : columns) {
        if (column.shape(0) < stop)
            throw std::invalid_argument("a column has " + std::to_string(column.shape(0)) + " rows, where " +
                                        std::to_string(stop) + " are expected");
        if (reinterpret_cast<std::uintptr_t>(column.data()) % column.itemsize())
            throw std::invalid_argument("a column does not lie at an address of its type; copy it");
        found.push_back({column.data(), cell_type(column.dtype())});
    }
    return found;
}

}  // namespace

void register_scoring(nb::module_& module) {
    module.def(
        "scoring_variants",
        [] {
            std::vector<std::string> names;
            const Variants found = available_variants();
            for (int i = 0; i < found.size; ++i) names.emplace_back(found.items[i]->name);
            return names;
        },
        "Return the instruction sets of this machine that scoring kernels are compiled for, the best first.");
    module.def(
        "chosen_variant", [] { return std::string(chosen_variant().name); },
        "Return the variant to score with: the best, or the one that the environment variable NETSIEVE_CPU names.\n\n"
        "Raises\n------\n"
        "ValueError\n    There is no such variant, or this machine lacks its instructions.");

    module.def(
        "multiply_adds",
        [](const std::string& variant, std::int64_t rounds) {
            const Variant& chosen = variant_named(variant.c_str());
            float value = 0;
            nb::gil_scoped_release unlocked;
            return chosen.multiply_adds(rounds, &value);
        },
        nb::arg("variant"), nb::arg("rounds"),
        "Do nothing but multiply and add in registers, as fast as the machine can, and return the number of "
        "operations.");

    nb::class_<Preparation>(module, "ScoringPreparation", "The columns of a view of records, for one variant.")
        .def_prop_ro("columns", &Preparation::columns, "Columns of the view.");
    nb::class_<Kernel>(module, "ScoringKernel", "Turns the columns of records into scores, for one variant.")
        .def_prop_ro(
            "view", [](const Kernel& kernel) { return kernel.view() == View::prepared ? "prepared" : "unscaled"; },
            "View of the records that it takes.")
        .def_prop_ro("columns", &Kernel::columns, "Columns of the view that it takes.")
        .def_prop_ro("features", &Kernel::features, "Features of which it tells the parts of the score; 0 for none.");
    nb::class_<Combination>(module, "ScoringCombination", "Makes one score of those of several kernels.");
    module.def("preparation", preparation, nb::arg("variant"), nb::arg("features"), nb::arg("view"),
               nb::arg("number_feature"), nb::arg("signed_log"), nb::arg("center"), nb::arg("scale"), nb::arg("fill"),
               nb::arg("indicated"), nb::arg("categories"), nb::arg("limit"), nb::arg("largest_excess"),
               "Return what prepares records as netsieve.export.preprocessing writes it.\n\n"
               "Parameters\n----------\n"
               "variant\n    One of scoring_variants().\n"
               "features\n    Columns of the raw matrix.\n"
               "view\n    'prepared' or 'unscaled'.\n"
               "number_feature\n    int32 [numbers]: the raw column of each number.\n"
               "signed_log\n    bool [numbers]: whether its logarithm is taken; never in the unscaled view.\n"
               "center, scale, fill\n    float32 [numbers].\n"
               "indicated\n    int32: the numbers with an indicator of missing ones.\n"
               "categories\n    Raw column of each category and its table, float32 [codes, columns].\n"
               "limit, largest_excess\n    Of the soft clip.\n\n"
               "Raises\n------\n"
               "ValueError\n    Sizes do not fit together, or the machine lacks the variant.");

    nb::class_<Plan>(module, "ScoringPlan",
                     "Scores raw rows: prepares them, and runs kernels over them. Immutable and thread-safe; each call "
                     "computes on\nthe calling thread, without the GIL.\n\n"
                     "Parameters\n----------\n"
                     "variant\n    One of scoring_variants(), of which the other parts are.\n"
                     "prepared, unscaled\n    The views that the kernels take, or None.\n"
                     "kernels\n    One or more.\n"
                     "combination\n    Makes one score of several; None for one kernel.\n"
                     "explained\n    The kernel whose feature errors are told; -1 for none.")
        .def(
            "__init__",
            [](Plan* plan, const std::string& variant, std::shared_ptr<Preparation> prepared,
               std::shared_ptr<Preparation> unscaled, const std::vector<std::shared_ptr<Kernel>>& kernels,
               std::shared_ptr<Combination> combination, int explained) {
                new (plan) Plan(variant_named(variant.c_str()), std::move(prepared), std::move(unscaled),
                                {kernels.begin(), kernels.end()}, std::move(combination), explained);
            },
            nb::arg("variant"), nb::kw_only(), nb::arg("prepared").none(), nb::arg("unscaled").none(),
            nb::arg("kernels"), nb::arg("combination").none() = nb::none(), nb::arg("explained") = -1)
        .def_prop_ro("variant", &Plan::variant)
        .def_prop_ro("features", &Plan::features, "Columns of the raw matrix.")
        .def_prop_ro("has_feature_error", &Plan::has_feature_error)
        .def(
            "score",
            [](const Plan& plan, const Records& x) {
                const CheckedRows checked(plan, x);
                float* scores = nullptr;
                const std::size_t rows = checked.count();
                nb::object result = new_array(scores, {rows});
                if (rows < 2) {
                    plan.score(checked.data(), rows, scores);  // shorter than giving the GIL away and waiting for it
                } else {
                    nb::gil_scoped_release unlocked;
                    plan.score(checked.data(), rows, scores);
                }
                return result;
            },
            nb::arg("x").noconvert(), nb::sig("def score(self, x: NDArray[numpy.float32]) -> NDArray[numpy.float32]"),
            "Return the scores of raw rows, float32 [n].\n\n"
            "Parameters\n----------\n"
            "x\n    float32 [n, features], in C order; NaN is missing, categories are codes.")
        .def(
            "score_columns",
            [](const Plan& plan, const std::vector<Cells>& columns, std::size_t start, std::size_t stop, float limit) {
                if (start > stop) throw std::invalid_argument("the rows end before they start");
                const std::vector<CellColumn> found = cell_columns(plan, columns, stop);
                float* scores = nullptr;
                nb::object result = new_array(scores, {stop - start});
                nb::gil_scoped_release unlocked;
                plan.score(found.data(), start, stop - start, limit, scores);
                return result;
            },
            nb::arg("columns"), nb::arg("start"), nb::arg("stop"), nb::arg("limit"),
            nb::sig("def score_columns(self, columns: list[NDArray[numpy.generic]], start: int, stop: int, limit: "
                    "float) -> "
                    "NDArray[numpy.float32]"),
            "Return the scores of rows of a table, float32 [stop - start], without a matrix in between.\n\n"
            "Parameters\n----------\n"
            "columns\n    One a feature, [n]: numbers of any type with NaN for missing, and codes of categories.\n"
            "start, stop\n    Rows.\n"
            "limit\n    Larger numbers are clipped to it.\n\n"
            "Raises\n------\n"
            "ValueError\n    Columns are missing, too short, or of a type that is not read.")
        .def(
            "feature_error",
            [](const Plan& plan, const Records& x) {
                const CheckedRows checked(plan, x);
                float* errors = nullptr;
                const std::size_t rows = checked.count();
                nb::object result = new_array(errors, {rows, x.shape(1)});
                nb::gil_scoped_release unlocked;
                plan.feature_error(checked.data(), rows, errors);
                return result;
            },
            nb::arg("x").noconvert(),
            nb::sig("def feature_error(self, x: NDArray[numpy.float32]) -> NDArray[numpy.float32]"),
            "Return each feature's part of the scores of raw rows, float32 [n, features].\n\n"
            "Parameters\n----------\n"
            "x\n    As in score.")
        .def(
            "columns",
            [](const Plan& plan, const Records& x, const std::string& view) {
                const CheckedRows checked(plan, x);
                float* columns = nullptr;
                const std::size_t rows = checked.count();
                const View wanted = view_named(view);
                nb::object result = new_array(columns, {rows, static_cast<std::size_t>(plan.columns(wanted))});
                nb::gil_scoped_release unlocked;
                plan.columns(wanted, checked.data(), rows, columns);
                return result;
            },
            nb::arg("x").noconvert(), nb::arg("view"),
            nb::sig("def columns(self, x: NDArray[numpy.float32], view: str) -> NDArray[numpy.float32]"),
            "Return the columns of raw rows that kernels take, float32 [n, columns of the view].\n\n"
            "Parameters\n----------\n"
            "x\n    As in score.\n"
            "view\n    'prepared' or 'unscaled'.");
}

}  // namespace netsieve
