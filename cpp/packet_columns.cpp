#include "packet_columns.hpp"

#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "fill.hpp"

namespace netsieve {

namespace {

constexpr auto integer = ColumnKind::integer;

std::int64_t known(std::int64_t value) { return value == absent ? no_integer : value; }

template <auto get>
constexpr auto integers = fill_integers<Packet, get>;
template <auto write>
constexpr auto texts = fill_texts<Packet, write>;

void fill_more_fragments(ColumnBuffers& column, std::size_t first_row, std::span<const Packet> packets) {
    for (std::size_t i = 0; i < packets.size(); ++i)
        if (packets[i].fragment_offset == absent)
            column.set_missing(first_row + i);
        else
            column.set_boolean(first_row + i, packets[i].more_fragments);
}

std::int64_t microseconds(std::int64_t nanoseconds) {
    return nanoseconds / 1000 - (nanoseconds % 1000 < 0);  // rounded down, before 1970 too
}

constexpr PacketColumn columns[] = {
    {"time", integer, true, integers<[](const Packet& p) { return p.timed ? microseconds(p.time) : no_integer; }>},
    {"time_nanoseconds", integer, false, integers<[](const Packet& p) { return p.timed ? p.time : no_integer; }>},
    {"interface", integer, false, integers<[](const Packet& p) { return std::int64_t{p.interface}; }>},
    {"link_type", integer, false, integers<[](const Packet& p) { return std::int64_t{p.link_type}; }>},
    {"length", integer, false, integers<[](const Packet& p) { return std::int64_t{p.length}; }>},
    {"captured_length", integer, false, integers<[](const Packet& p) { return std::int64_t{p.captured}; }>},
    {"source_mac", ColumnKind::text, false,
     texts<[](const Packet& p, char* text) { return p.source_mac ? write_mac(p.source_mac, text) : 0; }>},
    {"destination_mac", ColumnKind::text, false,
     texts<[](const Packet& p, char* text) { return p.destination_mac ? write_mac(p.destination_mac, text) : 0; }>},
    {"vlan_id", integer, false, integers<[](const Packet& p) { return known(p.vlan); }>},
    {"inner_vlan_id", integer, false, integers<[](const Packet& p) { return known(p.inner_vlan); }>},
    {"ethertype", integer, false, integers<[](const Packet& p) { return known(p.ethertype); }>},
    {"ip_version", integer, false, integers<[](const Packet& p) { return known(p.ip_version); }>},
    {"source_address", ColumnKind::text, false,
     texts<[](const Packet& p, char* text) { return p.source ? write_address(p.source, p.address_size, text) : 0; }>},
    {"source_port", integer, false, integers<[](const Packet& p) { return known(p.source_port); }>},
    {"destination_address", ColumnKind::text, false, texts<[](const Packet& p, char* text) {
         return p.destination ? write_address(p.destination, p.address_size, text) : 0;
     }>},
    {"destination_port", integer, false, integers<[](const Packet& p) { return known(p.destination_port); }>},
    {"protocol", ColumnKind::text, false, texts<[](const Packet& p, char* text) -> std::size_t {
         if (p.arp) {
             std::memcpy(text, "arp", 3);
             return 3;
         }
         return p.protocol == absent ? 0 : write_protocol(p.protocol, text);
     }>},
    {"protocol_number", integer, false, integers<[](const Packet& p) { return known(p.protocol); }>},
    {"ip_header_length", integer, false, integers<[](const Packet& p) { return known(p.ip_header_length); }>},
    {"type_of_service", integer, false, integers<[](const Packet& p) { return known(p.type_of_service); }>},
    {"ttl", integer, false, integers<[](const Packet& p) { return known(p.ttl); }>},
    {"ip_identification", integer, false, integers<[](const Packet& p) { return known(p.identification); }>},
    {"fragment_offset", integer, false, integers<[](const Packet& p) { return known(p.fragment_offset); }>},
    {"more_fragments", ColumnKind::boolean, false, fill_more_fragments},
    {"tcp_flags", integer, false, integers<[](const Packet& p) { return known(p.tcp_flags); }>},
    {"tcp_window", integer, false, integers<[](const Packet& p) { return known(p.tcp_window); }>},
    {"icmp_type", integer, false, integers<[](const Packet& p) { return known(p.icmp_type); }>},
    {"icmp_code", integer, false, integers<[](const Packet& p) { return known(p.icmp_code); }>},
    {"transport_header_length", integer, false,
     integers<[](const Packet& p) { return known(p.transport_header_length); }>},
    {"payload_length", integer, false, integers<[](const Packet& p) { return known(p.payload_length); }>},
};

std::string_view protocol_name(std::int32_t protocol) {
    constexpr std::pair<std::int32_t, std::string_view> names[] = {{6, "tcp"},
                                                                   {17, "udp"},
                                                                   {1, "icmp"},
                                                                   {58, "icmpv6"},
                                                                   {0, "hopopt"},
                                                                   {2, "igmp"},
                                                                   {4, "ipv4"},
                                                                   {41, "ipv6"},
                                                                   {46, "rsvp"},
                                                                   {47, "gre"},
                                                                   {50, "esp"},
                                                                   {51, "ah"},
                                                                   {59, "no-next-header"},
                                                                   {88, "eigrp"},
                                                                   {89, "ospf"},
                                                                   {103, "pim"},
                                                                   {112, "vrrp"},
                                                                   {115, "l2tp"},
                                                                   {132, "sctp"},
                                                                   {136, "udplite"},
                                                                   {33, "dccp"},
                                                                   {137, "mpls-in-ip"}};
    for (const auto& [number, name] : names)
        if (number == protocol) return name;
    return {};
}

char* write_number(unsigned value, char* text) {
    if (value >= 100) *text++ = static_cast<char>('0' + value / 100);
    if (value >= 10) *text++ = static_cast<char>('0' + value / 10 % 10);
    *text++ = static_cast<char>('0' + value % 10);
    return text;
}

}  // namespace

std::span<const PacketColumn> packet_columns() { return columns; }

std::size_t write_address(const std::uint8_t* address, std::size_t size, char* text) {
    if (size == 16) {
        // a C library's own text: RFC 5952, with dotted numbers for addresses mapped from IPv4
        return inet_ntop(AF_INET6, address, text, longest_address) ? std::strlen(text) : 0;
    }
    char* end = text;
    for (std::size_t i = 0; i < 4; ++i) {
        if (i) *end++ = '.';
        end = write_number(address[i], end);
    }
    return static_cast<std::size_t>(end - text);
}

std::size_t write_mac(const std::uint8_t* address, char* text) {
    constexpr char digits[] = "0123456789abcdef";
    for (std::size_t i = 0; i < 6; ++i) {
        text[3 * i] = digits[address[i] >> 4];
        text[3 * i + 1] = digits[address[i] & 15];
        text[3 * i + 2] = ':';
    }
    return 17;
}

std::size_t write_protocol(std::int32_t protocol, char* text) {
    const std::string_view name = protocol_name(protocol);
    if (name.empty()) return static_cast<std::size_t>(write_number(static_cast<unsigned>(protocol), text) - text);
    std::memcpy(text, name.data(), name.size());
    return name.size();
}

}  // namespace netsieve
