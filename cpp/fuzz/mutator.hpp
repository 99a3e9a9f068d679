// Changes inputs at random.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace netsieve::fuzz {

using Input = std::vector<std::uint8_t>;

class Mutator {
  public:
    // tokens: pieces of text that the format knows.
    Mutator(std::uint64_t random_seed, std::vector<Input> tokens, std::size_t max_size);

    std::size_t below(std::size_t limit) { return static_cast<std::size_t>(random_() % limit); }
    // other: an input that parts are taken of.
    void mutate(Input& input, const Input& other);

  private:
    void change_once(Input& input, const Input& other);
    void put_extreme_number(Input& input, std::size_t at);
    void repeat(Input& input, std::size_t at);
    void put(Input& input, std::size_t at, const Input& piece);
    Input part_of(const Input& input, std::size_t longest);
    Input line_of(const Input& input);

    std::mt19937_64 random_;
    std::vector<Input> tokens_;
    std::size_t max_size_;
};

// Lines of the form "text" or name="text", with \xNN, \n, \r, \t, \\ and \"; "#" begins a comment. The form of AFL's
// and libFuzzer's dictionaries.
std::vector<Input> dictionary_tokens(const std::string& path);

}  // namespace netsieve::fuzz
