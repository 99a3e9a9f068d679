// Columns of a table as they lie in memory, one type each. Free of any instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace netsieve {

enum class CellType { float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64 };

struct CellColumn {
    const void* cells;  // at an address of its type
    CellType type;
};

}  // namespace netsieve
