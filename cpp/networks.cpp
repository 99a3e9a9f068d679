#include "networks.hpp"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "arrow.hpp"
#include "column_buffers.hpp"

namespace nb = nanobind;

namespace netsieve {

namespace {

bool parse_dotted(std::string_view text, std::uint8_t* bytes) {
    std::size_t at = 0;
    for (int part = 0; part < 4; ++part) {
        if (part && (at == text.size() || text[at++] != '.')) return false;
        unsigned value = 0;
        const std::size_t start = at;
        for (; at < text.size() && text[at] >= '0' && text[at] <= '9' && at - start < 3; ++at)
            value = 10 * value + static_cast<unsigned>(text[at] - '0');
        if (at == start || value > 255 || (at - start > 1 && text[start] == '0')) return false;
        bytes[part] = static_cast<std::uint8_t>(value);
    }
    return at == text.size();
}

int hexadecimal(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = static_cast<char>(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Groups of up to four hexadecimal digits with colons between them, the last two perhaps as dotted IPv4. Returns the
// number of bytes written, or -1.
int parse_groups(std::string_view text, std::uint8_t* bytes) {
    int size = 0;
    while (!text.empty()) {
        const std::size_t colon = std::min(text.find(':'), text.size());
        const std::string_view group = text.substr(0, colon);
        if (colon == text.size() && group.find('.') != std::string_view::npos)
            return size <= 12 && parse_dotted(group, bytes + size) ? size + 4 : -1;
        if (group.empty() || group.size() > 4 || size == 16) return -1;
        unsigned value = 0;
        for (const char c : group) {
            const int digit = hexadecimal(c);
            if (digit < 0) return -1;
            value = value << 4 | static_cast<unsigned>(digit);
        }
        bytes[size++] = static_cast<std::uint8_t>(value >> 8);
        bytes[size++] = static_cast<std::uint8_t>(value & 0xFF);
        if (colon == text.size()) break;
        text.remove_prefix(colon + 1);
        if (text.empty()) return -1;
    }
    return size;
}

// Text columns of the Arrow C data interface: utf8, large utf8 and utf8 view.
class TextColumn {
  public:
    TextColumn(const ArrowSchema& schema, const ArrowArray& array)
        : format_(schema.format),
          offset_(static_cast<std::size_t>(array.offset)),
          size_(static_cast<std::size_t>(array.length)),
          buffers_(array.buffers) {
        if (format_ != "u" && format_ != "U" && format_ != "vu")
            throw std::invalid_argument("the addresses are no text column but of Arrow format '" + format_ + "'");
        validity_ = array.null_count ? static_cast<const std::uint8_t*>(buffers_[0]) : nullptr;
    }

    std::size_t size() const { return size_; }
    bool is_missing(std::size_t row) const {
        const std::size_t at = row + offset_;
        return validity_ && !(validity_[at / 8] >> (at % 8) & 1U);
    }
    std::string_view text(std::size_t row) const {
        const std::size_t at = row + offset_;
        if (format_ == "vu") return view(at);
        const char* const text = static_cast<const char*>(buffers_[2]);
        if (format_ == "u") return slice(static_cast<const std::int32_t*>(buffers_[1]) + at, text);
        return slice(static_cast<const std::int64_t*>(buffers_[1]) + at, text);
    }

  private:
    template <typename Offset>
    static std::string_view slice(const Offset* offsets, const char* text) {
        return {text + offsets[0], static_cast<std::size_t>(offsets[1] - offsets[0])};
    }
    std::string_view view(std::size_t at) const {
        const char* const start = static_cast<const char*>(buffers_[1]) + view_size * at;
        std::uint32_t words[4];
        std::memcpy(words, start, view_size);
        if (words[0] <= inline_text) return {start + 4, words[0]};
        return {static_cast<const char*>(buffers_[2 + words[2]]) + words[3], words[0]};
    }

    std::string format_;
    std::size_t offset_;
    std::size_t size_;
    const void* const* buffers_;
    const std::uint8_t* validity_ = nullptr;
};

// Boolean columns of the Arrow C data interface.
class BooleanColumn {
  public:
    BooleanColumn(const ArrowSchema& schema, const ArrowArray& array)
        : offset_(static_cast<std::size_t>(array.offset)),
          size_(static_cast<std::size_t>(array.length)),
          values_(static_cast<const std::uint8_t*>(array.buffers[1])) {
        if (std::string_view(schema.format) != "b")
            throw std::invalid_argument("expected a boolean column, got Arrow format '" + std::string(schema.format) +
                                        "'");
        validity_ = array.null_count ? static_cast<const std::uint8_t*>(array.buffers[0]) : nullptr;
    }

    std::size_t size() const { return size_; }
    bool is_missing(std::size_t row) const { return validity_ && !bit(validity_, row); }
    bool value(std::size_t row) const { return bit(values_, row); }

  private:
    bool bit(const std::uint8_t* bits, std::size_t row) const {
        return bits[(row + offset_) / 8] >> ((row + offset_) % 8) & 1U;
    }

    std::size_t offset_;
    std::size_t size_;
    const std::uint8_t* values_;
    const std::uint8_t* validity_ = nullptr;
};

// Networks to look addresses up in. Most addresses are IPv4, for which 32 bits of the networks that may hold any are
// compared.
class Networks {
  public:
    explicit Networks(const std::vector<std::pair<std::string, unsigned>>& networks) {
        for (const auto& [text, prefix] : networks) {
            const unsigned bits = prefix + (text.find(':') == std::string::npos ? 96 : 0);
            Address address;
            if (!parse_address(text, address) || prefix > 128 || bits > 128)
                throw std::invalid_argument("'" + text + "/" + std::to_string(prefix) + "' is no network");
            all_.emplace_back(address, bits);
            const bool holds_version_4 = Network(address, std::min(bits, 96U)).contains(mapped_prefix());
            if (holds_version_4)
                version_4_.push_back({last_word(address), bits > 96 ? ~std::uint32_t{0} << (128 - bits) : 0});
        }
    }

    bool contain(const Address& address) const {
        if (std::memcmp(address.data(), mapped_prefix().data(), 12) != 0)
            return std::any_of(all_.begin(), all_.end(),
                               [&](const Network& network) { return network.contains(address); });
        const std::uint32_t word = last_word(address);
        bool found = false;
        for (const auto& [first, mask] : version_4_) found |= ((word ^ first) & mask) == 0;
        return found;
    }

  private:
    static const Address& mapped_prefix() {
        static const Address prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
        return prefix;
    }
    static std::uint32_t last_word(const Address& address) {
        return std::uint32_t{address[12]} << 24 | std::uint32_t{address[13]} << 16 | std::uint32_t{address[14]} << 8 |
               address[15];
    }

    std::vector<Network> all_;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> version_4_;  // first address, mask
};

std::shared_ptr<ColumnBuffers> inside(const TextColumn& addresses, const Networks& networks) {
    auto column = std::make_shared<ColumnBuffers>(ColumnKind::boolean, addresses.size());
    for (std::size_t row = 0; row < addresses.size(); ++row) {
        Address address;
        if (!addresses.is_missing(row) && parse_address(addresses.text(row), address))
            column->set_boolean(row, networks.contain(address));
        else
            column->set_missing(row);
    }
    column->finish(addresses.size());
    return column;
}

std::shared_ptr<ColumnBuffers> directions(const BooleanColumn& source, const BooleanColumn& destination) {
    if (source.size() != destination.size()) throw std::invalid_argument("the columns have different lengths");
    // by twice whether the source is inside, and once whether the destination is
    constexpr std::string_view names[] = {"external", "inbound", "outbound", "internal"};
    auto column = std::make_shared<ColumnBuffers>(ColumnKind::text, source.size());
    for (std::size_t row = 0; row < source.size(); ++row) {
        if (source.is_missing(row) || destination.is_missing(row)) {
            column->set_missing(row);
            continue;
        }
        const std::string_view name = names[2 * source.value(row) + destination.value(row)];
        column->set_text(row, reinterpret_cast<const std::uint8_t*>(name.data()), name.size());
    }
    column->finish(source.size());
    return column;
}

template <typename Structure>
const Structure& in_capsule(nb::handle capsule, const char* name) {
    const auto* structure = static_cast<const Structure*>(PyCapsule_GetPointer(capsule.ptr(), name));
    if (!structure) throw nb::python_error();
    if (!structure->release) throw std::invalid_argument("the column was already handed over");
    return *structure;
}

// A column that Python handed over, for as long as this lives.
template <typename Column>
class Borrowed {
  public:
    explicit Borrowed(nb::handle column)
        : capsules_(nb::cast<nb::tuple>(column.attr("__arrow_c_array__")())),
          column_(in_capsule<ArrowSchema>(capsules_[0], "arrow_schema"),
                  in_capsule<ArrowArray>(capsules_[1], "arrow_array")) {}

    const Column& operator*() const { return column_; }

  private:
    nb::tuple capsules_;
    Column column_;
};

}  // namespace

bool parse_address(std::string_view text, Address& address) {
    address.fill(0);
    if (text.find(':') == std::string_view::npos) {
        address[10] = address[11] = 0xFF;
        return parse_dotted(text, address.data() + 12);
    }
    text = text.substr(0, text.find('%'));
    const std::size_t gap = text.find("::");
    if (gap == std::string_view::npos) return parse_groups(text, address.data()) == 16;
    Address behind{};
    const int size = parse_groups(text.substr(0, gap), address.data());
    const int size_behind = parse_groups(text.substr(gap + 2), behind.data());
    if (size < 0 || size_behind < 0 || size + size_behind > 14) return false;
    if (text.substr(0, gap).find('.') != std::string_view::npos) return false;
    std::copy(behind.begin(), behind.begin() + size_behind, address.end() - size_behind);
    return true;
}

Network::Network(const Address& address, unsigned prefix) {
    Address mask{};
    for (unsigned bit = 0; bit < prefix; ++bit) mask[bit / 8] |= static_cast<std::uint8_t>(0x80U >> (bit % 8));
    std::memcpy(words_, address.data(), sizeof words_);
    std::memcpy(mask_, mask.data(), sizeof mask_);
}

void register_networks(nb::module_& module) {
    module.def(
        "inside_networks",
        [](nb::object addresses, const std::vector<std::pair<std::string, unsigned>>& networks) {
            const Networks parsed(networks);
            const Borrowed<TextColumn> column(addresses);
            nb::gil_scoped_release unlocked;
            return inside(*column, parsed);
        },
        nb::arg("addresses"), nb::arg("networks"),
        nb::sig("def inside_networks(addresses: object, networks: Sequence[tuple[str, int]]) -> Column"),
        "Return a boolean Column: whether each address lies in one of the networks; null for what is no address.\n\n"
        "Parameters\n----------\n"
        "addresses\n    Text column with the Arrow C data interface (``__arrow_c_array__``): a Column, a pyarrow "
        "Array.\n"
        "networks\n    First address of each, IPv4 or IPv6, and the bits that all of its addresses share.");
    module.def(
        "traffic_directions",
        [](nb::object source_inside, nb::object destination_inside) {
            const Borrowed<BooleanColumn> source(source_inside), destination(destination_inside);
            nb::gil_scoped_release unlocked;
            return directions(*source, *destination);
        },
        nb::arg("source_inside"), nb::arg("destination_inside"),
        nb::sig("def traffic_directions(source_inside: object, destination_inside: object) -> Column"),
        "Return a text Column: 'outbound', 'inbound', 'internal', or 'external' where neither end is inside; null\n"
        "where that of one end is not known.\n\n"
        "Parameters\n----------\n"
        "source_inside, destination_inside\n    Boolean columns with the Arrow C data interface, of equal length.");
}

}  // namespace netsieve
