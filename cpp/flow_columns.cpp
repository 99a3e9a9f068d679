#include "flow_columns.hpp"

#include <cmath>
#include <limits>

#include "fill.hpp"
#include "packet_columns.hpp"

namespace netsieve {

namespace {

constexpr auto integer = ColumnKind::integer;
constexpr auto number = ColumnKind::number;
constexpr auto text = ColumnKind::text;
constexpr double none = std::numeric_limits<double>::quiet_NaN();
constexpr double seconds = 1e-9;

using Side = FlowDirection Flow::*;
constexpr Side forward = &Flow::forward;
constexpr Side backward = &Flow::backward;

template <auto get>
constexpr auto integers = fill_integers<Flow, get>;
template <auto get>
constexpr auto numbers = fill_numbers<Flow, get>;
template <auto write>
constexpr auto texts = fill_texts<Flow, write>;

std::int64_t microseconds(std::int64_t nanoseconds) { return nanoseconds / 1000 - (nanoseconds % 1000 < 0); }
std::int64_t known(std::int64_t value) { return value == absent ? no_integer : value; }
std::int64_t whole(std::uint64_t value) { return static_cast<std::int64_t>(value); }
double ratio(std::uint64_t a, std::uint64_t b) { return b ? static_cast<double>(a) / static_cast<double>(b) : none; }
std::uint64_t packets(const Flow& flow) { return flow.forward.payload.count + flow.backward.payload.count; }
double per_second(std::uint64_t count, const Flow& flow) {
    return flow.end > flow.start ? static_cast<double>(count) / (static_cast<double>(flow.end - flow.start) * seconds)
                                 : none;
}
Moments payload(const Flow& flow) {
    Moments both = flow.forward.payload;
    both.add(flow.backward.payload);
    return both;
}

// Statistics of moments that get(flow) gives; unit: what a value of 1 stands for.
template <auto get, auto unit>
constexpr auto means = numbers<[](const Flow& f) { return mean(get(f)) * unit; }>;
template <auto get, auto unit>
constexpr auto deviations = numbers<[](const Flow& f) { return std::sqrt(variance(get(f))) * unit; }>;
template <auto get>
constexpr auto least_seconds = numbers<[](const Flow& f) {
    const Moments& moments = get(f);
    return moments.count ? static_cast<double>(moments.least) * seconds : none;
}>;
template <auto get>
constexpr auto largest_seconds = numbers<[](const Flow& f) {
    const Moments& moments = get(f);
    return moments.count ? static_cast<double>(moments.largest) * seconds : none;
}>;
template <auto get>
constexpr auto least = integers<[](const Flow& f) {
    const Moments& moments = get(f);
    return moments.count ? whole(moments.least) : no_integer;
}>;
template <auto get>
constexpr auto largest = integers<[](const Flow& f) {
    const Moments& moments = get(f);
    return moments.count ? whole(moments.largest) : no_integer;
}>;

constexpr auto gaps = [](const Flow& f) -> const Moments& { return f.gaps; };
constexpr auto active = [](const Flow& f) -> const Moments& { return f.active; };
constexpr auto idle = [](const Flow& f) -> const Moments& { return f.idle; };
constexpr auto all_payload = [](const Flow& f) { return payload(f); };
template <Side side>
constexpr auto side_payload = [](const Flow& f) -> const Moments& { return (f.*side).payload; };
template <Side side>
constexpr auto side_gaps = [](const Flow& f) -> const Moments& { return (f.*side).gaps; };
template <Side side>
constexpr auto gap_total = numbers<[](const Flow& f) {
    const Moments& moments = (f.*side).gaps;
    return moments.count ? static_cast<double>(moments.sum) * seconds : none;
}>;
template <Side side>
constexpr auto side_packets = integers<[](const Flow& f) { return whole((f.*side).payload.count); }>;
template <Side side>
constexpr auto side_bytes = integers<[](const Flow& f) { return whole((f.*side).bytes); }>;
template <Side side>
constexpr auto payload_bytes = integers<[](const Flow& f) { return whole((f.*side).payload.sum); }>;
template <Side side>
constexpr auto packet_rate = numbers<[](const Flow& f) { return per_second((f.*side).payload.count, f); }>;
template <Side side>
constexpr auto psh = integers<[](const Flow& f) { return whole((f.*side).psh); }>;
template <Side side>
constexpr auto urg = integers<[](const Flow& f) { return whole((f.*side).urg); }>;
template <Side side>
constexpr auto header_bytes = integers<[](const Flow& f) { return whole((f.*side).header_bytes); }>;
template <Side side>
constexpr auto least_header = integers<[](const Flow& f) { return known((f.*side).least_header); }>;
template <Side side>
constexpr auto data_packets = integers<[](const Flow& f) { return whole((f.*side).data_packets); }>;
template <Side side>
constexpr auto initial_window = integers<[](const Flow& f) { return known((f.*side).initial_window); }>;
template <Side side>
constexpr auto bulk_bytes = numbers<[](const Flow& f) { return ratio((f.*side).bulks.bytes, (f.*side).bulks.count); }>;
template <Side side>
constexpr auto bulk_packets =
    numbers<[](const Flow& f) { return ratio((f.*side).bulks.packets, (f.*side).bulks.count); }>;
template <Side side>
constexpr auto bulk_rate = numbers<[](const Flow& f) {
    const Bulks& bulks = (f.*side).bulks;
    return bulks.duration ? static_cast<double>(bulks.bytes) / (static_cast<double>(bulks.duration) * seconds) : none;
}>;
template <Side side>
constexpr auto subflow_packets = numbers<[](const Flow& f) { return ratio((f.*side).payload.count, f.subflows); }>;
template <Side side>
constexpr auto subflow_bytes = numbers<[](const Flow& f) { return ratio((f.*side).payload.sum, f.subflows); }>;
template <std::size_t bit>
constexpr auto flag = integers<[](const Flow& f) { return whole(f.flags[bit]); }>;

std::size_t copy(std::string_view from, char* to) {
    std::memcpy(to, from.data(), from.size());
    return from.size();
}

template <bool source>
constexpr auto address = texts<[](const Flow& f, char* to) {
    const bool low = source == f.forward_is_low;
    return write_address((low ? f.key.low_address : f.key.high_address).data(), f.key.address_size, to);
}>;
template <bool source>
constexpr auto port = integers<[](const Flow& f) {
    const bool low = source == f.forward_is_low;
    return f.key.has_ports ? std::int64_t{low ? f.key.low_port : f.key.high_port} : no_integer;
}>;

// After Zeek's conn_state (https://docs.zeek.org/en/master/scripts/base/protocols/conn/main.zeek.html).
std::string_view tcp_state(const Flow& flow) {
    const FlowDirection& to = flow.forward;
    const FlowDirection& back = flow.backward;
    const bool reset_to = flow.reset == FirstReset::forward, reset_back = flow.reset == FirstReset::backward;
    if (to.syn && back.syn_ack) {
        if (to.fin && back.fin) return "SF";
        if (reset_to) return "RSTO";
        if (reset_back) return "RSTR";
        return to.fin ? "S2" : back.fin ? "S3" : "S1";
    }
    if (to.syn) {
        if (reset_back) return "REJ";
        if (reset_to) return "RSTOS0";
        if (back.payload.count) return "OTH";
        return to.fin ? "SH" : "S0";
    }
    if (back.syn_ack) return reset_back ? "RSTRH" : back.fin ? "SHR" : "OTH";
    return "OTH";
}

std::string_view end_reason(FlowEnd end) {
    switch (end) {
        case FlowEnd::fin:
            return "fin";
        case FlowEnd::rst:
            return "rst";
        case FlowEnd::idle:
            return "idle timeout";
        case FlowEnd::active:
            return "active timeout";
        case FlowEnd::evicted:
            return "evicted";
        default:
            return "end of file";
    }
}

constexpr FlowColumn columns[] = {
    {"start_time", integer, true, integers<[](const Flow& f) { return microseconds(f.start); }>},
    {"end_time", integer, true, integers<[](const Flow& f) { return microseconds(f.end); }>},
    {"duration", number, false, numbers<[](const Flow& f) { return static_cast<double>(f.end - f.start) * seconds; }>},
    {"source_mac", text, false,
     texts<[](const Flow& f, char* to) { return f.has_macs ? write_mac(f.source_mac.data(), to) : 0; }>},
    {"destination_mac", text, false,
     texts<[](const Flow& f, char* to) { return f.has_macs ? write_mac(f.destination_mac.data(), to) : 0; }>},
    {"vlan_id", integer, false, integers<[](const Flow& f) { return known(f.vlan); }>},
    {"ip_version", integer, false,
     integers<[](const Flow& f) -> std::int64_t { return f.key.address_size == 4 ? 4 : 6; }>},
    {"source_address", text, false, address<true>},
    {"source_port", integer, false, port<true>},
    {"destination_address", text, false, address<false>},
    {"destination_port", integer, false, port<false>},
    {"protocol", text, false, texts<[](const Flow& f, char* to) { return write_protocol(f.key.protocol, to); }>},
    {"protocol_number", integer, false, integers<[](const Flow& f) { return std::int64_t{f.key.protocol}; }>},
    {"icmp_type", integer, false, integers<[](const Flow& f) { return known(f.icmp_type); }>},
    {"icmp_code", integer, false, integers<[](const Flow& f) { return known(f.icmp_code); }>},
    {"tcp_state", text, false,
     texts<[](const Flow& f, char* to) { return f.key.protocol == protocol_tcp ? copy(tcp_state(f), to) : 0; }>},
    {"end_reason", text, false, texts<[](const Flow& f, char* to) { return copy(end_reason(f.ended), to); }>},
    {"packets", integer, false, integers<[](const Flow& f) { return whole(packets(f)); }>},
    {"bytes", integer, false, integers<[](const Flow& f) { return whole(f.forward.bytes + f.backward.bytes); }>},
    {"forward_packets", integer, false, side_packets<forward>},
    {"backward_packets", integer, false, side_packets<backward>},
    {"forward_bytes", integer, false, side_bytes<forward>},
    {"backward_bytes", integer, false, side_bytes<backward>},
    {"forward_payload_bytes", integer, false, payload_bytes<forward>},
    {"backward_payload_bytes", integer, false, payload_bytes<backward>},
    {"forward_payload_length_max", integer, false, largest<side_payload<forward>>},
    {"forward_payload_length_min", integer, false, least<side_payload<forward>>},
    {"forward_payload_length_mean", number, false, means<side_payload<forward>, 1.0>},
    {"forward_payload_length_std", number, false, deviations<side_payload<forward>, 1.0>},
    {"backward_payload_length_max", integer, false, largest<side_payload<backward>>},
    {"backward_payload_length_min", integer, false, least<side_payload<backward>>},
    {"backward_payload_length_mean", number, false, means<side_payload<backward>, 1.0>},
    {"backward_payload_length_std", number, false, deviations<side_payload<backward>, 1.0>},
    {"payload_bytes_per_second", number, false, numbers<[](const Flow& f) { return per_second(payload(f).sum, f); }>},
    {"packets_per_second", number, false, numbers<[](const Flow& f) { return per_second(packets(f), f); }>},
    {"inter_arrival_mean", number, false, means<gaps, seconds>},
    {"inter_arrival_std", number, false, deviations<gaps, seconds>},
    {"inter_arrival_max", number, false, largest_seconds<gaps>},
    {"inter_arrival_min", number, false, least_seconds<gaps>},
    {"forward_inter_arrival_total", number, false, gap_total<forward>},
    {"forward_inter_arrival_mean", number, false, means<side_gaps<forward>, seconds>},
    {"forward_inter_arrival_std", number, false, deviations<side_gaps<forward>, seconds>},
    {"forward_inter_arrival_max", number, false, largest_seconds<side_gaps<forward>>},
    {"forward_inter_arrival_min", number, false, least_seconds<side_gaps<forward>>},
    {"backward_inter_arrival_total", number, false, gap_total<backward>},
    {"backward_inter_arrival_mean", number, false, means<side_gaps<backward>, seconds>},
    {"backward_inter_arrival_std", number, false, deviations<side_gaps<backward>, seconds>},
    {"backward_inter_arrival_max", number, false, largest_seconds<side_gaps<backward>>},
    {"backward_inter_arrival_min", number, false, least_seconds<side_gaps<backward>>},
    {"forward_psh_flags", integer, false, psh<forward>},
    {"backward_psh_flags", integer, false, psh<backward>},
    {"forward_urg_flags", integer, false, urg<forward>},
    {"backward_urg_flags", integer, false, urg<backward>},
    {"forward_header_bytes", integer, false, header_bytes<forward>},
    {"backward_header_bytes", integer, false, header_bytes<backward>},
    {"forward_packets_per_second", number, false, packet_rate<forward>},
    {"backward_packets_per_second", number, false, packet_rate<backward>},
    {"payload_length_min", integer, false, least<all_payload>},
    {"payload_length_max", integer, false, largest<all_payload>},
    {"payload_length_mean", number, false, means<all_payload, 1.0>},
    {"payload_length_std", number, false, deviations<all_payload, 1.0>},
    {"payload_length_variance", number, false, numbers<[](const Flow& f) { return variance(payload(f)); }>},
    {"fin_flags", integer, false, flag<0>},
    {"syn_flags", integer, false, flag<1>},
    {"rst_flags", integer, false, flag<2>},
    {"psh_flags", integer, false, flag<3>},
    {"ack_flags", integer, false, flag<4>},
    {"urg_flags", integer, false, flag<5>},
    {"cwr_flags", integer, false, flag<7>},
    {"ece_flags", integer, false, flag<6>},
    {"down_up_ratio", number, false,
     numbers<[](const Flow& f) { return ratio(f.backward.payload.count, f.forward.payload.count); }>},
    {"forward_bulk_bytes_mean", number, false, bulk_bytes<forward>},
    {"forward_bulk_packets_mean", number, false, bulk_packets<forward>},
    {"forward_bulk_bytes_per_second", number, false, bulk_rate<forward>},
    {"backward_bulk_bytes_mean", number, false, bulk_bytes<backward>},
    {"backward_bulk_packets_mean", number, false, bulk_packets<backward>},
    {"backward_bulk_bytes_per_second", number, false, bulk_rate<backward>},
    {"subflows", integer, false, integers<[](const Flow& f) { return whole(f.subflows); }>},
    {"subflow_forward_packets", number, false, subflow_packets<forward>},
    {"subflow_forward_payload_bytes", number, false, subflow_bytes<forward>},
    {"subflow_backward_packets", number, false, subflow_packets<backward>},
    {"subflow_backward_payload_bytes", number, false, subflow_bytes<backward>},
    {"forward_initial_window", integer, false, initial_window<forward>},
    {"backward_initial_window", integer, false, initial_window<backward>},
    {"forward_data_packets", integer, false, data_packets<forward>},
    {"backward_data_packets", integer, false, data_packets<backward>},
    {"forward_header_length_min", integer, false, least_header<forward>},
    {"backward_header_length_min", integer, false, least_header<backward>},
    {"active_mean", number, false, means<active, seconds>},
    {"active_std", number, false, deviations<active, seconds>},
    {"active_max", number, false, largest_seconds<active>},
    {"active_min", number, false, least_seconds<active>},
    {"idle_mean", number, false, means<idle, seconds>},
    {"idle_std", number, false, deviations<idle, seconds>},
    {"idle_max", number, false, largest_seconds<idle>},
    {"idle_min", number, false, least_seconds<idle>},
};

}  // namespace

std::span<const FlowColumn> flow_columns() { return columns; }

}  // namespace netsieve
