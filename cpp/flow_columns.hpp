// The columns of a frame of flows.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "column_buffers.hpp"
#include "flow_table.hpp"

namespace netsieve {

struct FlowColumn {
    std::string_view name;
    ColumnKind kind;
    bool time;  // microseconds since 1970
    void (*fill)(ColumnBuffers& column, std::size_t first_row, std::span<const Flow> flows);
};

std::span<const FlowColumn> flow_columns();

}  // namespace netsieve
