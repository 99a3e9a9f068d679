// Where the compiler has no libFuzzer: runs a target on files, then on mutations of them for some seconds.
//   g++ -std=c++20 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all cpp/fuzz/driver.cpp
//       cpp/fuzz/pcap.cpp cpp/{capture,packet,packet_columns,flow_table,flow_columns,column_buffers}.cpp -o fuzz_pcap
//   ./fuzz_pcap SECONDS SEED FILE...
// The input of a fault is left in the file fault.
#include <sanitizer/common_interface_defs.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

void mutate(Input& input, std::mt19937_64& random) {
    const auto below = [&random](std::size_t limit) { return static_cast<std::size_t>(random() % limit); };
    for (std::size_t times = 1 + below(8); times > 0 && !input.empty(); --times) {
        const std::size_t at = below(input.size());
        switch (below(6)) {
            case 0:
                input[at] = static_cast<std::uint8_t>(random());
                break;
            case 1:
                input[at] ^= static_cast<std::uint8_t>(1U << below(8));
                break;
            case 2:  // a number of extreme size
                for (std::size_t i = at; i < std::min(input.size(), at + 4); ++i) input[i] = random() % 2 ? 0xFF : 0;
                break;
            case 3:
                input.resize(at);
                break;
            case 4:
                input.erase(input.begin() + static_cast<std::ptrdiff_t>(at),
                            input.begin() + static_cast<std::ptrdiff_t>(std::min(input.size(), at + 1 + below(64))));
                break;
            default: {
                const Input copy(
                    input.begin() + static_cast<std::ptrdiff_t>(at),
                    input.begin() + static_cast<std::ptrdiff_t>(std::min(input.size(), at + 1 + below(200))));
                input.insert(input.begin() + static_cast<std::ptrdiff_t>(below(input.size())), copy.begin(),
                             copy.end());
            }
        }
    }
}

const Input* running = nullptr;

void keep_fault() {
    std::ofstream file("fault", std::ios::binary);
    file.write(reinterpret_cast<const char*>(running->data()), static_cast<std::streamsize>(running->size()));
}

void run(const Input& input) {
    running = &input;
    LLVMFuzzerTestOneInput(input.data(), input.size());
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 4) return EXIT_FAILURE;
    __sanitizer_set_death_callback(keep_fault);
    std::signal(SIGABRT, [](int) { keep_fault(); });
    std::vector<Input> seeds;
    for (int i = 3; i < count; ++i) {
        std::ifstream file(arguments[i], std::ios::binary);
        Input input((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        input.insert(input.begin(), 7);
        run(input);
        seeds.push_back(std::move(input));
    }
    std::mt19937_64 random(std::stoull(arguments[2]));
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::stoll(arguments[1]));
    std::size_t runs = 0;
    for (; std::chrono::steady_clock::now() < end; ++runs) {
        Input input = seeds[random() % seeds.size()];
        if (!input.empty()) input[0] = static_cast<std::uint8_t>(random());
        mutate(input, random);
        run(input);
    }
    std::printf("%zu runs\n", runs);
}
