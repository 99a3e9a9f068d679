#include "interner.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "keyed_hash.hpp"

namespace nb = nanobind;

namespace netsieve {

namespace {

using Id = std::uint32_t;
constexpr Id none = std::numeric_limits<Id>::max();
constexpr std::size_t most_entities = std::size_t{1} << 30;
constexpr std::size_t first_places = 1024;
constexpr std::size_t looked_ahead = 16;  // rows whose places are fetched into the cache beforehand
constexpr std::uint32_t state_magic = 0x494e534e;
constexpr std::uint32_t state_version = 1;

struct Entity {
    Fingerprint key;
    double last_seen;
    Id newer;  // in the order of use
    Id older;
    std::uint32_t generation;
    std::uint32_t unused;
};

struct StateHeader {
    std::uint32_t magic;
    std::uint32_t version;
    std::uint64_t max_entities;
    double expiry;
    std::uint64_t size;
    std::uint64_t evicted;
    std::uint64_t expired;
    std::uint64_t late;
};

struct StoredEntity {
    Fingerprint key;
    double last_seen;
    std::uint32_t generation;
    Id older_in_use;  // the n-th entry holds the n-th most recently used id; it belongs to no entity of that row
};
static_assert(sizeof(StoredEntity) == 32);

class Interner {
  public:
    Interner(std::size_t max_entities, double expiry) : max_entities_(max_entities), expiry_(expiry) {
        if (max_entities < 1 || max_entities > most_entities)
            throw std::invalid_argument("max_entities must be from 1 to 2^30");
        if (!(expiry > 0)) throw std::invalid_argument("expiry must be above zero");
        places_.assign(first_places, 0);
    }

    std::size_t max_entities() const { return max_entities_; }
    double expiry() const { return expiry_; }
    std::size_t size() const { return entities_.size(); }
    std::uint64_t evicted() const { return evicted_; }
    std::uint64_t expired() const { return expired_; }
    std::uint64_t late() const { return late_; }

    void assign(const std::uint64_t* keys, const double* times, std::size_t rows, std::int32_t* ids, double* elapsed,
                double* seen) {
        const std::lock_guard<std::mutex> locked(mutex_);
        for (std::size_t row = 0; row < rows; ++row)
            if (!std::isfinite(times[row])) throw std::invalid_argument("times must be finite");
        for (std::size_t row = 0; row < rows; ++row) {
            if (row + looked_ahead < rows) __builtin_prefetch(&places_[keys[2 * (row + looked_ahead)] & mask()]);
            assign_one({keys[2 * row], keys[2 * row + 1]}, times[row], ids[row], elapsed[row], seen[row]);
        }
    }

    std::vector<std::uint32_t> generations() {
        const std::lock_guard<std::mutex> locked(mutex_);
        std::vector<std::uint32_t> found;
        found.reserve(entities_.size());
        for (const Entity& entity : entities_) found.push_back(entity.generation);
        return found;
    }

    std::string saved() {
        const std::lock_guard<std::mutex> locked(mutex_);
        const StateHeader header{state_magic,      state_version, max_entities_, expiry_,
                                 entities_.size(), evicted_,      expired_,      late_};
        std::string bytes(sizeof(header) + sizeof(StoredEntity) * entities_.size(), '\0');
        std::memcpy(bytes.data(), &header, sizeof(header));
        Id used = newest_;
        for (std::size_t i = 0; i < entities_.size(); ++i) {
            const StoredEntity stored{entities_[i].key, entities_[i].last_seen, entities_[i].generation, used};
            std::memcpy(bytes.data() + sizeof(header) + sizeof(stored) * i, &stored, sizeof(stored));
            used = entities_[used].older;
        }
        return bytes;
    }

    void restore(const char* bytes, std::size_t length) {
        const std::lock_guard<std::mutex> locked(mutex_);
        StateHeader header;
        if (length < sizeof(header)) refuse();
        std::memcpy(&header, bytes, sizeof(header));
        if (header.magic != state_magic || header.version != state_version) refuse();
        if (header.max_entities != max_entities_ || header.expiry != expiry_ || header.size > max_entities_) refuse();
        if (length != sizeof(header) + sizeof(StoredEntity) * header.size) refuse();
        entities_.clear();
        places_.assign(first_places, 0);
        newest_ = oldest_ = none;
        std::vector<Id> order;
        for (std::size_t i = 0; i < header.size; ++i) {
            StoredEntity stored;
            std::memcpy(&stored, bytes + sizeof(header) + sizeof(stored) * i, sizeof(stored));
            if (stored.key.is_missing() || !std::isfinite(stored.last_seen) || stored.older_in_use >= header.size ||
                find(stored.key) != none)
                refuse();
            entities_.push_back({stored.key, stored.last_seen, none, none, stored.generation, 0});
            grow_places();
            place(static_cast<Id>(i));
            order.push_back(stored.older_in_use);
        }
        std::vector<bool> listed(order.size(), false);
        for (const Id id : order) {
            if (listed[id]) refuse();
            listed[id] = true;
        }
        for (std::size_t i = order.size(); i-- > 0;) make_newest(order[i]);
        evicted_ = header.evicted;
        expired_ = header.expired;
        late_ = header.late;
    }

