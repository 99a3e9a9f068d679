#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include "variant.hpp"

namespace netsieve {

Variants available_variants() {
    Variants found{{}, 0};
#if defined(NETSIEVE_X86_VARIANTS)
    __builtin_cpu_init();
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        found.items[found.size++] = &avx512::variant;
    if (has_avx2) found.items[found.size++] = &avx2::variant;
#endif
    found.items[found.size++] = &portable::variant;
    return found;
}

const Variant& variant_named(const char* name) {
    const Variants found = available_variants();
    std::string names;
    for (int i = 0; i < found.size; ++i) {
        if (std::string_view(found.items[i]->name) == name) return *found.items[i];
        names += (i ? ", " : "") + std::string(found.items[i]->name);
    }
    throw std::invalid_argument("this machine has no kernels '" + std::string(name).substr(0, 40) + "'; it has " +
                                names);
}

const Variant& chosen_variant() {
    const char* const forced = std::getenv("NETSIEVE_CPU");
    if (!forced || !*forced) return *available_variants().items[0];
    try {
        return variant_named(forced);
    } catch (const std::invalid_argument& error) {
        throw std::invalid_argument("the environment variable NETSIEVE_CPU is '" + std::string(forced).substr(0, 40) +
                                    "', and " + error.what() + "; unset it, or set it to one of these");
    }
}

}  // namespace netsieve
