#include "flow_table.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <utility>

namespace netsieve {

namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t subflow_gap = second;
constexpr std::int64_t activity_gap = 5 * second;
constexpr std::int64_t bulk_gap = second;
constexpr std::uint64_t bulk_packets = 4;
constexpr std::int64_t closing_time = 5 * second;  // how long an ended connection takes its last packets
constexpr std::size_t kept_fragments = 4096;
constexpr std::size_t first_slots = 1024;

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
    const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Seeded, so that nobody can choose addresses that collide. size: a multiple of 8.
std::uint64_t hash_bytes(const void* bytes, std::size_t size, std::uint64_t seed) {
    std::uint64_t hash = seed;
    for (std::size_t at = 0; at < size; at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, static_cast<const std::uint8_t*>(bytes) + at, 8);
        hash = mix(hash ^ word, 0x9E3779B97F4A7C15U ^ seed);
    }
    return mix(hash, 0xD6E8FEB86659FD93U);
}

std::uint64_t random_seed() {
    std::random_device device;
    return (std::uint64_t{device()} << 32 | device()) | 1U;
}

std::uint64_t distance(std::int64_t a, std::int64_t b) {
    return a > b ? static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b)
                 : static_cast<std::uint64_t>(b) - static_cast<std::uint64_t>(a);
}

bool further_than(std::int64_t a, std::int64_t b, std::int64_t limit) {
    return distance(a, b) > static_cast<std::uint64_t>(limit);
}

}  // namespace

void Moments::add(const Moments& other) {
    if (!other.count) return;
    least = count ? std::min(least, other.least) : other.least;
    largest = std::max(largest, other.largest);
    count += other.count;
    sum += other.sum;
    squares += other.squares;
}

double mean(const Moments& moments) {
    if (!moments.count) return std::numeric_limits<double>::quiet_NaN();
    return static_cast<double>(moments.sum) / static_cast<double>(moments.count);
}

double variance(const Moments& moments) {
    if (!moments.count) return std::numeric_limits<double>::quiet_NaN();
    if (moments.count == 1) return 0;
    using Wide = unsigned __int128;
    const Wide scaled = Wide{moments.count} * moments.squares - Wide{moments.sum} * moments.sum;
    return static_cast<double>(scaled) / (static_cast<double>(moments.count) * static_cast<double>(moments.count - 1));
}

void Bulks::add(std::int64_t time, std::uint64_t payload) {
    if (!open || time - last > bulk_gap) {
        open = true;
        begun = time;
        open_packets = 0;
        open_bytes = 0;
    }
    ++open_packets;
    open_bytes += payload;
    if (open_packets == bulk_packets) {
        ++count;
        packets += open_packets;
        bytes += open_bytes;
        duration += static_cast<std::uint64_t>(time - begun);
    } else if (open_packets > bulk_packets) {
        ++packets;
        bytes += payload;
        duration += static_cast<std::uint64_t>(time - last);
    }
    last = time;
}

FlowTable::FlowTable(const FlowLimits& limits)
    : limits_(limits), seed_(random_seed()), slots_(first_slots), fragments_(16, FragmentHash{seed_}) {}

std::size_t FlowTable::FragmentHash::operator()(const FragmentKey& key) const {
    return hash_bytes(&key, sizeof key, seed);
}

std::uint64_t FlowTable::hash_of(const FlowKey& key) const { return hash_bytes(&key, sizeof key, seed_); }

// Whether the packet's ports are known: by itself, or for a later fragment by its first.
bool FlowTable::packet_ports(const Packet& packet, Ports& ports) {
    const bool known = packet.source_port != absent;
    if (known)
        ports = {static_cast<std::uint16_t>(packet.source_port), static_cast<std::uint16_t>(packet.destination_port)};
    const bool later = packet.fragment_offset > 0;
    if (!later && (!packet.more_fragments || !known)) return known;
    FragmentKey key;
    std::memcpy(key.source.data(), packet.source, packet.address_size);
    std::memcpy(key.destination.data(), packet.destination, packet.address_size);
    key.identification = static_cast<std::uint64_t>(packet.identification);
    key.protocol = static_cast<std::uint64_t>(packet.protocol) << 8 | packet.address_size;
    const auto found = fragments_.find(key);
    if (later) {
        if (found == fragments_.end()) return false;
        ports = found->second;
        return true;
    }
    if (found != fragments_.end()) {
        found->second = ports;
        return true;
    }
    if (fragments_.size() == kept_fragments) {
        fragments_.erase(fragment_order_.front());
        fragment_order_.pop_front();
    }
    fragments_.emplace(key, ports);
    fragment_order_.push_back(key);
    return true;
}