  private:
    [[noreturn]] void refuse() {
        entities_.clear();
        places_.assign(first_places, 0);
        newest_ = oldest_ = none;
        throw std::invalid_argument("these bytes are no state of such an interner");
    }

    void assign_one(const Fingerprint& key, double time, std::int32_t& id, double& elapsed, double& seen) {
        seen = time;
        elapsed = std::numeric_limits<double>::quiet_NaN();
        if (key.is_missing()) {
            id = -1;
            return;
        }
        Id found = find(key);
        if (found != none) {
            Entity& entity = entities_[found];
            const double passed = time - entity.last_seen;
            if (std::fabs(passed) > expiry_) {
                ++expired_;
                ++entity.generation;
                entity.last_seen = time;
            } else {
                late_ += passed < 0;
                elapsed = passed > 0 ? passed : 0;
                if (passed > 0) entity.last_seen = time;
                seen = entity.last_seen;
            }
            if (found != newest_) {
                unlink(found);
                make_newest(found);
            }
        } else {
            found = added(key, time);
        }
        id = static_cast<std::int32_t>(found);
    }

    // A place for a new entity: of one that has expired, else a further one, else that of the least recently used.
    Id added(const Fingerprint& key, double time) {
        const bool is_stale = oldest_ != none && std::fabs(time - entities_[oldest_].last_seen) > expiry_;
        Id id;
        if (is_stale || entities_.size() >= max_entities_) {
            id = oldest_;
            ++(is_stale ? expired_ : evicted_);
            unlink(id);
            displace(id);
            entities_[id].key = key;
            entities_[id].last_seen = time;
            ++entities_[id].generation;
        } else {
            id = static_cast<Id>(entities_.size());
            entities_.push_back({key, time, none, none, 0, 0});
            grow_places();
        }
        place(id);
        make_newest(id);
        return id;
    }

    void make_newest(Id id) {
        entities_[id].newer = none;
        entities_[id].older = newest_;
        if (newest_ != none) entities_[newest_].newer = id;
        newest_ = id;
        if (oldest_ == none) oldest_ = id;
    }

    void unlink(Id id) {
        const Entity& entity = entities_[id];
        (entity.newer == none ? newest_ : entities_[entity.newer].older) = entity.older;
        (entity.older == none ? oldest_ : entities_[entity.older].newer) = entity.newer;
    }

    // A place holds 32 bits of the key, and the id + 1; zero is a free one. A key lies at its home or as near behind it
    // as there was room.
    static std::uint64_t entry(const Fingerprint& key, Id id) {
        return (key.high & 0xFFFFFFFF00000000ULL) | (static_cast<std::uint64_t>(id) + 1);
    }
    static Id id_at(std::uint64_t entry) { return static_cast<Id>(entry & 0xFFFFFFFFU) - 1; }
    std::size_t mask() const { return places_.size() - 1; }

    Id find(const Fingerprint& key) const {
        for (std::size_t at = key.low & mask();; at = (at + 1) & mask()) {
            const std::uint64_t held = places_[at];
            if (!held) return none;
            if ((held ^ key.high) >> 32 == 0 && entities_[id_at(held)].key == key) return id_at(held);
        }
    }

    void place(Id id) {
        const Fingerprint& key = entities_[id].key;
        std::size_t at = key.low & mask();
        while (places_[at]) at = (at + 1) & mask();
        places_[at] = entry(key, id);
    }

    // Takes an entity out; those behind it move up, so that no search ends at the gap.
    void displace(Id id) {
        const Fingerprint& key = entities_[id].key;
        std::size_t gap = key.low & mask();
        while (id_at(places_[gap]) != id) gap = (gap + 1) & mask();
        for (std::size_t at = (gap + 1) & mask(); places_[at]; at = (at + 1) & mask()) {
            const std::size_t home = entities_[id_at(places_[at])].key.low & mask();
            if (((at - home) & mask()) >= ((at - gap) & mask())) {
                places_[gap] = places_[at];
                gap = at;
            }
        }
        places_[gap] = 0;
    }

