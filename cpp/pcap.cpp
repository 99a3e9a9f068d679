#include "pcap.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "capture.hpp"
#include "column_buffers.hpp"
#include "flow_columns.hpp"
#include "flow_table.hpp"
#include "packet.hpp"
#include "packet_columns.hpp"

namespace nb = nanobind;

namespace netsieve {

namespace {

using Text = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Rows that are written to all columns before the next: they stay in the nearest cache.
constexpr std::size_t packet_batch = 128;
constexpr std::size_t flow_batch = 32;

// record, start, end, reason
constexpr std::size_t rejected_width = 4;
using Rejected = std::array<std::int64_t, rejected_width>;

std::int64_t signed_size(std::size_t value) { return static_cast<std::int64_t>(value); }

struct CaptureScan {
    std::size_t end = 0;
    std::size_t packets = 0;
    std::size_t other = 0;
    std::int64_t damage = 0;
};

CaptureScan scan(Capture& capture, const std::uint8_t* text, std::size_t size, bool final) {
    CaptureScan found;
    CapturedPacket packet;
    while (found.end < size) {
        const CaptureStep step = capture.step(text, found.end, size, final, packet);
        if (step == CaptureStep::damaged) found.damage = static_cast<std::int64_t>(packet.reason);
        if (step == CaptureStep::damaged || step == CaptureStep::incomplete) break;
        found.packets += step == CaptureStep::packet || step == CaptureStep::rejected;
        found.other += step == CaptureStep::other;
        found.end = packet.next;
    }
    return found;
}

// Calls take(packet) for every packet of a text that scan found sound, and reject(packet) for the others.
template <typename Take, typename Reject>
void for_packets(Capture& capture, const std::uint8_t* text, std::size_t size, Take take, Reject reject) {
    CapturedPacket found;
    for (std::size_t at = 0; at < size; at = found.next) {
        const CaptureStep step = capture.step(text, at, size, true, found);
        if (step == CaptureStep::damaged || step == CaptureStep::incomplete)
            throw std::logic_error("the text does not end with a packet");
        if (step == CaptureStep::rejected) reject(found);
        if (step != CaptureStep::packet) continue;
        Packet packet;
        packet.time = found.time;
        packet.timed = found.timed;
        packet.interface = found.interface;
        packet.length = found.length;
        packet.captured = found.captured;
        packet.link_type = found.link_type;
        decode_packet(text + found.data, packet);
        take(packet);
    }
}

// The columns of a frame, filled from rows as they come.
template <typename Row, typename Column>
class Table {
  public:
    Table(std::span<const Column> columns, const std::vector<std::size_t>& wanted, std::size_t capacity)
        : capacity_(capacity) {
        for (const std::size_t number : wanted) {
            if (number >= columns.size()) throw std::invalid_argument("no such column");
            columns_.push_back(&columns[number]);
            buffers_.push_back(std::make_shared<ColumnBuffers>(columns[number].kind, capacity));
        }
    }
    void add(std::span<const Row> rows) {
        if (rows.size() > capacity_ - rows_) throw std::logic_error("there are more rows than were counted");
        for (std::size_t i = 0; i < columns_.size(); ++i) columns_[i]->fill(*buffers_[i], rows_, rows);
        rows_ += rows.size();
    }
    std::vector<std::shared_ptr<ColumnBuffers>> finish() {
        for (const auto& buffers : buffers_) buffers->finish(rows_);
        return buffers_;
    }
    std::size_t rows() const { return rows_; }

