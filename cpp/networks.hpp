// Which addresses lie in given networks.
#pragma once

#include <nanobind/nanobind.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace netsieve {

// An IPv6 address in network byte order; an IPv4 one as ::ffff:a.b.c.d, so that both forms of it are the same.
using Address = std::array<std::uint8_t, 16>;

// Dotted IPv4, and IPv6 as of RFC 4291, a zone ("%eth0") left out. Returns whether the text is one.
bool parse_address(std::string_view text, Address& address);

struct Network {
    Address address;
    unsigned prefix;  // bits, of 128

    bool contains(const Address& other) const;
};

void register_networks(nanobind::module_& module);

}  // namespace netsieve
