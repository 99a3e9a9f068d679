// Runs a target on inputs, and on changes of them that are led by the code they reach: an input that passes a new edge
// is kept and changed in its turn. Does what libFuzzer does, where the compiler (GCC) has none.
//   fuzz_TARGET FILE...
//   fuzz_TARGET --fuzz SECONDS RANDOM_SEED DICTIONARY SEEDS_FOLDER OUT_FOLDER
// Inputs that were kept are in OUT_FOLDER/corpus, where the next run goes on from; the input of a fault is in
// OUT_FOLDER/fault-*. The last line of the output says what was done, as JSON. Exit status 0 only without a fault.
#include <sanitizer/common_interface_defs.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "coverage.hpp"
#include "mutator.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" const char* __asan_default_options() {
    return "quarantine_size_mb=16:malloc_context_size=2:hard_rss_limit_mb=4096";
}

namespace {

using namespace netsieve::fuzz;
using Clock = std::chrono::steady_clock;

constexpr std::size_t largest_input = 64 * 1024;
constexpr unsigned longest_run = 20;  // seconds, with sanitizers on a busy machine
constexpr std::size_t recent_inputs = 64;

struct Kept {
    Input input;
    double cost;  // seconds of a run of it, times how often it was chosen
};

std::filesystem::path out_folder = ".";
const Input* running = nullptr;
std::size_t executions = 0;
std::size_t kept_inputs = 0;
Clock::time_point began;

Input content_of(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        std::fprintf(stderr, "%s cannot be read\n", path.c_str());
        std::exit(EXIT_FAILURE);
    }
    return Input((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

std::string name_of(const Input& input) {
    std::uint64_t hash = 0xCBF29CE484222325U;  // FNV-1a
    for (const std::uint8_t byte : input) hash = (hash ^ byte) * 0x100000001B3U;
    char name[17];
    std::snprintf(name, sizeof name, "%016llx", static_cast<unsigned long long>(hash));
    return name;
}

void write_input(const std::filesystem::path& path, const Input& input) {
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
}

void print_result(int faults) {
    const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
    std::printf("{\"seconds\": %.1f, \"executions\": %zu, \"edges\": %zu, \"inputs\": %zu, \"faults\": %d}\n", seconds,
                executions, covered_edges(), kept_inputs, faults);
    std::fflush(stdout);
}

void keep_fault() {
    if (!running) return;
    const std::filesystem::path path = out_folder / ("fault-" + name_of(*running));
    write_input(path, *running);
    running = nullptr;
    std::fprintf(stderr, "the input of this fault is kept in %s\n", path.c_str());
    print_result(1);
}

// Once a second: whether the run at hand is still the one of long ago.
void look_for_hang(int) {
    static std::size_t last = 0;
    static unsigned ticks = 0;
    ticks = last == executions ? ticks + 1 : 0;
    last = executions;
    if (ticks < longest_run || !running) return;
    std::fprintf(stderr, "one run takes longer than %u seconds\n", longest_run);
    keep_fault();
    _exit(EXIT_FAILURE);
}

void watch_for_faults() {
    __sanitizer_set_death_callback(keep_fault);
    std::signal(SIGABRT, [](int) {
        keep_fault();
        _exit(EXIT_FAILURE);
    });
    std::signal(SIGALRM, look_for_hang);
    const itimerval each_second{{1, 0}, {1, 0}};
    setitimer(ITIMER_REAL, &each_second, nullptr);
}

// Whether the input reached something new.
bool run(const Input& input) {
    running = &input;
    ++executions;
    begin_coverage();
    LLVMFuzzerTestOneInput(input.data(), input.size());
    const bool is_new = end_coverage();
    running = nullptr;
    return is_new;
}

std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
}

double timed(const Input& input, bool& is_new) {
    const auto start = Clock::now();
    is_new = run(input);
    return std::chrono::duration<double>(Clock::now() - start).count();
}

// Recent ones and cheap ones more often.
std::size_t chosen(std::vector<Kept>& kept, Mutator& mutator) {
    const std::size_t recent = std::min(kept.size(), recent_inputs);
    const auto any = [&] {
        return mutator.below(3) ? mutator.below(kept.size()) : kept.size() - 1 - mutator.below(recent);
    };
    const std::size_t first = any(), second = any();
    return kept[first].cost <= kept[second].cost ? first : second;
}

void fuzz(double seconds, Mutator& mutator, const std::filesystem::path& seeds) {
    const std::filesystem::path corpus = out_folder / "corpus";
    std::filesystem::create_directories(corpus);
    std::vector<Kept> kept;
    const auto keep = [&kept](Input&& input, double cost) {
        kept.push_back({std::move(input), cost});
        ++kept_inputs;
    };
    bool is_new = false;
    for (const auto& folder : {seeds, corpus})
        for (const auto& path : files_in(folder)) {
            Input input = content_of(path);
            const double cost = timed(input, is_new);
            if (is_new || folder == seeds) keep(std::move(input), cost);
        }
    if (kept.empty()) {
        std::fprintf(stderr, "%s holds no seeds\n", seeds.c_str());
        std::exit(EXIT_FAILURE);
    }
    const auto end = began + std::chrono::duration<double>(seconds);
    while (Clock::now() < end) {
        const std::size_t parent = chosen(kept, mutator);
        Input input = kept[parent].input;
        mutator.mutate(input, kept[mutator.below(kept.size())].input);
        const double cost = timed(input, is_new);
        kept[parent].cost += cost;
        if (!is_new) continue;
        write_input(corpus / name_of(input), input);
        keep(std::move(input), cost);
    }
}

}  // namespace

int main(int count, char** arguments) {
    const std::vector<std::string> words(arguments + 1, arguments + count);
    began = Clock::now();
    watch_for_faults();
    if (words.size() == 6 && words[0] == "--fuzz") {
        try {
            out_folder = words[5];
            Mutator mutator(std::stoull(words[2]), dictionary_tokens(words[3]), largest_input);
            fuzz(std::stod(words[1]), mutator, words[4]);
        } catch (const std::exception& error) {
            std::fprintf(stderr, "%s\n", error.what());
            keep_fault();
            return EXIT_FAILURE;
        }
    } else {
        for (const std::string& path : words) run(content_of(path));
    }
    print_result(0);
}