  private:
    std::vector<const Column*> columns_;
    std::vector<std::shared_ptr<ColumnBuffers>> buffers_;
    std::size_t capacity_;
    std::size_t rows_ = 0;
};

struct ParsedPackets {
    std::size_t rows = 0;
    std::vector<std::shared_ptr<ColumnBuffers>> columns;
    std::vector<Rejected> rejected;
    std::vector<double> end_time;
};

ParsedPackets parse_packets(Capture capture, const std::uint8_t* text, std::size_t size, std::size_t records,
                            const std::vector<std::size_t>& wanted) {
    ParsedPackets parsed;
    parsed.end_time.reserve(records);
    Table<Packet, PacketColumn> table(packet_columns(), wanted, records);
    std::vector<Packet> packets;
    packets.reserve(packet_batch);
    const auto flush = [&] {
        table.add(packets);
        packets.clear();
    };
    std::int64_t record = 0;
    for_packets(
        capture, text, size,
        [&](const Packet& packet) {
            parsed.end_time.push_back(packet.timed ? static_cast<double>(packet.time) * 1e-9
                                                   : std::numeric_limits<double>::quiet_NaN());
            packets.push_back(packet);
            if (packets.size() == packet_batch) flush();
            ++record;
        },
        [&](const CapturedPacket& bad) {
            parsed.rejected.push_back(
                {record++, signed_size(bad.start), signed_size(bad.next), static_cast<std::int64_t>(bad.reason)});
        });
    flush();
    parsed.columns = table.finish();
    parsed.rows = table.rows();
    return parsed;
}

// Some flows that ended, in the order they did.
struct FinishedFlows {
    std::vector<Flow> flows;
};

struct AssembledFlows {
    std::vector<std::shared_ptr<FinishedFlows>> finished;
    std::vector<Rejected> rejected;
    std::array<std::size_t, 4> skipped{};
};

class FlowAssembler {
  public:
    explicit FlowAssembler(const FlowLimits& limits) : table_(limits) {}

    AssembledFlows add(Capture capture, const std::uint8_t* text, std::size_t size) {
        AssembledFlows added;
        for_packets(
            capture, text, size,
            [&](const Packet& packet) { ++added.skipped[static_cast<std::size_t>(table_.add(packet))]; },
            [&](const CapturedPacket& bad) {
                added.rejected.push_back({table_.next_record(), signed_size(bad.start), signed_size(bad.next),
                                          static_cast<std::int64_t>(bad.reason)});
            });
        take(added);
        return added;
    }
    AssembledFlows finish() {
        AssembledFlows added;
        table_.finish();
        take(added);
        return added;
    }
    FlowTable& table() { return table_; }

  private:
    static constexpr std::size_t most_flows = 16384;  // handed out at a time

    void take(AssembledFlows& added) {
        std::vector<Flow> flows = table_.take_finished();
        if (flows.size() <= most_flows) {
            if (!flows.empty()) added.finished.push_back(std::make_shared<FinishedFlows>(std::move(flows)));
            return;
        }
        for (std::size_t at = 0; at < flows.size(); at += most_flows) {
            const std::size_t end = std::min(at + most_flows, flows.size());
            const auto part = std::span(flows).subspan(at, end - at);
            added.finished.push_back(std::make_shared<FinishedFlows>(std::vector<Flow>(part.begin(), part.end())));
        }
    }

