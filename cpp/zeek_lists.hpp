// JSON arrays as the text that the elements of sets and vectors have in Zeek's tab-separated logs.
#pragma once

#include <memory>

#include "column_buffers.hpp"

namespace netsieve {

// Of a text column. Null elements are "-", true and false T and F; other text stays as it is. numbers: all numbers are
// written in the shortest form that reads back as the same float64.
std::shared_ptr<ColumnBuffers> comma_lists(const ColumnBuffers& column, bool numbers);

}  // namespace netsieve
