#include "json_paths.hpp"

#include <algorithm>

namespace netsieve {

std::size_t JsonNode::hash(std::string_view name) {
    std::uint64_t first = 0, last = 0;
    std::memcpy(&first, name.data(), std::min<std::size_t>(name.size(), 8));
    if (name.size() > 8) std::memcpy(&last, name.data() + name.size() - 8, 8);
    const std::uint64_t mixed = (first ^ (last << 7) ^ (last >> 57) ^ name.size()) * 0x9E3779B97F4A7C15U;
    return static_cast<std::size_t>(mixed >> 32);
}

void JsonNode::rebuild_slots() {
    std::size_t size = 16;
    while (size < 2 * (keys_.size() + 1)) size *= 2;
    slots_.assign(size, 0);
    for (std::uint32_t i = 0; i < keys_.size(); ++i) {
        std::size_t slot = hash(keys_[i].name()) & (size - 1);
        while (slots_[slot]) slot = (slot + 1) & (size - 1);
        slots_[slot] = i + 1;
    }
}

void JsonNode::add(std::string_view name, std::uint32_t node) {
    if (find(name)) return;
    longest_ = std::max(longest_, name.size());
    keys_.emplace_back(name, node);
    // a column list is most often in the order of the file
    if (keys_.size() > 1) keys_[keys_.size() - 2].next = static_cast<std::uint32_t>(keys_.size() - 1);
    rebuild_slots();
}

const JsonKey* JsonNode::find(std::string_view name) const {
    if (slots_.empty()) return nullptr;
    for (std::size_t slot = hash(name);; ++slot) {
        const std::uint32_t number = slots_[slot & (slots_.size() - 1)];
        if (!number) return nullptr;
        if (keys_[number - 1].name() == name) return &keys_[number - 1];
    }
}

const JsonKey* JsonNode::search(const std::uint8_t* at, const std::uint8_t* end, JsonKey*& previous,
                                std::uint32_t& guess) {
    const void* const quote = std::memchr(at, '"', std::min(static_cast<std::size_t>(end - at), longest_ + 1));
    if (!quote) return nullptr;
    const std::string_view name(reinterpret_cast<const char*>(at),
                                static_cast<std::size_t>(static_cast<const std::uint8_t*>(quote) - at));
    // Names with these are read the long way
    for (const char c : name)
        if (c == '\\' || c < ' ') return nullptr;  // beyond ASCII as well
    const JsonKey* known = find(name);
    if (!known && learned_ < most_learned && name.size() <= longest_learned) {
        const std::size_t last = previous ? static_cast<std::size_t>(previous - keys_.data()) : keys_.size();
        ++learned_;
        keys_.emplace_back(name, no_node);
        rebuild_slots();
        known = &keys_.back();
        (last < keys_.size() - 1 ? keys_[last].other : other_first_) = static_cast<std::uint32_t>(keys_.size() - 1);
    } else if (known) {
        guess = static_cast<std::uint32_t>(known - keys_.data());
    }
    if (known) previous = const_cast<JsonKey*>(known);
    return known;
}

JsonPaths::JsonPaths(const std::vector<std::string>& paths) : nodes_(1), names_{""} {
    if (paths.empty()) nodes_[0].add("", no_node);  // an object that is read has at least one key to compare with
    for (std::uint32_t column = 0; column < paths.size(); ++column) {
        const std::string& path = paths[column];
        // every part of the path that stands before a dot is a section, of each section further up
        std::vector<std::uint32_t> sections{0};
        std::vector<std::size_t> begins{0};
        for (std::size_t at = 0; at <= path.size(); ++at) {
            if (at < path.size() && path[at] != '.') continue;
            const std::uint32_t node = node_of(path.substr(0, at));
            for (std::size_t i = 0; i < sections.size(); ++i) {
                if (at < begins[i]) continue;
                nodes_[sections[i]].add(std::string_view(path).substr(begins[i], at - begins[i]), node);
            }
            if (at == path.size())
                nodes_[node].column = column;
            else {
                nodes_[node].columns_below.push_back(column);
                sections.push_back(node);
                begins.push_back(at + 1);
            }
        }
    }
    for (JsonNode& node : nodes_)
        for (JsonKey& key : node.keys())
            if (key.node() != no_node && !nodes_[key.node()].is_section()) key.column = nodes_[key.node()].column;
}

std::uint32_t JsonPaths::node_of(const std::string& name) {
    const auto found = std::find(names_.begin() + 1, names_.end(), name);
    if (found != names_.end()) return static_cast<std::uint32_t>(found - names_.begin());
    names_.push_back(name);
    nodes_.emplace_back();
    return static_cast<std::uint32_t>(names_.size() - 1);
}

}  // namespace netsieve
