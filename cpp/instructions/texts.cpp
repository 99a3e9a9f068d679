#include "texts.hpp"

#include <array>
#include <cstdarg>
#include <cstdio>
#include <ctime>

namespace netsieve::instructions {

namespace {

constexpr std::time_t first_second = 1'713'484'800;  // 2024-04-19

[[gnu::format(printf, 2, 3)]] void append(std::string& text, const char* format, ...) {
    std::array<char, 1024> line;
    std::va_list arguments;
    va_start(arguments, format);
    const int size = std::vsnprintf(line.data(), line.size(), format, arguments);
    va_end(arguments);
    text.append(line.data(), static_cast<std::size_t>(size));
}

// As Suricata writes times
std::string utc(std::size_t record, Numbers& numbers) {
    const std::time_t second = first_second + static_cast<std::time_t>(record / 50);
    std::tm parts{};
    gmtime_r(&second, &parts);
    std::array<char, 40> text;
    std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
    std::string written(text.data());
    append(written, ".%06zu+0000", numbers.below(1'000'000));
    return written;
}

std::string zeek_time(std::size_t record, Numbers& numbers) {
    std::string text;
    append(text, "%lld.%06zu", static_cast<long long>(first_second) + static_cast<long long>(record / 50),
           numbers.below(1'000'000));
    return text;
}

std::string address(Numbers& numbers) {
    std::string text;
    if (numbers.chance(0.1))
        append(text, "2001:db8::%zx:%zx", numbers.below(65536), numbers.below(65536));
    else
        append(text, "%zu.%zu.%zu.%zu", 1 + numbers.below(223), numbers.below(256), numbers.below(256),
               numbers.below(256));
    return text;
}

unsigned long long count(Numbers& numbers) { return numbers.count(); }

}  // namespace

std::string flow_csv(Numbers& numbers, std::size_t records) {
    constexpr const char* protocols[] = {"tcp", "udp", "icmp"};
    constexpr const char* notes[] = {"", "", "normal", "\"scan, vertical\"", "\"so-called \"\"beacon\"\"\""};
    std::string text;
    for (std::size_t record = 0; record < records; ++record) {
        append(text, "%s,%s,%s,%zu,%s,%zu,", utc(record, numbers).c_str(), numbers.one_of(protocols),
               address(numbers).c_str(), 1024 + numbers.below(64512), address(numbers).c_str(), numbers.below(1024));
        if (!numbers.chance(0.05)) append(text, "%llu", count(numbers));
        append(text, ",%llu,%zu.%06zu,%s,%s\n", count(numbers), numbers.below(100), numbers.below(1'000'000),
               numbers.chance(0.5) ? "true" : "false", numbers.one_of(notes));
    }
    return text;
}

std::string suricata_events(Numbers& numbers, std::size_t records) {
    constexpr const char* applications[] = {"http", "tls", "dns", "failed"};
    std::string text;
    for (std::size_t record = 0; record < records; ++record) {
        const bool is_dns = numbers.chance(0.1);
        const std::string time = utc(record, numbers);
        append(text,
               R"({"timestamp":"%s","flow_id":%zu,"in_iface":"eth0","event_type":"%s","src_ip":"%s","src_port":%zu,)"
               R"("dest_ip":"%s","dest_port":%zu,"proto":"%s",)",
               time.c_str(), numbers.below(std::size_t{1} << 51), is_dns ? "dns" : "flow", address(numbers).c_str(),
               1024 + numbers.below(64512), address(numbers).c_str(), numbers.below(1024), is_dns ? "UDP" : "TCP");
        if (is_dns)
            append(text,
                   R"("dns":{"version":2,"type":"answer","id":7,"rrname":"host%zu.example.org","rcode":"NOERROR",)"
                   R"("answers":[{"rrname":"host.example.org","rrtype":"A","ttl":60,"rdata":"10.1.2.3"}]}})"
                   "\n",
                   numbers.below(1000));
        else
            append(text,
                   R"("app_proto":"%s","flow":{"pkts_toserver":%zu,"pkts_toclient":%zu,"bytes_toserver":%llu,)"
                   R"("bytes_toclient":%llu,"start":"%s","end":"%s","age":%zu,"state":"closed","reason":"timeout",)"
                   R"("alerted":false},"tcp":{"tcp_flags":"1b","syn":true,"fin":true,"psh":true,"ack":true},)"
                   R"("note":"caf\u00e9 \"%zu\""})"
                   "\n",
                   numbers.one_of(applications), numbers.below(100), numbers.below(100), count(numbers), count(numbers),
                   utc(record, numbers).c_str(), time.c_str(), numbers.below(600), record);
    }
    return text;
}

std::string zeek_connections(Numbers& numbers, std::size_t records) {
    constexpr const char* services[] = {"-", "-", "http", "ssl", "dns"};
    constexpr const char* states[] = {"SF", "S0", "REJ", "RSTO", "OTH"};
    constexpr const char* tunnels[] = {"-", "(empty)", "CHhAvVGS1DHFjwGM9,CMdzit1AMNsmfAIiQc"};
    std::string text =
        "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n"
        "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\t"
        "resp_bytes\tconn_state\tlocal_orig\tmissed_bytes\thistory\torig_pkts\tresp_pkts\ttunnel_parents\n";
    for (std::size_t record = 0; record < records; ++record) {
        append(text, "%s\tC%017zu\t%s\t%zu\t%s\t%zu\t%s\t%s\t", zeek_time(record, numbers).c_str(),
               numbers.below(std::size_t{1} << 56), address(numbers).c_str(), 1024 + numbers.below(64512),
               address(numbers).c_str(), numbers.below(1024), numbers.chance(0.7) ? "tcp" : "udp",
               numbers.one_of(services));
        if (numbers.chance(0.3))
            append(text, "-\t-\t-");
        else
            append(text, "%zu.%06zu\t%llu\t%llu", numbers.below(1000), numbers.below(1'000'000), count(numbers),
                   count(numbers));
        append(text, "\t%s\t%s\t0\tShADadFf\t%zu\t%zu\t%s\n", numbers.one_of(states), numbers.chance(0.5) ? "T" : "F",
               numbers.below(1000), numbers.below(1000), numbers.one_of(tunnels));
    }
    return text;
}

}  // namespace netsieve::instructions
