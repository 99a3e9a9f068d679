// The layers of one packet: link, network and transport headers, as far as they were captured and make sense.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace netsieve {

constexpr std::int32_t absent = -1;

constexpr std::uint8_t tcp_fin = 1, tcp_syn = 2, tcp_rst = 4, tcp_psh = 8, tcp_ack = 16, tcp_urg = 32, tcp_ece = 64,
                       tcp_cwr = 128;
constexpr std::int32_t protocol_icmp = 1, protocol_tcp = 6, protocol_udp = 17, protocol_icmp6 = 58, protocol_sctp = 132;

// What was read of a packet; numbers are absent, and pointers null, where a layer was not reached. Pointers lead into
// the packet's bytes.
struct Packet {
    std::int64_t time = 0;  // nanoseconds since 1970
    bool timed = false;
    std::uint32_t interface = 0;
    std::uint32_t length = 0;  // on the wire
    std::uint32_t captured = 0;
    std::uint16_t link_type = 0;

    const std::uint8_t* source_mac = nullptr;
    const std::uint8_t* destination_mac = nullptr;
    std::int32_t vlan = absent;
    std::int32_t inner_vlan = absent;
    std::int32_t ethertype = absent;

    std::int32_t ip_version = absent;
    const std::uint8_t* source = nullptr;  // an address of address_size bytes
    const std::uint8_t* destination = nullptr;
    std::uint8_t address_size = 0;  // 4 or 16
    bool arp = false;
    std::int32_t ip_header_length = absent;  // with options or extension headers
    std::int32_t type_of_service = absent;
    std::int32_t ttl = absent;  // or hop limit
    std::int64_t identification = absent;
    std::int32_t fragment_offset = absent;  // bytes
    bool more_fragments = false;

    std::int32_t protocol = absent;
    std::int32_t source_port = absent;
    std::int32_t destination_port = absent;
    std::int32_t tcp_flags = absent;
    std::int32_t tcp_window = absent;
    std::int32_t icmp_type = absent;
    std::int32_t icmp_code = absent;
    std::int32_t transport_header_length = absent;
    std::int64_t payload_length = absent;  // by the headers' lengths, whether captured or not
};

// Fills in the layers of a packet whose time, lengths and link type are set.
void decode_packet(const std::uint8_t* data, Packet& packet);

}  // namespace netsieve
