// Where the packets of a capture file (pcap, pcapng) begin and end, and when they were seen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "byte_order.hpp"

namespace netsieve {

// Formats: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html and draft-ietf-opsawg-pcapng-02.html.
constexpr std::size_t pcap_file_header = 24;
constexpr std::size_t pcap_packet_header = 16;
constexpr std::size_t pcapng_smallest_block = 12;
constexpr std::uint32_t pcapng_section_header = 0x0A0D0D0A;

// Why a packet or block was rejected. The numbers are part of the Python interface (netsieve.engine.sources.captures).
enum class CaptureReason : std::int64_t {
    none = 0,
    packet_too_long = 1,    // the captured length is over the limit
    truncated = 2,          // the file ends before the packet or block does
    damaged_block = 3,      // a block's length is impossible, or differs at its end
    no_interface = 4,       // the packet's interface was not described
    longer_than_block = 5,  // the captured length is more than the block holds
    time_out_of_range = 6,  // beyond the years 1678 to 2262
};

enum class CaptureStep : std::uint8_t {
    packet,
    rejected,    // a packet that cannot be read, in a block that is sound
    other,       // a block that holds no packet: of another kind, or of the file's own description
    header,      // a file or section header, or an interface description
    damaged,     // what follows cannot be told: look for the next packet
    incomplete,  // more bytes are needed
};

// The packet that a step came to. Its bytes are [data, data + captured); what follows it begins at next.
struct CapturedPacket {
    std::size_t start = 0;
    std::size_t next = 0;
    std::size_t data = 0;
    std::uint32_t captured = 0;
    std::uint32_t length = 0;  // on the wire
    std::int64_t time = 0;     // nanoseconds since 1970
    bool timed = false;
    std::uint32_t interface = 0;
    std::uint16_t link_type = 0;
    CaptureReason reason = CaptureReason::none;
};

struct CaptureInterface {
    std::uint16_t link_type;
    std::uint8_t resolution;  // of its clock: powers of ten, of two where the highest bit is set
    std::uint32_t snap_length;
    std::int64_t offset;  // seconds
};

// A text is a part of the file that begins with a packet or block. final: the file ends where the text does.
class Capture {
  public:
    // max_packet: longest captured length; max_block: longest block of a pcapng file.
    Capture(std::size_t max_packet, std::size_t max_block) : max_packet_(max_packet), max_block_(max_block) {}

    // The bytes that the file's header takes; not_a_capture where head does not begin one. A pcapng file has no
    // header beyond its first block.
    static constexpr std::size_t not_a_capture = static_cast<std::size_t>(-1);
    std::size_t begin(const std::uint8_t* head, std::size_t size);

    // The packet or block at a place before size.
    CaptureStep step(const std::uint8_t* text, std::size_t at, std::size_t size, bool final, CapturedPacket& packet);

    // Where reading can go on behind a damaged place. found: at the place; otherwise the place from where to look once
    // there is more text (size, where final).
    struct Resumption {
        std::size_t at;
        bool found;
    };
    Resumption resume(const std::uint8_t* text, std::size_t from, std::size_t size, bool final) const;

  private:
    CaptureStep pcap_step(const std::uint8_t* text, std::size_t at, std::size_t size, bool final,
                          CapturedPacket& packet);
    CaptureStep pcapng_step(const std::uint8_t* text, std::size_t at, std::size_t size, bool final,
                            CapturedPacket& packet);
    CaptureStep pcapng_packet(const std::uint8_t* body, std::size_t size, std::uint32_t kind,
                              CapturedPacket& packet) const;
    void describe_interface(const std::uint8_t* body, std::size_t size);
    bool packet_time(const CaptureInterface& interface, std::uint64_t ticks, std::int64_t& time) const;
    void begin_pcap(const std::uint8_t* head, bool little);
    bool plausible_header(const std::uint8_t* at) const;
    Resumption resume_pcap(const std::uint8_t* text, std::size_t from, std::size_t size, bool final) const;
    Resumption resume_pcapng(const std::uint8_t* text, std::size_t from, std::size_t size, bool final) const;

    std::size_t max_packet_;
    std::size_t max_block_;
    bool blocks_ = false;  // pcapng
    bool little_ = true;
    bool nanoseconds_ = false;
    bool any_time_ = false;           // whether last_seconds_ is known
    std::uint32_t last_seconds_ = 0;  // of the packet before, in a pcap file
    std::vector<CaptureInterface> interfaces_;
};

}  // namespace netsieve