FlowSkip FlowTable::add(const Packet& packet) {
    if (packet.ip_version == absent) return FlowSkip::no_ip;
    if (packet.protocol == absent) return FlowSkip::no_protocol;
    if (!packet.timed) return FlowSkip::no_time;
    expire(packet.time);

    Ports ports{0, 0};
    FlowKey key;
    key.has_ports = packet_ports(packet, ports);
    key.protocol = static_cast<std::uint8_t>(packet.protocol);
    key.address_size = packet.address_size;
    const int order = std::memcmp(packet.source, packet.destination, packet.address_size);
    const bool source_is_low = order < 0 || (order == 0 && ports.source <= ports.destination);
    std::memcpy(key.low_address.data(), source_is_low ? packet.source : packet.destination, packet.address_size);
    std::memcpy(key.high_address.data(), source_is_low ? packet.destination : packet.source, packet.address_size);
    key.low_port = source_is_low ? ports.source : ports.destination;
    key.high_port = source_is_low ? ports.destination : ports.source;

    const bool syn = packet.tcp_flags != absent && packet.tcp_flags & tcp_syn;
    const bool ack = packet.tcp_flags != absent && packet.tcp_flags & tcp_ack;
    // who answers a connection that began before the capture is not its source
    const bool to_itself = order == 0 && ports.source == ports.destination;
    bool forward_is_low = syn && ack && !to_itself ? !source_is_low : source_is_low;
    const std::uint64_t hash = hash_of(key);
    std::uint32_t index = find(key, hash);
    if (index != none) {
        const Flow& open = flow(index);
        const bool closing = open.ended != FlowEnd::none;
        if (further_than(packet.time, open.end, closing ? closing_time : limits_.idle_timeout)) {
            close(index, closing ? open.ended : FlowEnd::idle);
            index = none;
        } else if (closing && syn && !ack) {
            close(index, open.ended);  // a new connection with the ports of the old one
            index = none;
        } else if (packet.time > open.start && further_than(packet.time, open.start, limits_.active_timeout)) {
            forward_is_low = open.forward_is_low;
            close(index, closing ? open.ended : FlowEnd::active);
            index = none;
        }
    }
    if (index == none) {
        if (count_ == limits_.open_flows) {
            if (closing_.first != none) {
                close(closing_.first, flow(closing_.first).ended);
            } else {
                ++evicted_;
                close(open_.first, FlowEnd::evicted);
            }
        }
        index = insert(key, hash);
        Flow& begun = flow(index);
        begun.forward_is_low = forward_is_low;
        begun.start = begun.end = begun.active_since = packet.time;
        begun.vlan = packet.vlan;
        begun.icmp_type = packet.icmp_type;
        begun.icmp_code = packet.icmp_code;
        begun.has_macs = packet.source_mac && packet.destination_mac;
        if (begun.has_macs) {
            const bool forward = source_is_low == forward_is_low;
            std::memcpy(begun.source_mac.data(), forward ? packet.source_mac : packet.destination_mac, 6);
            std::memcpy(begun.destination_mac.data(), forward ? packet.destination_mac : packet.source_mac, 6);
        }
    } else {
        remove(list_of(flow(index)), index);
    }
    Flow& current = flow(index);
    update(current, packet, source_is_low == current.forward_is_low, std::max(packet.time, current.end));
    append(list_of(current), index);
    return FlowSkip::none;
}

// time: of the packet, or of the flow's last packet where that was later.
void FlowTable::update(Flow& flow, const Packet& packet, bool forward, std::int64_t time) {
    FlowDirection& own = forward ? flow.forward : flow.backward;
    FlowDirection& other = forward ? flow.backward : flow.forward;
    const bool first = flow.forward.payload.count + flow.backward.payload.count == 0;
    if (!first) {
        const std::int64_t gap = time - flow.end;
        flow.gaps.add(static_cast<std::uint64_t>(gap));
        if (gap > subflow_gap) ++flow.subflows;
        if (gap > activity_gap) {
            if (flow.end > flow.active_since) flow.active.add(static_cast<std::uint64_t>(flow.end - flow.active_since));
            flow.idle.add(static_cast<std::uint64_t>(gap));
            flow.active_since = time;
        }
    }
    if (own.payload.count) own.gaps.add(static_cast<std::uint64_t>(time - own.last));
    own.last = time;
    flow.end = time;

    const auto payload = static_cast<std::uint64_t>(std::max<std::int64_t>(packet.payload_length, 0));
    if (const std::int32_t header = packet.transport_header_length; header != absent) {
        own.least_header = own.least_header == absent ? header : std::min(own.least_header, header);
        own.header_bytes += static_cast<std::uint64_t>(header);
    }
    own.bytes += packet.length;
    own.payload.add(payload);
    if (payload) {
        ++own.data_packets;
        own.bulks.add(time, payload);
        other.bulks.open = false;
    }
    if (packet.tcp_flags == absent) return;
    const auto flags = static_cast<unsigned>(packet.tcp_flags);
    for (std::size_t bit = 0; bit < flow.flags.size(); ++bit) flow.flags[bit] += flags >> bit & 1U;
    if (flags & tcp_psh) ++own.psh;
    if (flags & tcp_urg) ++own.urg;
    if (own.initial_window == absent) own.initial_window = packet.tcp_window;
    if ((flags & (tcp_syn | tcp_ack)) == tcp_syn) own.syn = true;
    if ((flags & (tcp_syn | tcp_ack)) == (tcp_syn | tcp_ack)) own.syn_ack = true;
    if (flags & tcp_fin) own.fin = true;
    if (flags & tcp_rst && flow.reset == FirstReset::none)
        flow.reset = forward ? FirstReset::forward : FirstReset::backward;
    if (flow.ended == FlowEnd::none && flow.reset != FirstReset::none) flow.ended = FlowEnd::rst;
    if (flow.ended == FlowEnd::none && own.fin && other.fin) flow.ended = FlowEnd::fin;
}

