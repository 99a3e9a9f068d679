#include <algorithm>

#include "texts.hpp"

namespace netsieve::instructions {

namespace {

constexpr std::size_t hosts = 40, captured_payload = 40;
constexpr std::uint32_t first_second = 1'713'484'800;

using Bytes = std::vector<std::uint8_t>;

void append_big(Bytes& bytes, std::uint64_t value, int size) {
    for (int i = size - 1; i >= 0; --i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

void append_little(Bytes& bytes, std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

Bytes ethernet_frame(Numbers& numbers) {
    const bool is_tcp = numbers.chance(0.7), is_six = numbers.chance(0.2);
    const std::size_t source = numbers.below(hosts), destination = hosts + numbers.below(3);
    const bool is_answer = numbers.chance(0.5);
    const auto transport = static_cast<std::uint64_t>(is_tcp ? 20 : 8) + captured_payload;
    Bytes frame;
    append_big(frame, 0x020000000001, 6);
    append_big(frame, 0x020000000002, 6);
    append_big(frame, is_six ? 0x86DD : 0x0800, 2);
    if (is_six) {
        append_big(frame, 0x60000000, 4);
        append_big(frame, transport, 2);
        append_big(frame, is_tcp ? 6 : 17, 1);
        append_big(frame, 64, 1);
    } else {
        append_big(frame, 0x4500, 2);
        append_big(frame, 20 + transport, 2);
        append_big(frame, 0, 4);
        append_big(frame, 64, 1);
        append_big(frame, is_tcp ? 6 : 17, 1);
        append_big(frame, 0, 2);
    }
    for (const std::size_t host : {is_answer ? destination : source, is_answer ? source : destination}) {
        if (is_six) append_big(frame, 0x20010DB8, 4), append_big(frame, 0, 8);
        append_big(frame, 0x0A000000 + host, 4);
    }
    const std::uint64_t client = 40000 + source, server = is_tcp ? 443 : 53;
    append_big(frame, is_answer ? server : client, 2);
    append_big(frame, is_answer ? client : server, 2);
    if (is_tcp) {
        constexpr std::uint64_t flags[] = {0x02, 0x10, 0x10, 0x18, 0x18, 0x11};
        append_big(frame, numbers.below(1U << 31), 4);
        append_big(frame, numbers.below(1U << 31), 4);
        append_big(frame, 0x5000 | numbers.one_of(flags), 2);
        append_big(frame, 8192, 2);
        append_big(frame, 0, 4);
    } else {
        append_big(frame, transport, 2);
        append_big(frame, 0, 2);
    }
    frame.resize(frame.size() + captured_payload, 0x55);
    return frame;
}

}  // namespace

std::vector<std::uint8_t> capture(Numbers& numbers, std::size_t packets) {
    Bytes bytes;
    append_little(bytes, 0xA1B2C3D4, 4);
    append_little(bytes, 2, 2);
    append_little(bytes, 4, 2);
    append_little(bytes, 0, 8);
    append_little(bytes, 65535, 4);
    append_little(bytes, 1, 4);
    for (std::size_t packet = 0; packet < packets; ++packet) {
        const Bytes frame = ethernet_frame(numbers);
        append_little(bytes, first_second + packet / 20, 4);
        append_little(bytes, packet % 20 * 50'000, 4);
        append_little(bytes, frame.size(), 4);
        append_little(bytes, frame.size(), 4);
        bytes.insert(bytes.end(), frame.begin(), frame.end());
    }
    return bytes;
}

}  // namespace netsieve::instructions
