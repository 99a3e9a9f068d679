// Fuzzes the interner's saved state. Bytes that are none must be refused; a state that is taken over must be saved as
// the same bytes, and give the same numbers wherever it is saved and restored in between. The first byte of an input
// says where the rows behind it are cut; a 32-bit number follows, how many bytes of state there are; then these; then
// the rows, each a key's byte and a time's.
#include "../interner.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.hpp"

namespace {

using namespace netsieve;
using fuzz::require;

constexpr std::size_t max_entities = 6;
constexpr double expiry = 100;

struct Rows {
    std::vector<std::uint64_t> keys;
    std::vector<double> times;
    std::vector<std::int32_t> ids;
    std::vector<double> elapsed, seen;

    // The last keys lie at one home, so that they have to move up.
    void add(std::uint8_t key, std::uint8_t time) {
        keys.push_back(key >= 128 ? 5 : key % 16);
        keys.push_back(key >= 128 ? std::uint64_t{key} << 32 : 0);
        times.push_back(4.0 * time - 200);
    }
    void assign(Interner& interner, std::size_t begin, std::size_t end) {
        interner.assign(keys.data() + 2 * begin, times.data() + begin, end - begin, ids.data() + begin,
                        elapsed.data() + begin, seen.data() + begin);
        for (std::size_t row = begin; row < end; ++row)
            require(-1 <= ids[row] && ids[row] < static_cast<std::int64_t>(interner.size()));
    }
    void clear_results() {
        ids.assign(times.size(), 0);
        elapsed.assign(times.size(), 0);
        seen.assign(times.size(), 0);
    }
};

bool same_bits(const std::vector<double>& one, const std::vector<double>& other) {
    return one.empty() || std::memcmp(one.data(), other.data(), 8 * one.size()) == 0;
}

bool restored(Interner& interner, const char* bytes, std::size_t size) {
    try {
        interner.restore(bytes, size);
        return true;
    } catch (const std::invalid_argument&) {
        require(interner.size() == 0);
        return false;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t head = 5;
    if (size < head) return 0;
    std::uint32_t given = 0;
    std::memcpy(&given, data + 1, 4);
    const std::size_t length = std::min<std::size_t>(given, size - head);
    const std::vector<char> state(data + head, data + head + length);
    Interner whole(max_entities, expiry);
    if (restored(whole, state.data(), state.size())) require(whole.saved() == std::string(state.begin(), state.end()));

    Rows rows;
    for (std::size_t at = head + length; at + 1 < size; at += 2) rows.add(data[at], data[at + 1]);
    Interner part(max_entities, expiry);
    const std::string saved = whole.saved();
    require(restored(part, saved.data(), saved.size()));
    rows.clear_results();
    rows.assign(whole, 0, rows.times.size());
    const Rows expected = rows;

    rows.clear_results();
    const std::size_t cut = std::min<std::size_t>(data[0], rows.times.size());
    rows.assign(part, 0, cut);
    const std::string between = part.saved();
    Interner last(max_entities, expiry);
    require(restored(last, between.data(), between.size()));
    rows.assign(last, cut, rows.times.size());
    require(rows.ids == expected.ids && same_bits(rows.elapsed, expected.elapsed) &&
            same_bits(rows.seen, expected.seen));
    require(last.saved() == whole.saved() && last.size() <= max_entities);
    return 0;
}
