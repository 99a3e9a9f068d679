#include "capture.hpp"

#include <limits>

namespace netsieve {

namespace {

constexpr std::uint32_t interface_description = 1, obsolete_packet = 2, simple_packet = 3, enhanced_packet = 6;
constexpr std::uint32_t last_known_block = 6;
constexpr std::size_t most_interfaces = 65536;
constexpr std::size_t largest_resumed_block_overhead = 4096;
constexpr std::uint32_t largest_time_step = 86400;  // seconds between packets around a damaged place
constexpr std::uint32_t microseconds_clock = 6;
constexpr std::int64_t second = 1'000'000'000;

bool section_order(const std::uint8_t* magic, bool& little) {
    if (network_32(magic) == 0x1A2B3C4D) {
        little = false;
        return true;
    }
    if (network_32(magic) == 0x4D3C2B1A) {
        little = true;
        return true;
    }
    return false;
}

bool is_pcap(const std::uint8_t* magic, bool& little) {
    for (const bool order : {false, true}) {
        const std::uint32_t number = file_32(magic, order);
        if (number != 0xA1B2C3D4 && number != 0xA1B23C4D) continue;
        little = order;
        return true;
    }
    return false;
}

// Whether a file's header stands in the place of a packet's 16 bytes, where captures were joined end to end. As a
// packet it would be one without a byte, of the year 2055 (or of other years, by the byte order).
bool is_joined_header(const std::uint8_t* at) {
    bool little = false;
    return is_pcap(at, little) && file_16(at + 4, little) == 2 && file_16(at + 6, little) == 4 &&
           !file_32(at + 8, true);
}

}  // namespace

void Capture::begin_pcap(const std::uint8_t* head, bool little) {
    little_ = little;
    nanoseconds_ = file_32(head, little) == 0xA1B23C4D;
    any_time_ = false;
    // the upper half says whether frames end with a checksum
    const auto link_type = static_cast<std::uint16_t>(file_32(head + 20, little) & 0xFFFF);
    interfaces_.assign(1, {link_type, 0, file_32(head + 16, little), 0});
}

std::size_t Capture::begin(const std::uint8_t* head, std::size_t size) {
    bool little = false;
    if (size >= pcap_file_header && is_pcap(head, little)) {
        begin_pcap(head, little);
        return pcap_file_header;
    }
    blocks_ =
        size >= pcapng_smallest_block && network_32(head) == pcapng_section_header && section_order(head + 8, little_);
    return blocks_ ? 0 : not_a_capture;
}

CaptureStep Capture::step(const std::uint8_t* text, std::size_t at, std::size_t size, bool final,
                          CapturedPacket& packet) {
    packet.start = at;
    packet.reason = CaptureReason::none;
    return blocks_ ? pcapng_step(text, at, size, final, packet) : pcap_step(text, at, size, final, packet);
}

CaptureStep Capture::pcap_step(const std::uint8_t* text, std::size_t at, std::size_t size, bool final,
                               CapturedPacket& packet) {
    const std::size_t rest = size - at;
    if (rest < pcap_packet_header) {
        packet.reason = CaptureReason::truncated;
        return final ? CaptureStep::damaged : CaptureStep::incomplete;
    }
    const std::uint8_t* const header = text + at;
    if (is_joined_header(header)) {
        packet.reason = CaptureReason::truncated;
        if (rest < pcap_file_header) return final ? CaptureStep::damaged : CaptureStep::incomplete;
        bool little = false;
        is_pcap(header, little);
        begin_pcap(header, little);
        packet.reason = CaptureReason::none;
        packet.next = at + pcap_file_header;
        return CaptureStep::header;
    }
    packet.captured = file_32(header + 8, little_);
    packet.length = file_32(header + 12, little_);
    if (packet.captured > max_packet_) {
        packet.reason = CaptureReason::packet_too_long;
        return CaptureStep::damaged;
    }
    if (packet.captured > rest - pcap_packet_header) {
        packet.reason = CaptureReason::truncated;
        return final ? CaptureStep::damaged : CaptureStep::incomplete;
    }
    last_seconds_ = file_32(header, little_);
    any_time_ = true;
    packet.time =
        std::int64_t{last_seconds_} * second + std::int64_t{file_32(header + 4, little_)} * (nanoseconds_ ? 1 : 1000);
    packet.timed = true;
    packet.interface = 0;
    packet.link_type = interfaces_[0].link_type;
    packet.data = at + pcap_packet_header;
    packet.next = packet.data + packet.captured;
    return CaptureStep::packet;
}

CaptureStep Capture::pcapng_step(const std::uint8_t* text, std::size_t at, std::size_t size, bool final,
                                 CapturedPacket& packet) {
    const std::size_t rest = size - at;
    const std::uint8_t* const block = text + at;
    if (rest < pcapng_smallest_block) {
        packet.reason = CaptureReason::truncated;
        return final ? CaptureStep::damaged : CaptureStep::incomplete;
    }
    bool little = little_;
    const bool section = network_32(block) == pcapng_section_header;
    if (section && !section_order(block + 8, little)) {
        packet.reason = CaptureReason::damaged_block;
        return CaptureStep::damaged;
    }
    const std::size_t total = file_32(block + 4, little);
    if (total < pcapng_smallest_block + (section ? 16 : 0) || total % 4 || total > max_block_) {
        packet.reason = CaptureReason::damaged_block;
        return CaptureStep::damaged;
    }
    if (total > rest) {
        packet.reason = CaptureReason::truncated;
        return final ? CaptureStep::damaged : CaptureStep::incomplete;
    }
    if (file_32(block + total - 4, little) != total) {
        packet.reason = CaptureReason::damaged_block;
        return CaptureStep::damaged;
    }
    packet.next = at + total;
    if (section) {
        little_ = little;
        interfaces_.clear();
        return CaptureStep::header;
    }
    const std::uint32_t kind = file_32(block, little_);
    const std::uint8_t* const body = block + 8;
    const std::size_t body_size = total - pcapng_smallest_block;
    if (kind == interface_description) {
        describe_interface(body, body_size);
        return CaptureStep::header;
    }
    if (kind != enhanced_packet && kind != simple_packet && kind != obsolete_packet) return CaptureStep::other;
    const CaptureStep step = pcapng_packet(body, body_size, kind, packet);
    packet.data += at + 8;
    return step;
}

// Leaves data counted from the block's body.
CaptureStep Capture::pcapng_packet(const std::uint8_t* body, std::size_t size, std::uint32_t kind,
                                   CapturedPacket& packet) const {
    const auto reject = [&packet](CaptureReason reason) {
        packet.data = 0;
        packet.reason = reason;
        return CaptureStep::rejected;
    };
    const std::size_t header = kind == simple_packet ? 4 : 20;
    if (size < header) return reject(CaptureReason::longer_than_block);
    packet.interface = kind == simple_packet     ? 0
                       : kind == enhanced_packet ? file_32(body, little_)
                                                 : file_16(body, little_);
    if (packet.interface >= interfaces_.size()) return reject(CaptureReason::no_interface);
    const CaptureInterface& interface = interfaces_[packet.interface];
    packet.link_type = interface.link_type;
    packet.timed = kind != simple_packet;
    if (kind == simple_packet) {
        packet.length = file_32(body, little_);
        packet.captured = packet.length;
        if (interface.snap_length && packet.captured > interface.snap_length) packet.captured = interface.snap_length;
        // its captured length is not written down: what the interface cut, or what the block holds
        if (packet.captured > size - header) packet.captured = static_cast<std::uint32_t>(size - header);
    } else {
        const std::uint64_t ticks = (std::uint64_t{file_32(body + 4, little_)} << 32) | file_32(body + 8, little_);
        packet.captured = file_32(body + 12, little_);
        packet.length = file_32(body + 16, little_);
        if (packet.captured > size - header) return reject(CaptureReason::longer_than_block);
        if (!packet_time(interface, ticks, packet.time)) return reject(CaptureReason::time_out_of_range);
    }
    if (packet.captured > max_packet_) return reject(CaptureReason::packet_too_long);
    packet.data = header;
    return CaptureStep::packet;
}

void Capture::describe_interface(const std::uint8_t* body, std::size_t size) {
    if (size < 8 || interfaces_.size() == most_interfaces) return;  // its packets will be rejected
    CaptureInterface interface{file_16(body, little_), microseconds_clock, file_32(body + 4, little_), 0};
    for (std::size_t at = 8; at + 4 <= size;) {
        const std::uint16_t option = file_16(body + at, little_);
        const std::size_t length = file_16(body + at + 2, little_);
        const std::uint8_t* const value = body + at + 4;
        if (option == 0 || length > size - at - 4) break;
        if (option == 9 && length >= 1) interface.resolution = value[0];
        if (option == 14 && length >= 8) {
            const std::uint64_t low = file_32(value + (little_ ? 0 : 4), little_);
            const std::uint64_t high = file_32(value + (little_ ? 4 : 0), little_);
            interface.offset = static_cast<std::int64_t>((high << 32) | low);
        }
        at += 4 + (length + 3) / 4 * 4;
    }
    interfaces_.push_back(interface);
}

bool Capture::packet_time(const CaptureInterface& interface, std::uint64_t ticks, std::int64_t& time) const {
    using Wide = unsigned __int128;
    const unsigned power = interface.resolution & 0x7FU;
    Wide nanoseconds = 0;
    if (interface.resolution & 0x80U) {
        nanoseconds = Wide{ticks} * static_cast<Wide>(second) >> power;
    } else if (power == microseconds_clock) {
        nanoseconds = Wide{ticks} * 1000U;
    } else if (power <= 9) {
        nanoseconds = ticks;
        for (unsigned i = power; i < 9; ++i) nanoseconds *= 10U;
    } else {
        std::uint64_t left = ticks;
        for (unsigned i = 9; i < power && left; ++i) left /= 10U;
        nanoseconds = left;
    }
    const auto whole = static_cast<__int128>(nanoseconds) + static_cast<__int128>(interface.offset) * second;
    if (whole > std::numeric_limits<std::int64_t>::max() || whole < std::numeric_limits<std::int64_t>::min())
        return false;
    time = static_cast<std::int64_t>(whole);
    return true;
}

Capture::Resumption Capture::resume(const std::uint8_t* text, std::size_t from, std::size_t size, bool final) const {
    return blocks_ ? resume_pcapng(text, from, size, final) : resume_pcap(text, from, size, final);
}

// Whether 16 bytes look like a packet's header: lengths and time fit what is known of the file.
bool Capture::plausible_header(const std::uint8_t* at) const {
    const std::uint32_t seconds = file_32(at, little_);
    const std::uint32_t fraction = file_32(at + 4, little_);
    const std::uint32_t captured = file_32(at + 8, little_);
    const std::uint32_t length = file_32(at + 12, little_);
    const std::uint32_t distance = seconds > last_seconds_ ? seconds - last_seconds_ : last_seconds_ - seconds;
    return captured > 0 && captured <= max_packet_ && captured <= length && length <= max_packet_ &&
           fraction < (nanoseconds_ ? 1'000'000'000U : 1'000'000U) && (!any_time_ || distance <= largest_time_step);
}

// The first place with a file's header, or with a plausible one whose packet ends where another header begins, or with
// the file.
Capture::Resumption Capture::resume_pcap(const std::uint8_t* text, std::size_t from, std::size_t size,
                                         bool final) const {
    for (std::size_t at = from; at < size; ++at) {
        if (size - at < pcap_packet_header) return {final ? size : at, false};
        if (is_joined_header(text + at)) return {at, true};
        if (!plausible_header(text + at)) continue;
        const std::size_t next = at + pcap_packet_header + file_32(text + at + 8, little_);
        if (next <= size && size - next >= pcap_packet_header) {
            if (plausible_header(text + next) || is_joined_header(text + next)) return {at, true};
        } else if (!final) {
            return {at, false};
        } else if (next == size) {
            return {at, true};
        }
    }
    return {size, false};
}

// The first place with a block of a known kind whose length stands at both its ends.
Capture::Resumption Capture::resume_pcapng(const std::uint8_t* text, std::size_t from, std::size_t size,
                                           bool final) const {
    const std::size_t longest = max_packet_ + largest_resumed_block_overhead;
    for (std::size_t at = from; at < size; ++at) {
        const std::size_t rest = size - at;
        if (rest < pcapng_smallest_block) return {final ? size : at, false};
        const std::uint8_t* const block = text + at;
        bool little = little_;
        const std::uint32_t kind = network_32(block);
        if (kind == pcapng_section_header) {
            if (!section_order(block + 8, little)) continue;
        } else {
            const std::uint32_t known = file_32(block, little_);
            if (known == 0 || known > last_known_block) continue;
        }
        const std::size_t total = file_32(block + 4, little);
        if (total < pcapng_smallest_block || total % 4 || total > longest) continue;
        if (total > rest) {
            if (!final) return {at, false};
        } else if (file_32(block + total - 4, little) == total) {
            return {at, true};
        }
    }
    return {size, false};
}

}  // namespace netsieve
