// The columns of a frame of packets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "column_buffers.hpp"
#include "packet.hpp"

namespace netsieve {

constexpr std::size_t longest_address = 46;  // INET6_ADDRSTRLEN

// Each writes a text and returns its length: dotted numbers or RFC 5952; colons between the bytes of a MAC; a name of
// https://www.iana.org/assignments/protocol-numbers in lower case, or else the number.
std::size_t write_address(const std::uint8_t* address, std::size_t size, char* text);
std::size_t write_mac(const std::uint8_t* address, char* text);
std::size_t write_protocol(std::int32_t protocol, char* text);

struct PacketColumn {
    std::string_view name;
    ColumnKind kind;
    bool time;  // microseconds since 1970
    void (*fill)(ColumnBuffers& column, std::size_t first_row, std::span<const Packet> packets);
};

std::span<const PacketColumn> packet_columns();

}  // namespace netsieve