    // Before place(): at most half of the places are taken.
    void grow_places() {
        if (2 * entities_.size() <= places_.size()) return;
        places_.assign(2 * places_.size(), 0);
        for (std::size_t id = 0; id + 1 < entities_.size(); ++id) place(static_cast<Id>(id));
    }

    std::size_t max_entities_;
    double expiry_;
    std::vector<Entity> entities_;
    std::vector<std::uint64_t> places_;
    Id newest_ = none;
    Id oldest_ = none;
    std::uint64_t evicted_ = 0;
    std::uint64_t expired_ = 0;
    std::uint64_t late_ = 0;
    std::mutex mutex_;
};

template <typename Value>
nb::ndarray<nb::numpy, Value, nb::ndim<1>> as_array(std::vector<Value>&& values) {
    auto* const owned = new std::vector<Value>(std::move(values));
    const nb::capsule owner(owned, [](void* held) noexcept { delete static_cast<std::vector<Value>*>(held); });
    return nb::ndarray<nb::numpy, Value, nb::ndim<1>>(owned->data(), {owned->size()}, owner);
}

using Keys = nb::ndarray<const std::uint64_t, nb::shape<-1, 2>, nb::c_contig, nb::device::cpu>;
using Times = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

}  // namespace

void register_interner(nb::module_& module) {
    nb::class_<Interner>(module, "Interner",
                         "Gives each entity a dense number while it is in use, in bounded memory. Thread-safe.\n\n"
                         "Parameters\n----------\n"
                         "max_entities\n    Entities known at a time. One more takes the number of the least recently "
                         "used.\n"
                         "expiry\n    Seconds after which an unused entity starts anew, and its number may go to "
                         "another.")
        .def(nb::init<std::size_t, double>(), nb::arg("max_entities"), nb::arg("expiry"))
        .def_prop_ro("max_entities", &Interner::max_entities)
        .def_prop_ro("expiry", &Interner::expiry)
        .def_prop_ro("size", &Interner::size, "Numbers handed out so far: all are below it.")
        .def_prop_ro("evicted", &Interner::evicted, "Entities that had to go before they expired.")
        .def_prop_ro("expired", &Interner::expired, "Entities that expired, as far as that was noticed.")
        .def_prop_ro("late", &Interner::late, "Rows that were earlier than the last one of their entity.")
        .def_prop_ro(
            "generations", [](Interner& interner) { return as_array(interner.generations()); },
            nb::rv_policy::automatic,
            "uint32 [size]: how often each number went to a new entity, or its own started anew.")
        .def(
            "assign",
            [](Interner& interner, Keys keys, Times times) {
                const std::size_t rows = keys.shape(0);
                if (times.shape(0) != rows) throw std::invalid_argument("keys and times differ in length");
                std::vector<std::int32_t> ids(rows);
                std::vector<double> elapsed(rows), seen(rows);
                {
                    nb::gil_scoped_release unlocked;
                    interner.assign(keys.data(), times.data(), rows, ids.data(), elapsed.data(), seen.data());
                }
                return std::make_tuple(as_array(std::move(ids)), as_array(std::move(elapsed)),
                                       as_array(std::move(seen)));
            },
            nb::arg("keys"), nb::arg("times"),
            "Return the number of each row's entity, the seconds since its last row, and its time.\n\n"
            "Parameters\n----------\n"
            "keys\n    uint64 [n, 2], from fingerprints or paired_fingerprints.\n"
            "times\n    float64 [n], seconds, finite.\n\n"
            "Returns\n-------\n"
            "ids\n    int32 [n], below size; -1 where the key is missing.\n"
            "elapsed\n    float64 [n]; NaN where the entity is new or starts anew, and what is kept of its number is\n"
            "    to be cleared.\n"
            "times\n    float64 [n]: the row's time, or that of the entity's latest row where that is later.")
        .def(
            "saved",
            [](Interner& interner) {
                const std::string bytes = interner.saved();
                return nb::bytes(bytes.data(), bytes.size());
            },
            "Return everything as bytes, for restore.")
        .def(
            "restore",
            [](Interner& interner, nb::bytes state) {
                const char* const bytes = state.c_str();
                const std::size_t length = state.size();
                nb::gil_scoped_release unlocked;
                interner.restore(bytes, length);
            },
            nb::arg("state"),
            "Take over the state of an interner with the same parameters; raises ValueError for anything else.");
}

}  // namespace netsieve
