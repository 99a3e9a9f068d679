// Fuzzes the reading of captures, from bytes to the columns of packets and flows. Any input must end without a fault,
// and every byte must be handed out once. The first byte of an input is the size of the text that is read at a time.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "../capture.hpp"
#include "../flow_columns.hpp"
#include "../flow_table.hpp"
#include "../packet_columns.hpp"
#include "check.hpp"

namespace {

using namespace netsieve;
using fuzz::require;

constexpr std::size_t max_packet = 262144, max_block = 1 << 24;

template <typename Row, typename Column>
void fill_all(std::span<const Column> columns, const std::vector<Row>& rows) {
    for (const Column& column : columns) {
        ColumnBuffers buffers(column.kind, rows.size());
        column.fill(buffers, 0, rows);
        buffers.finish(rows.size());
    }
}

struct Reader {
    Capture capture{max_packet, max_block};
    FlowTable flows{{120'000'000'000, 1'800'000'000'000, 8}};
    std::size_t packets = 0;

    // The packets that a text begins with; returns where they end and whether what follows is damaged.
    std::pair<std::size_t, bool> read(const std::uint8_t* text, std::size_t size, bool final) {
        std::vector<Packet> rows;
        std::size_t at = 0;
        bool damaged = false;
        while (at < size) {
            CapturedPacket found;
            const CaptureStep step = capture.step(text, at, size, final, found);
            damaged = step == CaptureStep::damaged;
            if (damaged || step == CaptureStep::incomplete) break;
            require(found.next > at && found.next <= size);
            at = found.next;
            if (step != CaptureStep::packet) continue;
            require(found.data + found.captured <= found.next);
            // its own memory, so that reading beyond it is noticed
            const std::vector<std::uint8_t> bytes(text + found.data, text + found.data + found.captured);
            Packet packet;
            packet.time = found.time;
            packet.timed = found.timed;
            packet.length = found.length;
            packet.captured = found.captured;
            packet.link_type = found.link_type;
            decode_packet(bytes.data(), packet);
            require(packet.payload_length <= std::max<std::int64_t>(packet.length, packet.captured));
            flows.add(packet);
            require(flows.open_flows() <= 8);
            fill_all(packet_columns(), std::vector<Packet>{packet});
            ++packets;
        }
        return {at, damaged};
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::size_t part = std::size_t{data[0]} * 16 + 1;
    ++data;
    --size;
    Reader reader;
    const std::size_t header = reader.capture.begin(data, std::min<std::size_t>(size, pcap_file_header));
    if (header == Capture::not_a_capture) return 0;
    std::size_t begin = header, end = header;
    bool final = false, skipping = false;
    std::size_t look_from = 0;
    while (!final || begin < size) {
        if (!final) end = std::min(size, end + part);
        final = end == size;
        const std::vector<std::uint8_t> text(data + begin, data + end);
        if (skipping) {
            const Capture::Resumption found = reader.capture.resume(text.data(), look_from, text.size(), final);
            require(found.at <= text.size() && (found.at > 0 || !final || found.found || text.empty()));
            begin += found.at;
            look_from = 0;
            skipping = !found.found && !final;
            if (!found.found && final) break;
        } else {
            const auto [read, damaged] = reader.read(text.data(), text.size(), final);
            begin += read;
            skipping = damaged;
            look_from = 1;
            require(damaged || !final || begin == size);
        }
    }
    reader.flows.finish();
    require(reader.flows.open_flows() == 0);
    fill_all(flow_columns(), reader.flows.take_finished());
    return 0;
}