    FlowTable table_;
};

struct ParsedFlows {
    std::vector<std::shared_ptr<ColumnBuffers>> columns;
    std::vector<std::int64_t> record;
    std::vector<double> end_time;
};

ParsedFlows parse_flows(const FinishedFlows& finished, const std::vector<std::size_t>& wanted) {
    ParsedFlows parsed;
    Table<Flow, FlowColumn> table(flow_columns(), wanted, finished.flows.size());
    for (std::size_t at = 0; at < finished.flows.size(); at += flow_batch)
        table.add(std::span(finished.flows).subspan(at, std::min(flow_batch, finished.flows.size() - at)));
    parsed.columns = table.finish();
    for (const Flow& flow : finished.flows) {
        parsed.record.push_back(flow.record);
        parsed.end_time.push_back(static_cast<double>(flow.end) * 1e-9);
    }
    return parsed;
}

template <typename Column>
std::vector<std::tuple<std::string, int, bool>> described(std::span<const Column> columns) {
    std::vector<std::tuple<std::string, int, bool>> all;
    for (const Column& column : columns)
        all.emplace_back(std::string(column.name), static_cast<int>(column.kind), column.time);
    return all;
}

template <typename Owner>
auto rejected_array(Owner& owner) {
    return nb::ndarray<nb::numpy, const std::int64_t, nb::ndim<2>>(owner.rejected.data(),
                                                                   {owner.rejected.size(), rejected_width});
}

template <typename Value>
auto array_of(const std::vector<Value>& values) {
    return nb::ndarray<nb::numpy, const Value, nb::ndim<1>>(values.data(), {values.size()});
}

constexpr const char* rejected_doc =
    "int64 [rejected, 4]: record, start and end in the text, reason: 1 captured length over the limit, 2 truncated,\n"
    "3 damaged block, 4 interface not described, 5 longer than its block, 6 time out of range.";

void register_capture(nb::module_& module) {
    nb::class_<CaptureScan>(module, "CaptureScan", "What Capture.scan found.")
        .def_ro("end", &CaptureScan::end, "Where the first packet or block begins that is not whole, or damaged.")
        .def_ro("packets", &CaptureScan::packets, "Packets before it, the rejected ones among them.")
        .def_ro("other", &CaptureScan::other, "Blocks before it that hold no packet and describe no interface.")
        .def_ro("damage", &CaptureScan::damage, "Why nothing can be read there: a reason, or 0 where it can be.");
    nb::class_<Capture>(module, "Capture", "What is known of a capture file at a place between two packets.")
        .def(nb::init<std::size_t, std::size_t>(), nb::arg("max_packet"), nb::arg("max_block"),
             "max_packet: longest captured length; max_block: longest block of a pcapng file; both in bytes.")
        .def(
            "copy", [](const Capture& capture) { return capture; }, "Return what is known now.")
        .def(
            "begin",
            [](Capture& capture, Text head) -> nb::object {
                const std::size_t size = capture.begin(head.data(), head.size());
                return size == Capture::not_a_capture ? nb::none() : nb::cast(size);
            },
            nb::arg("head"),
            nb::sig("def begin(self, head: Annotated[NDArray[numpy.uint8], dict(shape=(None,), "
                    "order='C', device='cpu', writable=False)]) -> int | None"),
            "Return the size of the header of the file that begins with head, uint8 [n]; None where it is no capture.")
        .def(
            "scan",
            [](Capture& capture, Text text, bool final) {
                nb::gil_scoped_release unlocked;
                return scan(capture, text.data(), text.size(), final);
            },
            nb::arg("text"), nb::arg("final"),
            "Move on over the whole packets that a text (uint8 [n]) begins with. final: the file ends where it does.")
        .def(
            "resume",
            [](const Capture& capture, Text text, std::size_t start, bool final) {
                nb::gil_scoped_release unlocked;
                const Capture::Resumption found = capture.resume(text.data(), start, text.size(), final);
                return std::tuple(found.at, found.found);
            },
            nb::arg("text"), nb::arg("start"), nb::arg("final"),
            "Look from start on for a place where packets can be read again.\n\n"
            "Returns it and True, or False and the place from where to look on when there is more text.");
    module.def(
        "packet_columns", [] { return described(packet_columns()); },
        "Return name, kind (as for parse_records) and whether it is a time of each column of packets.");
    module.def(
        "flow_columns", [] { return described(flow_columns()); },
        "Return name, kind (as for parse_records) and whether it is a time of each column of flows.");
}

void register_packets(nb::module_& module) {
    nb::class_<ParsedPackets>(module, "ParsedPackets", "What parse_packets read.")
        .def_ro("rows", &ParsedPackets::rows, "Packets that were not rejected.")
        .def_ro("columns", &ParsedPackets::columns, "The wanted columns; times are microseconds since 1970.")
        .def_prop_ro(
            "rejected", [](ParsedPackets& parsed) { return rejected_array(parsed); }, nb::rv_policy::reference_internal,
            rejected_doc)
        .def_prop_ro(
            "end_time", [](ParsedPackets& parsed) { return array_of(parsed.end_time); },
            nb::rv_policy::reference_internal, "float64 [rows]: seconds since 1970, NaN where not known.");
    module.def(
        "parse_packets",
        [](Text text, const Capture& capture, std::size_t records, const std::vector<std::size_t>& wanted) {
            nb::gil_scoped_release unlocked;
            return parse_packets(capture, text.data(), text.size(), records, wanted);
        },
        nb::arg("text"), nb::arg("capture"), nb::arg("records"), nb::arg("wanted"),
        "Decode the packets of a text that Capture.scan found whole.\n\n"
        "Parameters\n----------\n"
        "text\n    uint8 [n].\n"
        "capture\n    What was known of the file where the text begins.\n"
        "records\n    Packets in the text, as scan counted them.\n"
        "wanted\n    Numbers of the columns of packet_columns.");
}

void register_flows(nb::module_& module) {
    nb::class_<FinishedFlows>(module, "FinishedFlows", "Flows that ended, in that order.")
        .def(nb::init<>(), "None yet.")
        .def("__len__", [](const FinishedFlows& finished) { return finished.flows.size(); });
    nb::class_<AssembledFlows>(module, "AssembledFlows", "What FlowAssembler made of some packets.")
        .def_ro("finished", &AssembledFlows::finished, "Flows that ended, in parts of bounded size.")
        .def_ro("skipped", &AssembledFlows::skipped,
                "Packets by what they were: of a flow, without IP, without a time, cut before their protocol.")
        .def_prop_ro(
            "rejected", [](AssembledFlows& added) { return rejected_array(added); }, nb::rv_policy::reference_internal,
            rejected_doc);
    nb::class_<FlowAssembler>(module, "FlowAssembler", "Assembles packets to bidirectional flows.")
        .def(
            "__init__",
            [](FlowAssembler* assembler, std::int64_t idle, std::int64_t active, std::size_t open_flows) {
                if (idle <= 0 || active <= 0 || open_flows == 0 || open_flows > 1U << 30)
                    throw std::invalid_argument("timeouts and the number of open flows are positive");
                new (assembler) FlowAssembler({idle, active, open_flows});
            },
            nb::arg("idle_timeout"), nb::arg("active_timeout"), nb::arg("open_flows"),
            "idle_timeout, active_timeout: nanoseconds; open_flows: most flows that are open at a time.")
        .def(
            "add",
            [](FlowAssembler& assembler, Text text, const Capture& capture) {
                nb::gil_scoped_release unlocked;
                return assembler.add(capture, text.data(), text.size());
            },
            nb::arg("text"), nb::arg("capture"), "Add packets; parameters as for parse_packets.")
        .def(
            "finish",
            [](FlowAssembler& assembler) {
                nb::gil_scoped_release unlocked;
                return assembler.finish();
            },
            "End all flows.")
        .def(
            "next_record", [](FlowAssembler& assembler) { return assembler.table().next_record(); },
            "Return the number of the next record, and count it.")
        .def_prop_ro(
            "open_flows", [](FlowAssembler& assembler) { return assembler.table().open_flows(); },
            "Flows that are open now.")
        .def_prop_ro(
            "evicted", [](FlowAssembler& assembler) { return assembler.table().evicted(); },
            "Flows that were ended because there were too many.");
    nb::class_<ParsedFlows>(module, "ParsedFlows", "What parse_flows gives.")
        .def_ro("columns", &ParsedFlows::columns, "The wanted columns; times are microseconds since 1970.")
        .def_prop_ro(
            "record", [](ParsedFlows& parsed) { return array_of(parsed.record); }, nb::rv_policy::reference_internal,
            "int64 [flows].")
        .def_prop_ro(
            "end_time", [](ParsedFlows& parsed) { return array_of(parsed.end_time); },
            nb::rv_policy::reference_internal, "float64 [flows]: seconds since 1970.");
    module.def(
        "parse_flows",
        [](const FinishedFlows& finished, const std::vector<std::size_t>& wanted) {
            nb::gil_scoped_release unlocked;
            return parse_flows(finished, wanted);
        },
        nb::arg("finished"), nb::arg("wanted"),
        "Return flows as columns. wanted: numbers of the columns of flow_columns.");
}

}  // namespace

void register_pcap(nb::module_& module) {
    register_capture(module);
    register_packets(module);
    register_flows(module);
}

}  // namespace netsieve
