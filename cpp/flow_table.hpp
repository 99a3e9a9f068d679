// Packets assembled to bidirectional flows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "packet.hpp"

namespace netsieve {

// Exact sums of whole numbers: their mean and deviation do not depend on the order of arithmetic.
struct Moments {
    std::uint64_t count = 0;
    std::uint64_t sum = 0;
    unsigned __int128 squares = 0;
    std::uint64_t least = 0;
    std::uint64_t largest = 0;

    void add(std::uint64_t value) {
        least = count ? (value < least ? value : least) : value;
        largest = value > largest ? value : largest;
        ++count;
        sum += value;
        squares += static_cast<unsigned __int128>(value) * value;
    }
    void add(const Moments& other);
};

double mean(const Moments& moments);      // NaN without a value
double variance(const Moments& moments);  // of the sample; 0 of one value, NaN without

// A bulk: at least four packets with payload in one direction, none in the other between them, gaps of a second at
// most.
struct Bulks {
    std::uint64_t count = 0;
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    std::uint64_t duration = 0;  // nanoseconds

    bool open = false;
    std::int64_t begun = 0;
    std::int64_t last = 0;
    std::uint64_t open_packets = 0;
    std::uint64_t open_bytes = 0;

    void add(std::int64_t time, std::uint64_t payload);
};

struct FlowDirection {
    std::uint64_t bytes = 0;  // on the wire, link headers among them
    Moments payload;          // bytes; its count is that of the packets
    Moments gaps;             // nanoseconds between packets of this direction
    std::int64_t last = 0;
    std::uint64_t header_bytes = 0;  // of transport headers
    std::int32_t least_header = absent;
    std::uint64_t data_packets = 0;
    std::uint64_t psh = 0, urg = 0;
    std::int32_t initial_window = absent;
    Bulks bulks;
    bool syn = false, syn_ack = false, fin = false;
};

enum class FlowEnd : std::uint8_t { none, fin, rst, idle, active, evicted, file_end };
enum class FirstReset : std::uint8_t { none, forward, backward };

// The two ends of a flow in an order that does not depend on its direction, without padding.
struct FlowKey {
    std::array<std::uint8_t, 16> low_address{}, high_address{};
    std::uint16_t low_port = 0, high_port = 0;
    std::uint8_t protocol = 0;
    std::uint8_t address_size = 0;
    std::uint8_t has_ports = 0;
    std::uint8_t unused = 0;

    bool operator==(const FlowKey& other) const { return std::memcmp(this, &other, sizeof(FlowKey)) == 0; }
};
static_assert(sizeof(FlowKey) == 40);

struct Flow {
    FlowKey key;
    bool forward_is_low = true;  // whether the source is the key's lower end
    FlowEnd ended = FlowEnd::none;
    FirstReset reset = FirstReset::none;
    bool has_macs = false;
    std::array<std::uint8_t, 6> source_mac{}, destination_mac{};
    std::int32_t vlan = absent;
    std::int32_t icmp_type = absent, icmp_code = absent;
    std::int64_t start = 0, end = 0;  // nanoseconds since 1970
    FlowDirection forward, backward;
    Moments gaps;
    std::array<std::uint64_t, 8> flags{};  // packets with each TCP flag, from FIN (bit 0) to CWR (bit 7)
    std::int64_t active_since = 0;
    Moments active, idle;  // nanoseconds
    std::uint64_t subflows = 1;

    std::int64_t record = 0;
    std::uint32_t before = 0, after = 0;  // in the list of flows by the time they were last seen
};

struct FlowLimits {
    std::int64_t idle_timeout;    // nanoseconds
    std::int64_t active_timeout;  // nanoseconds
    std::size_t open_flows;
};

// Why a packet belongs to no flow.
enum class FlowSkip : std::uint8_t { none, no_ip, no_time, no_protocol };

class FlowTable {
  public:
    explicit FlowTable(const FlowLimits& limits);
    FlowTable(const FlowTable&) = delete;
    FlowTable& operator=(const FlowTable&) = delete;

    FlowSkip add(const Packet& packet);
    void finish();  // ends every flow
    // The flows that ended since the last call, in the order they ended.
    std::vector<Flow> take_finished();
    std::int64_t next_record() { return records_++; }
    std::size_t open_flows() const { return count_; }
    std::uint64_t evicted() const { return evicted_; }

  private:
    static constexpr std::uint32_t none = 0xFFFFFFFF;
    static constexpr std::size_t chunk = 256;
    struct List {
        std::uint32_t first = none, last = none;
    };
    struct Ports {
        std::uint16_t source, destination;
    };
    struct FragmentKey {
        std::array<std::uint8_t, 16> source{}, destination{};
        std::uint64_t identification = 0;
        std::uint64_t protocol = 0;
        bool operator==(const FragmentKey& other) const = default;
    };
    struct FragmentHash {
        std::uint64_t seed;
        std::size_t operator()(const FragmentKey& key) const;
    };

    Flow& flow(std::uint32_t index) { return chunks_[index / chunk][index % chunk]; }
    List& list_of(const Flow& flow) { return flow.ended == FlowEnd::none ? open_ : closing_; }
    bool packet_ports(const Packet& packet, Ports& ports);
    std::uint32_t find(const FlowKey& key, std::uint64_t hash) const;
    std::uint32_t insert(const FlowKey& key, std::uint64_t hash);
    void erase(std::uint32_t index);
    void grow();
    void append(List& list, std::uint32_t index);
    void remove(List& list, std::uint32_t index);
    void expire(std::int64_t now);
    void close(std::uint32_t index, FlowEnd reason);
    static void update(Flow& flow, const Packet& packet, bool forward, std::int64_t time);
    std::uint64_t hash_of(const FlowKey& key) const;

    FlowLimits limits_;
    std::uint64_t seed_;
    std::vector<std::unique_ptr<Flow[]>> chunks_;
    std::vector<std::uint32_t> free_;
    std::uint32_t used_ = 0;
    struct Slot {
        std::uint32_t tag = 0;
        std::uint32_t index = none;
    };
    std::vector<Slot> slots_;  // open addressing, linear probing, at most half full
    std::size_t count_ = 0;
    List open_, closing_;
    std::unordered_map<FragmentKey, Ports, FragmentHash> fragments_;
    std::deque<FragmentKey> fragment_order_;
    std::vector<Flow> finished_;
    std::int64_t records_ = 0;
    std::uint64_t evicted_ = 0;
};

}  // namespace netsieve
