// From bytes to columns: the native readers.
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "../capture.hpp"
#include "../flow_columns.hpp"
#include "../flow_table.hpp"
#include "../interner.hpp"
#include "../json_discovery.hpp"
#include "../json_parser.hpp"
#include "../packet_columns.hpp"
#include "../record_parser.hpp"
#include "../zeek_lines.hpp"
#include "../zeek_lists.hpp"
#include "../zeek_parser.hpp"
#include "cases.hpp"
#include "texts.hpp"

namespace netsieve::instructions {

namespace {

constexpr std::size_t records = 1000, packets = 1000, max_record = 1 << 24;

// `counts` returns how many records it came to; where that is not what the text holds, something is wrong.
template <typename Counts>
void add(Cases& cases, const char* name, const char* unit, std::size_t count, std::size_t expected, Counts counts) {
    const auto found = std::make_shared<std::size_t>();
    cases.push_back({name, "baseline", unit, count, [found, counts] { *found = counts(); },
                     [found, expected] { return *found == expected; }});
}

const std::uint8_t* bytes_of(const std::string& text) { return reinterpret_cast<const std::uint8_t*>(text.data()); }

template <typename Row, typename Column>
std::size_t filled(std::span<const Column> columns, const std::vector<Row>& rows) {
    std::size_t present = 0;
    for (const Column& column : columns) {
        ColumnBuffers buffers(column.kind, rows.size());
        column.fill(buffers, 0, rows);
        buffers.finish(rows.size());
        present += rows.size() - buffers.missing();
    }
    return present;
}

void add_delimited_text(Cases& cases) {
    Numbers numbers(1);
    const auto text = std::make_shared<const std::string>(flow_csv(numbers, records));
    static constexpr Dialect dialect{',', "", max_record};
    // time, protocol, source, its port, destination, its port, bytes, bytes, duration, flag, note
    const std::vector<int> kinds{4, 4, 4, 1, 4, 1, 1, 1, 2, 3, 4};
    add(cases, "CSV, scan", "record", records, records,
        [text] { return scan_records(bytes_of(*text), text->size(), dialect, true).records; });
    add(cases, "CSV, kinds of columns", "record", records, kinds.size(),
        [text, kinds] { return infer_kinds(bytes_of(*text), text->size(), dialect, kinds.size()).size(); });
    add(cases, "CSV, columns", "record", records, records,
        [text, kinds] { return parse_records(bytes_of(*text), text->size(), dialect, kinds, records).rows; });
}

void add_json_lines(Cases& cases) {
    Numbers numbers(2);
    const auto events = std::make_shared<const std::string>(suricata_events(numbers, records));
    static constexpr JsonDialect dialect{false, max_record};
    const JsonSelector selector{"event_type", {"flow", "dns"}};
    using enum ColumnKind;
    const std::vector<JsonTableColumns> tables{
        {{"timestamp", "src_ip", "src_port", "dest_ip", "dest_port", "proto", "app_proto", "flow.pkts_toserver",
          "flow.pkts_toclient", "flow.bytes_toserver", "flow.bytes_toclient", "flow.start", "flow.end", "flow.age",
          "flow.state", "flow.alerted", "tcp.syn", "note"},
         {time, text, integer, text, integer, text, text, integer, integer, integer, integer, time, time, integer, text,
          boolean, boolean, text}},
        {{"timestamp", "src_ip", "dns.rrname", "dns.answers"}, {time, text, text, text}}};
    add(cases, "EVE, scan", "record", records, records,
        [events] { return scan_json_records(bytes_of(*events), events->size(), dialect, true).records; });
    add(cases, "EVE, names of columns", "record", records, 2, [events, selector] {
        return discover_json_columns(bytes_of(*events), events->size(), dialect, selector).size();
    });
    add(cases, "EVE, columns", "record", records, records, [events, selector, tables] {
        const ParsedJson parsed =
            JsonParser(dialect, selector, tables, records).parse(bytes_of(*events), events->size());
        return parsed.tables[0].rows + parsed.tables[1].rows;
    });
}

void add_zeek(Cases& cases) {
    Numbers numbers(3);
    const auto text = std::make_shared<const std::string>(zeek_connections(numbers, records));
    const std::size_t body = text->find("\n", text->find("#fields")) + 1;
    std::vector<std::string> header;
    for (std::size_t at = 0; at < body; at = text->find('\n', at) + 1)
        header.push_back(text->substr(at, text->find('\n', at) - at));
    const std::vector<int> kinds{5, 4, 4, 1, 4, 1, 4, 4, 2, 1, 1, 4, 3, 1, 4, 1, 1, 6};
    const ZeekLayout layout{'\t', 0, ',', "(empty)", "-", max_record};
    add(cases, "Zeek log, scan", "record", records, records,
        [text, header] { return scan_zeek_lines(bytes_of(*text), text->size(), header, max_record, true).records; });
    add(cases, "Zeek log, columns", "record", records, records, [text, kinds, layout] {
        return parse_zeek_records(bytes_of(*text), text->size(), layout, kinds, records).rows;
    });

    constexpr const char* lists[] = {R"(["a.example.org","b.example.org"])", "[]", R"(["10.1.2.3"])", R"([60.0,300.5])",
                                     R"(["caf\u00e9","b"])"};
    const auto column = std::make_shared<ColumnBuffers>(ColumnKind::text, records);
    for (std::size_t row = 0; row < records; ++row) {
        const std::string list = numbers.one_of(lists);
        column->set_text(row, bytes_of(list), list.size());
    }
    column->finish(records);
    add(cases, "Zeek's JSON, lists", "record", records, records,
        [column] { return comma_lists(*column, false)->rows(); });
}

std::size_t walk_packets(const std::vector<std::uint8_t>& file, std::vector<Packet>& found) {
    Capture capture(1 << 18, max_record);
    std::size_t at = capture.begin(file.data(), pcap_file_header);
    CapturedPacket captured;
    while (at < file.size() && capture.step(file.data(), at, file.size(), true, captured) == CaptureStep::packet) {
        Packet packet;
        packet.time = captured.time;
        packet.timed = captured.timed;
        packet.length = captured.length;
        packet.captured = captured.captured;
        packet.link_type = captured.link_type;
        decode_packet(file.data() + captured.data, packet);
        found.push_back(packet);
        at = captured.next;
    }
    return found.size();
}

void add_captures(Cases& cases) {
    Numbers numbers(4);
    const auto file = std::make_shared<const std::vector<std::uint8_t>>(capture(numbers, packets));
    add(cases, "pcap, packets", "packet", packets, packets, [file] {
        std::vector<Packet> found;
        found.reserve(packets);
        return walk_packets(*file, found);
    });
    const auto decoded = std::make_shared<std::vector<Packet>>();
    walk_packets(*file, *decoded);
    add(cases, "pcap, columns of packets", "packet", packets, filled(packet_columns(), *decoded),
        [file, decoded] { return filled(packet_columns(), *decoded); });
    const auto flows = [file, decoded] {
        FlowTable table({15'000'000'000, 1'800'000'000'000, 1 << 16});
        for (const Packet& packet : *decoded) table.add(packet);
        table.finish();
        return filled(flow_columns(), table.take_finished());
    };
    add(cases, "pcap, flows and their columns", "packet", packets, flows(), flows);
}

void add_entities(Cases& cases) {
    constexpr std::size_t rows = 5000, hosts = 3000;
    Numbers numbers(5);
    const auto keys = std::make_shared<std::vector<std::uint64_t>>();
    const auto times = std::make_shared<std::vector<double>>();
    for (std::size_t row = 0; row < rows; ++row) {
        Numbers host(numbers.below(hosts));
        keys->push_back(host.bits());
        keys->push_back(host.bits());
        times->push_back(static_cast<double>(row));
    }
    add(cases, "numbers of entities", "row", rows, hosts / 2, [keys, times] {
        Interner interner(hosts / 2, 1e9);  // half of the hosts, so that others have to go
        std::vector<std::int32_t> ids(rows);
        std::vector<double> elapsed(rows), seen(rows);
        interner.assign(keys->data(), times->data(), rows, ids.data(), elapsed.data(), seen.data());
        return interner.size();
    });
}

}  // namespace

void add_reader_cases(Cases& cases) {
    add_delimited_text(cases);
    add_json_lines(cases);
    add_zeek(cases);
    add_captures(cases);
    add_entities(cases);
}

}  // namespace netsieve::instructions
