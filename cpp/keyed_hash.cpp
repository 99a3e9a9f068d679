#include "keyed_hash.hpp"

#include <nanobind/ndarray.h>

#include <bit>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "arrow.hpp"

namespace nb = nanobind;

namespace netsieve {

static_assert(std::endian::native == std::endian::little, "SipHash reads words in little-endian order");
static_assert(sizeof(Fingerprint) == 16);

namespace {

class SipState {
  public:
    explicit SipState(const Fingerprint& key)
        : v0_(key.low ^ 0x736f6d6570736575ULL),
          v1_(key.high ^ 0x646f72616e646f6dULL ^ 0xee),
          v2_(key.low ^ 0x6c7967656e657261ULL),
          v3_(key.high ^ 0x7465646279746573ULL) {}

    void add(std::uint64_t word) {
        v3_ ^= word;
        round();
        round();
        v0_ ^= word;
    }

    Fingerprint finish() {
        v2_ ^= 0xee;
        const std::uint64_t low = finished_word();
        v1_ ^= 0xdd;
        return {low, finished_word()};
    }

  private:
    std::uint64_t finished_word() {
        for (int i = 0; i < 4; ++i) round();
        return v0_ ^ v1_ ^ v2_ ^ v3_;
    }

    void round() {
        v0_ += v1_;
        v1_ = std::rotl(v1_, 13) ^ v0_;
        v0_ = std::rotl(v0_, 32);
        v2_ += v3_;
        v3_ = std::rotl(v3_, 16) ^ v2_;
        v0_ += v3_;
        v3_ = std::rotl(v3_, 21) ^ v0_;
        v2_ += v1_;
        v1_ = std::rotl(v1_, 17) ^ v2_;
        v2_ = std::rotl(v2_, 32);
    }

    std::uint64_t v0_, v1_, v2_, v3_;
};

// A column handed over by an Arrow library: one array after the other.
class ArrowStream {
  public:
    explicit ArrowStream(nb::handle column) {
        nb::object capsule = column.attr("__arrow_c_stream__")();
        auto* const stream = static_cast<ArrowArrayStream*>(PyCapsule_GetPointer(capsule.ptr(), "arrow_array_stream"));
        if (!stream) throw nb::python_error();
        if (!stream->release) throw std::invalid_argument("the Arrow stream was already taken");
        stream_ = *stream;
        stream->release = nullptr;
    }
    ArrowStream(const ArrowStream&) = delete;
    ArrowStream& operator=(const ArrowStream&) = delete;
    ~ArrowStream() {
        if (stream_.release) stream_.release(&stream_);
    }

    std::string format() {
        ArrowSchema schema{};
        check(stream_.get_schema(&stream_, &schema));
        std::string format = schema.dictionary ? "dictionary" : schema.format;
        if (schema.release) schema.release(&schema);
        return format;
    }

    // Calls take with each array.
    template <typename Take>
    void each(Take take) {
        for (;;) {
            ArrowArray array{};
            check(stream_.get_next(&stream_, &array));
            if (!array.release) return;
            const std::unique_ptr<ArrowArray, void (*)(ArrowArray*)> owned(
                &array, [](ArrowArray* held) { held->release(held); });
            take(array);
        }
    }

  private:
    void check(int failed) {
        if (!failed) return;
        const char* reason = stream_.get_last_error ? stream_.get_last_error(&stream_) : nullptr;
        throw std::runtime_error(std::string("the Arrow stream failed: ") + (reason ? reason : "unknown reason"));
    }

