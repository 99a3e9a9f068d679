// Which addresses lie in given networks.
#pragma once

#include <nanobind/nanobind.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace netsieve {

// An IPv6 address in network byte order; an IPv4 one as ::ffff:a.b.c.d, so that both forms of it are the same.
using Address = std::array<std::uint8_t, 16>;

// Dotted IPv4, and IPv6 as of RFC 4291, a zone ("%eth0") left out. Returns whether the text is one.
bool parse_address(std::string_view text, Address& address);

class Network {
  public:
    // prefix: bits, of 128
    Network(const Address& address, unsigned prefix);

    bool contains(const Address& other) const {
        std::uint64_t words[2];
        std::memcpy(words, other.data(), sizeof words);
        return (((words[0] ^ words_[0]) & mask_[0]) | ((words[1] ^ words_[1]) & mask_[1])) == 0;
    }

  private:
    std::uint64_t words_[2];
    std::uint64_t mask_[2];
};

void register_networks(nanobind::module_& module);

}  // namespace netsieve
