#include "record_batch.hpp"

#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "arrow_capsules.hpp"
#include "column_buffers.hpp"

namespace nb = nanobind;

namespace netsieve {

namespace {

struct RecordBatch {
    std::vector<std::string> names;
    std::vector<std::shared_ptr<ColumnBuffers>> columns;
};

// Children are owned by their parent, but whoever takes one over may keep it longer: each holds what it needs.
template <typename Structure>
struct Children {
    explicit Children(std::size_t count) : pointers(count) {}
    Children(const Children&) = delete;
    Children& operator=(const Children&) = delete;
    ~Children() {
        for (Structure* const child : pointers) {
            if (child && child->release) child->release(child);
            delete child;
        }
    }

    static void release(Structure* parent) {
        delete static_cast<Children*>(parent->private_data);
        parent->release = nullptr;
    }

    std::vector<Structure*> pointers;
    std::array<const void*, 1> buffers{};  // of an array: no row is missing
};

ArrowSchema* new_arrow_schema(const RecordBatch& batch) {
    auto children = std::make_unique<Children<ArrowSchema>>(batch.columns.size());
    for (std::size_t i = 0; i < batch.columns.size(); ++i) {
        ArrowSchema* const child = children->pointers[i] = new_arrow_schema(*batch.columns[i]);
        auto name = std::make_unique<std::string>(batch.names[i]);
        child->name = name->c_str();
        child->private_data = name.release();
        child->release = [](ArrowSchema* schema) {
            delete static_cast<std::string*>(schema->private_data);
            schema->release = nullptr;
        };
    }
    ArrowSchema** const pointers = children->pointers.data();
    auto* schema = new ArrowSchema{"+s",
                                   "",
                                   nullptr,
                                   0,
                                   static_cast<std::int64_t>(batch.columns.size()),
                                   pointers,
                                   nullptr,
                                   Children<ArrowSchema>::release,
                                   children.get()};
    static_cast<void>(children.release());
    return schema;
}

ArrowArray* new_arrow_array(const RecordBatch& batch) {
    auto children = std::make_unique<Children<ArrowArray>>(batch.columns.size());
    for (std::size_t i = 0; i < batch.columns.size(); ++i) children->pointers[i] = new_arrow_array(batch.columns[i]);
    const std::size_t rows = batch.columns.empty() ? 0 : batch.columns[0]->rows();
    ArrowArray** const pointers = children->pointers.data();
    auto* array = new ArrowArray{static_cast<std::int64_t>(rows),
                                 0,
                                 0,
                                 1,
                                 static_cast<std::int64_t>(batch.columns.size()),
                                 children->buffers.data(),
                                 pointers,
                                 nullptr,
                                 Children<ArrowArray>::release,
                                 children.get()};
    static_cast<void>(children.release());
    return array;
}

RecordBatch checked_batch(std::vector<std::string> names, std::vector<std::shared_ptr<ColumnBuffers>> columns) {
    if (names.size() != columns.size()) throw std::invalid_argument("names and columns have different lengths");
    for (const auto& column : columns)
        if (column->rows() != columns[0]->rows()) throw std::invalid_argument("the columns have different lengths");
    return {std::move(names), std::move(columns)};
}

}  // namespace

void register_record_batch(nb::module_& module) {
    nb::class_<RecordBatch>(module, "RecordBatch",
                            "Columns of equal length with their names, taken over by Arrow libraries at once.")
        .def(
            "__init__",
            [](RecordBatch* batch, std::vector<std::string> names,
               std::vector<std::shared_ptr<ColumnBuffers>> columns) {
                new (batch) RecordBatch(checked_batch(std::move(names), std::move(columns)));
            },
            nb::arg("names"), nb::arg("columns"))
        .def(
            "__arrow_c_array__",
            [](const RecordBatch& batch, nb::handle) {
                return arrow_capsules(new_arrow_schema(batch), new_arrow_array(batch));
            },
            nb::arg("requested_schema") = nb::none(),
            nb::sig("def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]"));
}

}  // namespace netsieve