    ArrowArrayStream stream_{};
};

bool is_valid(const ArrowArray& array, std::size_t row) {
    const auto* const bitmap = static_cast<const std::uint8_t*>(array.buffers[0]);
    return !bitmap || (bitmap[row / 8] >> (row % 8) & 1U);
}

template <typename Read>
void append_fingerprints(const ArrowArray& array, const Fingerprint& key, std::vector<Fingerprint>& out, Read read) {
    const auto first = static_cast<std::size_t>(array.offset);
    const auto last = first + static_cast<std::size_t>(array.length);
    for (std::size_t row = first; row < last; ++row) {
        if (!is_valid(array, row)) {
            out.emplace_back();
            continue;
        }
        const std::string_view cell = read(row);
        out.push_back(siphash(reinterpret_cast<const std::uint8_t*>(cell.data()), cell.size(), key));
    }
}

template <typename Offset>
std::string_view text_of(const ArrowArray& array, std::size_t row) {
    const auto* const offsets = static_cast<const Offset*>(array.buffers[1]);
    const auto start = static_cast<std::size_t>(offsets[row]);
    const auto end = static_cast<std::size_t>(offsets[row + 1]);
    // without any text the buffer may be absent
    return end > start ? std::string_view(static_cast<const char*>(array.buffers[2]) + start, end - start)
                       : std::string_view("", 0);
}

std::string_view view_of(const ArrowArray& array, std::size_t row) {
    const char* const view = static_cast<const char*>(array.buffers[1]) + 16 * row;
    std::uint32_t fields[4];
    std::memcpy(fields, view, 16);
    if (fields[0] <= 12) return {view + 4, fields[0]};
    return {static_cast<const char*>(array.buffers[2 + fields[2]]) + fields[3], fields[0]};
}

std::vector<Fingerprint> column_fingerprints(ArrowStream& stream, const Fingerprint& key) {
    const std::string format = stream.format();
    std::vector<Fingerprint> out;
    stream.each([&](const ArrowArray& array) {
        out.reserve(out.size() + static_cast<std::size_t>(array.length));
        if (format == "vu") {
            append_fingerprints(array, key, out, [&](std::size_t row) { return view_of(array, row); });
        } else if (format == "u") {
            append_fingerprints(array, key, out, [&](std::size_t row) { return text_of<std::int32_t>(array, row); });
        } else if (format == "U") {
            append_fingerprints(array, key, out, [&](std::size_t row) { return text_of<std::int64_t>(array, row); });
        } else if (format == "l") {
            const char* const values = static_cast<const char*>(array.buffers[1]);
            append_fingerprints(array, key, out,
                                [&](std::size_t row) { return std::string_view(values + 8 * row, 8); });
        } else {
            throw std::invalid_argument("a column of the Arrow format '" + format +
                                        "' has no fingerprints; text or int64 is expected");
        }
    });
    return out;
}

Fingerprint key_of(const nb::bytes& key) {
    if (key.size() != 16) throw std::invalid_argument("the key must have 16 bytes");
    Fingerprint words;
    std::memcpy(&words, key.c_str(), 16);
    return words;
}

nb::object as_array(std::vector<Fingerprint>&& fingerprints) {
    auto* const owned = new std::vector<Fingerprint>(std::move(fingerprints));
    const nb::capsule owner(owned, [](void* held) noexcept { delete static_cast<std::vector<Fingerprint>*>(held); });
    return nb::cast(nb::ndarray<nb::numpy, std::uint64_t, nb::ndim<2>>(owned->data(), {owned->size(), 2}, owner));
}

using FingerprintArray = nb::ndarray<const std::uint64_t, nb::shape<-1, 2>, nb::c_contig, nb::device::cpu>;

}  // namespace

Fingerprint siphash(const std::uint8_t* text, std::size_t size, const Fingerprint& key) {
    SipState state(key);
    const std::size_t whole = size - size % 8;
    for (std::size_t at = 0; at < whole; at += 8) {
        std::uint64_t word;
        std::memcpy(&word, text + at, 8);
        state.add(word);
    }
    std::uint64_t last = static_cast<std::uint64_t>(size) << 56;
    for (std::size_t at = whole; at < size; ++at) last |= static_cast<std::uint64_t>(text[at]) << (8 * (at - whole));
    state.add(last);
    return state.finish();
}

void register_keyed_hash(nb::module_& module) {
    module.def(
        "fingerprints",
        [](nb::handle column, nb::bytes key) {
            const Fingerprint words = key_of(key);
            ArrowStream stream(column);
            std::vector<Fingerprint> found;
            {
                nb::gil_scoped_release unlocked;
                found = column_fingerprints(stream, words);
            }
            return as_array(std::move(found));
        },
        nb::arg("column"), nb::arg("key"),
        nb::sig("def fingerprints(column: object, key: bytes) -> "
                "NDArray[numpy.uint64]"),
        "Return the SipHash-2-4-128 of each cell of a column, uint64 [n, 2]; zeros where it is null.\n\n"
        "Parameters\n----------\n"
        "column\n    Text or int64, with the Arrow C stream interface; an integer counts as its 8 bytes, low first.\n"
        "key\n    16 bytes that an attacker does not know.");
    module.def(
        "paired_fingerprints",
        [](FingerprintArray first, FingerprintArray second, nb::bytes key) {
            if (first.shape(0) != second.shape(0)) throw std::invalid_argument("the two columns differ in length");
            const Fingerprint words = key_of(key);
            std::vector<Fingerprint> found(first.shape(0));
            {
                nb::gil_scoped_release unlocked;
                for (std::size_t row = 0; row < found.size(); ++row) {
                    std::uint64_t pair[4];
                    std::memcpy(pair, first.data() + 2 * row, 16);
                    std::memcpy(pair + 2, second.data() + 2 * row, 16);
                    if ((pair[0] || pair[1]) && (pair[2] || pair[3]))
                        found[row] = siphash(reinterpret_cast<const std::uint8_t*>(pair), 32, words);
                }
            }
            return as_array(std::move(found));
        },
        nb::arg("first"), nb::arg("second"), nb::arg("key"),
        nb::sig("def paired_fingerprints(first: NDArray[numpy.uint64], second: "
                "NDArray[numpy.uint64], key: bytes) -> NDArray[numpy.uint64]"),
        "Return fingerprints of the pairs of two columns of fingerprints, uint64 [n, 2]; zeros where one is missing.");
}

}  // namespace netsieve
