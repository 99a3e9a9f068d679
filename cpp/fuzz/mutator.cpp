#include "mutator.hpp"

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <utility>

namespace netsieve::fuzz {

namespace {

constexpr std::size_t most_changes = 8;
constexpr std::size_t option_bytes = 4;  // the first bytes of an input often say how it is read

auto place(Input& input, std::size_t at) { return input.begin() + static_cast<std::ptrdiff_t>(at); }
auto place(const Input& input, std::size_t at) { return input.begin() + static_cast<std::ptrdiff_t>(at); }

Input unescaped(const std::string& text) {
    Input token;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '\\') {
            token.push_back(static_cast<std::uint8_t>(text[at]));
            continue;
        }
        const char escape = at + 1 < text.size() ? text[++at] : '\0';
        if (escape == 'x' && at + 2 < text.size()) {
            token.push_back(static_cast<std::uint8_t>(std::stoul(text.substr(at + 1, 2), nullptr, 16)));
            at += 2;
        } else {
            const std::string names = "nrt\\\"", meanings = "\n\r\t\\\"";
            const std::size_t known = names.find(escape);
            if (known == std::string::npos) throw std::invalid_argument("no such escape in a dictionary: " + text);
            token.push_back(static_cast<std::uint8_t>(meanings[known]));
        }
    }
    return token;
}

}  // namespace

Mutator::Mutator(std::uint64_t random_seed, std::vector<Input> tokens, std::size_t max_size)
    : random_(random_seed), tokens_(std::move(tokens)), max_size_(max_size) {}

void Mutator::mutate(Input& input, const Input& other) {
    for (std::size_t times = 1 + below(1 + below(most_changes)); times > 0; --times) {
        if (input.empty()) input.push_back(static_cast<std::uint8_t>(random_()));
        change_once(input, other);
    }
    if (input.size() > max_size_) input.resize(max_size_);
}

void Mutator::change_once(Input& input, const Input& other) {
    const std::size_t at = below(input.size());
    switch (below(16)) {
        case 0:
            input[at] = static_cast<std::uint8_t>(random_());
            break;
        case 1:
            input[at] ^= static_cast<std::uint8_t>(1U << below(8));
            break;
        case 2:
            input[at] = static_cast<std::uint8_t>(input[at] + below(33) - 16);
            break;
        case 3:
            put_extreme_number(input, at);
            break;
        case 4:
            input.resize(at);
            break;
        case 5:
        case 6:
            input.erase(place(input, at), place(input, std::min(input.size(), at + 1 + below(64))));
            break;
        case 7:
            put(input, at, part_of(input, 200));
            break;
        case 8:
            repeat(input, at);
            break;
        case 9:
        case 10:
        case 11:
            put(input, at, tokens_.empty() ? part_of(other, 32) : tokens_[below(tokens_.size())]);
            break;
        case 12:
            put(input, at, part_of(other, 400));
            break;
        case 13:  // the beginning of one, the end of the other
            if (other.empty()) break;
            input.resize(at);
            input.insert(input.end(), place(other, below(other.size())), other.end());
            break;
        case 14: {
            const Input line = line_of(other);
            const auto newline = std::find(place(input, at), input.end(), '\n');
            input.insert(newline == input.end() ? newline : newline + 1, line.begin(), line.end());
            break;
        }
        default:
            input[below(std::min(option_bytes, input.size()))] = static_cast<std::uint8_t>(random_());
    }
}

// Of 1, 2, 4 or 8 bytes, in either order.
void Mutator::put_extreme_number(Input& input, std::size_t at) {
    const std::size_t width = std::size_t{1} << below(4);
    const std::uint64_t top = std::uint64_t{1} << (8 * width - 1);
    const std::uint64_t extremes[] = {0, 1, top - 1, top, top | (top - 1), below(64), (top | (top - 1)) - below(64)};
    const std::uint64_t value = extremes[below(std::size(extremes))];
    const bool big_endian = below(2);
    for (std::size_t i = 0; i < width && at + i < input.size(); ++i)
        input[at + i] = static_cast<std::uint8_t>(value >> (8 * (big_endian ? width - 1 - i : i)));
}

// Long cells, deep nesting: lengths about those that are read at once.
void Mutator::repeat(Input& input, std::size_t at) {
    constexpr std::size_t times[] = {2, 7, 8, 12, 13, 15, 16, 17, 31, 32, 60, 64, 65, 300, 1100};
    const Input piece(place(input, at), place(input, std::min(input.size(), at + 1 + below(2) * below(4))));
    Input repeated;
    for (std::size_t i = times[below(std::size(times))]; i > 0; --i)
        repeated.insert(repeated.end(), piece.begin(), piece.end());
    put(input, at, repeated);
}

// In front of what is there, or over it.
void Mutator::put(Input& input, std::size_t at, const Input& piece) {
    if (below(2)) {
        input.insert(place(input, at), piece.begin(), piece.end());
        return;
    }
    if (input.size() < at + piece.size()) input.resize(at + piece.size());
    std::copy(piece.begin(), piece.end(), place(input, at));
}

Input Mutator::part_of(const Input& input, std::size_t longest) {
    if (input.empty()) return {};
    const std::size_t at = below(input.size());
    return {place(input, at), place(input, std::min(input.size(), at + 1 + below(longest)))};
}

Input Mutator::line_of(const Input& input) {
    if (input.empty()) return {};
    auto begin = place(input, below(input.size()));
    const auto end = std::find(begin, input.end(), '\n');
    while (begin != input.begin() && *(begin - 1) != '\n') --begin;
    return {begin, end == input.end() ? end : end + 1};
}

std::vector<Input> dictionary_tokens(const std::string& path) {
    std::vector<Input> tokens;
    std::ifstream file(path);
    if (!file) throw std::invalid_argument("no such dictionary: " + path);
    for (std::string line; std::getline(file, line);) {
        const std::size_t begin = line.find('"'), end = line.rfind('"');
        if (line.empty() || line[0] == '#') continue;
        if (begin == end) throw std::invalid_argument("no token in quotes in a dictionary: " + line);
        tokens.push_back(unescaped(line.substr(begin + 1, end - begin - 1)));
    }
    return tokens;
}

}  // namespace netsieve::fuzz
