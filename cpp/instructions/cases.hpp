// What instructions are counted of.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "../scoring/variant.hpp"

namespace netsieve::instructions {

// run() is what is counted. It repeats itself on the same input; sound() tells then whether it did what it is for.
struct Case {
    std::string name;
    std::string variant;  // of the kernels; of the readers, which have one version only, "baseline"
    const char* unit;     // of what there are `count` in the input
    std::size_t count;
    std::function<void()> run;
    std::function<bool()> sound;
};

using Cases = std::vector<Case>;

void add_network_cases(const Variant& variant, Cases& cases);       // records to columns, and dense networks
void add_other_kernel_cases(const Variant& variant, Cases& cases);  // forests, stored rows, ensembles, and others
void add_reader_cases(Cases& cases);                                // text and captures to columns

}  // namespace netsieve::instructions