// Ends the flows that were last seen too long before now, or as long after it: another capture then follows the first.
void FlowTable::expire(std::int64_t now) {
    while (open_.first != none && further_than(now, flow(open_.first).end, limits_.idle_timeout))
        close(open_.first, FlowEnd::idle);
    while (closing_.first != none && further_than(now, flow(closing_.first).end, closing_time))
        close(closing_.first, flow(closing_.first).ended);
}

void FlowTable::close(std::uint32_t index, FlowEnd reason) {
    Flow& closed = flow(index);
    remove(list_of(closed), index);
    erase(index);
    closed.ended = reason;
    closed.record = next_record();
    finished_.push_back(closed);
    free_.push_back(index);
}

void FlowTable::finish() {
    for (List* list : {&closing_, &open_})
        while (list->first != none) {
            const FlowEnd ended = flow(list->first).ended;
            close(list->first, ended == FlowEnd::none ? FlowEnd::file_end : ended);
        }
}

std::vector<Flow> FlowTable::take_finished() { return std::exchange(finished_, {}); }

void FlowTable::append(List& list, std::uint32_t index) {
    Flow& appended = flow(index);
    appended.before = list.last;
    appended.after = none;
    (list.last == none ? list.first : flow(list.last).after) = index;
    list.last = index;
}

void FlowTable::remove(List& list, std::uint32_t index) {
    const Flow& removed = flow(index);
    (removed.before == none ? list.first : flow(removed.before).after) = removed.after;
    (removed.after == none ? list.last : flow(removed.after).before) = removed.before;
}

std::uint32_t FlowTable::find(const FlowKey& key, std::uint64_t hash) const {
    const std::size_t mask = slots_.size() - 1;
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
        const Slot& slot = slots_[at];
        if (slot.index == none) return none;
        if (slot.tag == tag && chunks_[slot.index / chunk][slot.index % chunk].key == key) return slot.index;
    }
}

std::uint32_t FlowTable::insert(const FlowKey& key, std::uint64_t hash) {
    if (2 * (count_ + 1) > slots_.size()) grow();
    std::uint32_t index = used_;
    if (free_.empty()) {
        if (used_ % chunk == 0) chunks_.push_back(std::make_unique<Flow[]>(chunk));
        ++used_;
    } else {
        index = free_.back();
        free_.pop_back();
    }
    flow(index) = Flow{};
    flow(index).key = key;
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = hash & mask;
    while (slots_[at].index != none) at = (at + 1) & mask;
    slots_[at] = {static_cast<std::uint32_t>(hash >> 32), index};
    ++count_;
    return index;
}

void FlowTable::grow() {
    std::vector<Slot> slots(2 * slots_.size());
    const std::size_t mask = slots.size() - 1;
    for (const Slot& slot : slots_) {
        if (slot.index == none) continue;
        std::size_t at = hash_of(flow(slot.index).key) & mask;
        while (slots[at].index != none) at = (at + 1) & mask;
        slots[at] = slot;
    }
    slots_ = std::move(slots);
}

// Moves what follows back into the gap, so that no probing ends there.
void FlowTable::erase(std::uint32_t index) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t gap = hash_of(flow(index).key) & mask;
    while (slots_[gap].index != index) gap = (gap + 1) & mask;
    for (std::size_t at = (gap + 1) & mask; slots_[at].index != none; at = (at + 1) & mask) {
        const std::size_t home = hash_of(flow(slots_[at].index).key) & mask;
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            slots_[gap] = slots_[at];
            gap = at;
        }
    }
    slots_[gap] = {};
    --count_;
}

}  // namespace netsieve
