// Which keys of a JSON record lead to which columns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace netsieve {

// Bytes behind a text that may be read, whatever they are: keys and values are looked at 16 bytes at a time.
constexpr std::size_t json_padding = 64;

// Keys of no column that an object remembers, and how long they may be: their number and size are the file's choice.
constexpr std::size_t most_learned = 256;
constexpr std::size_t longest_learned = 64;

constexpr std::uint32_t no_node = static_cast<std::uint32_t>(-1);
constexpr std::uint32_t no_column = static_cast<std::uint32_t>(-1);

// A key as it stands in the text, its closing quote behind it.
class JsonKey {
  public:
    JsonKey(std::string_view name, std::uint32_t node) : text_(std::string(name) + '"'), node_(node) {
        for (const char c : name) plain_ &= c != '"' && c != '\\' && static_cast<unsigned char>(c) >= ' ';
        char padded[16] = {};
        std::memcpy(padded, text_.data(), text_.size() < 16 ? text_.size() : 16);
        std::memcpy(start_, padded, 16);
        for (std::size_t i = 0; i < 2; ++i) {
            const std::size_t covered = text_.size() > 8 * i ? text_.size() - 8 * i : 0;
            char mask[8] = {};
            std::memset(mask, 0xFF, covered < 8 ? covered : 8);
            std::memcpy(&mask_[i], mask, 8);
        }
    }

    // Whether the text, of which [at, end + json_padding) may be read, begins with the key and its closing quote.
    bool begins(const std::uint8_t* at, const std::uint8_t* end) const {
        std::uint64_t words[2];
        std::memcpy(words, at, 16);
        if (((words[0] ^ start_[0]) & mask_[0]) | ((words[1] ^ start_[1]) & mask_[1])) return false;
        const std::size_t size = text_.size();
        if (!plain_) return false;
        return size <= 16 ||
               (static_cast<std::size_t>(end - at) >= size && std::memcmp(at + 16, text_.data() + 16, size - 16) == 0);
    }
    std::string_view name() const { return {text_.data(), text_.size() - 1}; }
    std::size_t size() const { return text_.size(); }  // with the quote
    std::uint32_t node() const { return node_; }

    std::uint32_t next = 0;            // the key that followed it in the record before,
    std::uint32_t other = 0;           // and one that had followed it until then
    std::uint32_t column = no_column;  // its node's, where the node is no section

  private:
    std::uint64_t start_[2];
    std::uint64_t mask_[2];
    std::string text_;
    std::uint32_t node_;
    bool plain_ = true;  // stands in the text as it is called
};

// One object, or value, on the way to a column. Keys of an object are looked for behind the one before them first:
// programs write the keys of all their records in the same order.
class JsonNode {
  public:
    bool is_section() const { return !keys_.empty(); }
    std::uint32_t column = no_column;
    std::vector<std::uint32_t> columns_below;
    std::uint64_t record = 0;  // the last one that it occurred in

    void add(std::string_view name, std::uint32_t node);

    // Key that the text begins with, up to a quote, no backslash among it; null where it is not known. previous: the
    // key before it in the object, null for the first. Unknown keys are learned up to a limit, so that they are
    // passed over as fast.
    const JsonKey* match(const std::uint8_t* at, const std::uint8_t* end, JsonKey*& previous) {
        std::uint32_t& guess = previous ? previous->next : first_;
        if (keys_[guess].begins(at, end)) return previous = &keys_[guess];
        std::uint32_t& second_guess = previous ? previous->other : other_first_;
        if (keys_[second_guess].begins(at, end)) {
            std::swap(guess, second_guess);
            return previous = &keys_[guess];
        }
        return search(at, end, previous, second_guess);
    }
    const JsonKey* find(std::string_view name) const;
    std::vector<JsonKey>& keys() { return keys_; }

  private:
    const JsonKey* search(const std::uint8_t* at, const std::uint8_t* end, JsonKey*& previous, std::uint32_t& guess);
    static std::size_t hash(std::string_view name);
    void rebuild_slots();

    std::vector<JsonKey> keys_;
    std::vector<std::uint32_t> slots_;  // open addressing; number of the key and one, 0 for none
    std::uint32_t first_ = 0;
    std::uint32_t other_first_ = 0;
    std::size_t learned_ = 0;
    std::size_t longest_ = longest_learned;
};

// The column names as a tree. "flow.start" is the member "start" of the member "flow", and just as well a member that
// is itself called "flow.start": Zeek writes such.
class JsonPaths {
  public:
    explicit JsonPaths(const std::vector<std::string>& paths);

    JsonNode& root() { return nodes_[0]; }
    JsonNode& node(std::uint32_t number) { return nodes_[number]; }

  private:
    std::uint32_t node_of(const std::string& name);

    std::vector<JsonNode> nodes_;
    std::vector<std::string> names_;
};

}  // namespace netsieve
