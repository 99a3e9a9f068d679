#include "packet.hpp"

#include <algorithm>

#include "byte_order.hpp"

namespace netsieve {

namespace {

// https://www.tcpdump.org/linktypes.html
enum LinkType : std::uint16_t {
    link_null = 0,
    link_ethernet = 1,
    link_raw_12 = 12,
    link_raw_14 = 14,
    link_raw = 101,
    link_loop = 108,
    link_linux_cooked = 113,
    link_ipv4 = 228,
    link_ipv6 = 229,
    link_linux_cooked_2 = 276,
};

constexpr std::int32_t ethertype_ipv4 = 0x0800, ethertype_arp = 0x0806, ethertype_ipv6 = 0x86DD;

constexpr std::int32_t next_hop_by_hop = 0, next_routing = 43, next_fragment = 44, next_authentication = 51,
                       next_destination = 60, next_mobility = 135, next_host_identity = 139, next_shim6 = 140;

// What is left of a packet: the bytes captured, and how many there were on the wire.
struct Rest {
    const std::uint8_t* data;
    std::size_t captured;
    std::size_t wire;

    void skip(std::size_t size) {  // no more than captured
        data += size;
        captured -= size;
        wire -= size;
    }
};

bool is_vlan_tag(std::int32_t ethertype) { return ethertype == 0x8100 || ethertype == 0x88A8 || ethertype == 0x9100; }

void decode_transport(Rest rest, Packet& packet) {
    const std::uint8_t* const data = rest.data;
    const bool ports =
        packet.protocol == protocol_tcp || packet.protocol == protocol_udp || packet.protocol == protocol_sctp;
    if (ports && rest.captured >= 4) {
        packet.source_port = network_16(data);
        packet.destination_port = network_16(data + 2);
    }
    std::size_t header = 0;
    switch (packet.protocol) {
        case protocol_tcp:
            if (rest.captured < 13) return;
            header = std::size_t{data[12]} >> 4 << 2;
            if (rest.captured >= 14) packet.tcp_flags = data[13];
            if (rest.captured >= 16) packet.tcp_window = network_16(data + 14);
            if (header < 20) return;
            break;
        case protocol_udp:
            header = 8;
            break;
        case protocol_sctp:
            header = 12;
            break;
        case protocol_icmp:
        case protocol_icmp6:
            if (rest.captured >= 2) {
                packet.icmp_type = data[0];
                packet.icmp_code = data[1];
            }
            header = 8;
            break;
        default:
            packet.payload_length = static_cast<std::int64_t>(rest.wire);
            return;
    }
    if (header > rest.wire) return;
    packet.transport_header_length = static_cast<std::int32_t>(header);
    packet.payload_length = static_cast<std::int64_t>(rest.wire - header);
}

// What follows the network header; length: of it, by that header.
void decode_network_payload(Rest rest, std::size_t length, Packet& packet) {
    rest.wire = std::min(rest.wire, length);
    rest.captured = std::min(rest.captured, rest.wire);  // Ethernet pads short frames
    if (packet.fragment_offset > 0)
        packet.payload_length = static_cast<std::int64_t>(rest.wire);
    else
        decode_transport(rest, packet);
}

void decode_ipv4(Rest rest, Packet& packet) {
    const std::uint8_t* const data = rest.data;
    if (rest.captured < 20 || data[0] >> 4 != 4) return;
    const std::size_t header = std::size_t{data[0]} % 16 * 4;
    if (header < 20) return;
    const std::size_t total = network_16(data + 2);
    const std::uint16_t fragment = network_16(data + 6);
    packet.ip_version = 4;
    packet.ip_header_length = static_cast<std::int32_t>(header);
    packet.type_of_service = data[1];
    packet.identification = network_16(data + 4);
    packet.more_fragments = fragment & 0x2000;
    packet.fragment_offset = (fragment & 0x1FFF) * 8;
    packet.ttl = data[8];
    packet.protocol = data[9];
    packet.source = data + 12;
    packet.destination = data + 16;
    packet.address_size = 4;
    // a total length of 0: the network card was to cut the packet, and the capture saw it before
    if (header > rest.captured || (total && total < header)) return;
    rest.skip(header);
    decode_network_payload(rest, total ? total - header : rest.wire, packet);
}

void decode_ipv6(Rest rest, Packet& packet) {
    constexpr std::size_t fixed_header = 40;
    const std::uint8_t* const data = rest.data;
    if (rest.captured < fixed_header || data[0] >> 4 != 6) return;
    const std::size_t payload = network_16(data + 4);
    packet.ip_version = 6;
    packet.type_of_service = network_16(data) >> 4 & 0xFF;
    packet.ttl = data[7];
    packet.source = data + 8;
    packet.destination = data + 24;
    packet.address_size = 16;
    packet.ip_header_length = fixed_header;
    packet.fragment_offset = 0;
    std::int32_t next = data[6];
    rest.skip(fixed_header);
    if (payload) {  // a length of 0: a jumbogram, or as for IPv4
        rest.wire = std::min(rest.wire, payload);
        rest.captured = std::min(rest.captured, rest.wire);
    }
    for (;;) {
        std::size_t header = 0;
        switch (next) {
            case next_hop_by_hop:
            case next_routing:
            case next_destination:
            case next_mobility:
            case next_host_identity:
            case next_shim6:
                if (rest.captured < 2) return;
                header = 8 + std::size_t{rest.data[1]} * 8;
                break;
            case next_authentication:
                if (rest.captured < 2) return;
                header = 8 + std::size_t{rest.data[1]} * 4;
                break;
            case next_fragment: {
                header = 8;
                if (rest.captured < header) return;
                const std::uint16_t fragment = network_16(rest.data + 2);
                packet.fragment_offset = fragment & 0xFFF8;
                packet.more_fragments = fragment & 1;
                packet.identification = network_32(rest.data + 4);
                break;
            }
            default:
                packet.protocol = next;
                decode_network_payload(rest, rest.wire, packet);
                return;
        }
        if (header > rest.captured) return;
        packet.ip_header_length += static_cast<std::int32_t>(header);
        next = rest.data[0];
        rest.skip(header);
        if (packet.fragment_offset > 0) {  // further headers are in the first fragment
            packet.protocol = next;
            packet.payload_length = static_cast<std::int64_t>(rest.wire);
            return;
        }
    }
}

// ARP for IPv4: who asks, and for whom.
void decode_arp(Rest rest, Packet& packet) {
    if (rest.captured < 28 || network_16(rest.data + 2) != ethertype_ipv4) return;
    if (rest.data[4] != 6 || rest.data[5] != 4) return;
    packet.source = rest.data + 14;
    packet.destination = rest.data + 24;
    packet.address_size = 4;
}

// What follows a link header that ends with the Ethernet type of its content.
void decode_ethertype(Rest rest, std::int32_t ethertype, Packet& packet) {
    while (is_vlan_tag(ethertype)) {
        packet.ethertype = ethertype;
        if (rest.captured < 4) return;
        const std::int32_t vlan = network_16(rest.data) & 0xFFF;
        if (packet.vlan == absent)
            packet.vlan = vlan;
        else if (packet.inner_vlan == absent)
            packet.inner_vlan = vlan;
        ethertype = network_16(rest.data + 2);
        rest.skip(4);
    }
    packet.ethertype = ethertype;
    if (ethertype == ethertype_ipv4) decode_ipv4(rest, packet);
    if (ethertype == ethertype_ipv6) decode_ipv6(rest, packet);
    packet.arp = ethertype == ethertype_arp;
    if (packet.arp) decode_arp(rest, packet);
}

void decode_ip(Rest rest, Packet& packet) {
    if (!rest.captured) return;
    if (rest.data[0] >> 4 == 4) decode_ipv4(rest, packet);
    if (rest.data[0] >> 4 == 6) decode_ipv6(rest, packet);
}

// An address family before the packet, in the byte order of the machine that captured it.
void decode_loopback(Rest rest, Packet& packet) {
    if (rest.captured < 4) return;
    const std::uint32_t little = file_32(rest.data, true), big = file_32(rest.data, false);
    const std::uint32_t family = std::min(little, big);  // a small number, so the right order gives the smaller one
    rest.skip(4);
    if (family == 2) decode_ipv4(rest, packet);
    if (family == 10 || family == 24 || family == 28 || family == 30) decode_ipv6(rest, packet);
}

}  // namespace

void decode_packet(const std::uint8_t* data, Packet& packet) {
    Rest rest{data, packet.captured, std::max(packet.captured, packet.length)};
    switch (packet.link_type) {
        case link_ethernet:
            if (rest.captured < 14) return;
            packet.destination_mac = data;
            packet.source_mac = data + 6;
            rest.skip(14);
            decode_ethertype(rest, network_16(data + 12), packet);
            return;
        case link_linux_cooked:
            if (rest.captured < 16) return;
            if (network_16(data + 4) == 6) packet.source_mac = data + 6;
            rest.skip(16);
            decode_ethertype(rest, network_16(data + 14), packet);
            return;
        case link_linux_cooked_2:
            if (rest.captured < 20) return;
            if (data[11] == 6) packet.source_mac = data + 12;
            rest.skip(20);
            decode_ethertype(rest, network_16(data), packet);
            return;
        case link_raw_12:
        case link_raw_14:
        case link_raw:
            decode_ip(rest, packet);
            return;
        case link_ipv4:
            decode_ipv4(rest, packet);
            return;
        case link_ipv6:
            decode_ipv6(rest, packet);
            return;
        case link_null:
        case link_loop:
            decode_loopback(rest, packet);
            return;
        default:
            return;
    }
}

}  // namespace netsieve
