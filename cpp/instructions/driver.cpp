// Runs each case once under a function of its own, count_instructions: `valgrind --tool=callgrind` counts what happens
// in it (--toggle-collect) and writes a part for each call of it (--dump-after). run.py reads them.
//
// Prints a line of what counts depend on, then one for each case: name, variant, unit, count, with tabs between them.
// Arguments: names of cases; all unless there are some.
#include <gnu/libc-version.h>

#include <algorithm>
#include <cstdio>
#include <random>
#include <string_view>
#include <vector>

#include "cases.hpp"

// The linker puts it in the place of std::random_device's, with which tables of flows choose a seed: the same at each
// run, so that counts are the same.
extern "C" unsigned __wrap__ZNSt13random_device9_M_getvalEv(std::random_device*) { return 20; }

extern "C" [[gnu::noinline, gnu::visibility("default")]] void count_instructions(
    const netsieve::instructions::Case& counted) {
    counted.run();
    __asm__ volatile("" ::: "memory");  // no jump in the place of the call
}

int main(int argc, char** argv) {
    using namespace netsieve;
    instructions::Cases cases;
    const char* instruction_set = "";  // the C library and simdjson choose their functions by it
#if defined(NETSIEVE_X86_VARIANTS)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        instructions::add_network_cases(avx2::variant, cases);
        instructions::add_other_kernel_cases(avx2::variant, cases);
        instruction_set = " with AVX2";
    }
#endif
    instructions::add_network_cases(portable::variant, cases);
    instructions::add_other_kernel_cases(portable::variant, cases);
    instructions::add_reader_cases(cases);

    std::printf("compiler\t" NETSIEVE_COMPILER "\tprocessor\t" NETSIEVE_PROCESSOR
                "%s\tC library\t%s\tsimdjson\t" NETSIEVE_SIMDJSON "\n",
                instruction_set, gnu_get_libc_version());
    const std::vector<std::string_view> names(argv + 1, argv + argc);
    for (const instructions::Case& chosen : cases) {
        if (!names.empty() && std::find(names.begin(), names.end(), chosen.name) == names.end()) continue;
        chosen.run();  // what happens once only is not counted
        count_instructions(chosen);
        if (!chosen.sound()) {
            std::fprintf(stderr, "'%s' (%s) gives wrong results\n", chosen.name.c_str(), chosen.variant.c_str());
            return 1;
        }
        std::printf("%s\t%s\t%s\t%zu\n", chosen.name.c_str(), chosen.variant.c_str(), chosen.unit, chosen.count);
    }
    return 0;
}
