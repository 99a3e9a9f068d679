#include "interner.hpp"

#include <cmath>
#include <cstring>
#include <stdexcept>

namespace netsieve {

namespace {

constexpr std::size_t most_entities = std::size_t{1} << 30;
constexpr std::size_t first_places = 1024;
constexpr std::size_t looked_ahead = 16;  // rows whose places are fetched into the cache beforehand
constexpr std::uint32_t state_magic = 0x494e534e;
constexpr std::uint32_t state_version = 1;

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
    // the n-th entry holds the n-th most recently used id; it belongs to no entity of that row
    std::uint32_t older_in_use;
};
static_assert(sizeof(StoredEntity) == 32);

}  // namespace

Interner::Interner(std::size_t max_entities, double expiry) : max_entities_(max_entities), expiry_(expiry) {
    if (max_entities < 1 || max_entities > most_entities)
        throw std::invalid_argument("max_entities must be from 1 to 2^30");
    if (!(expiry > 0)) throw std::invalid_argument("expiry must be above zero");
    places_.assign(first_places, 0);
}

void Interner::assign(const std::uint64_t* keys, const double* times, std::size_t rows, std::int32_t* ids,
                      double* elapsed, double* seen) {
    const std::lock_guard<std::mutex> locked(mutex_);
    for (std::size_t row = 0; row < rows; ++row)
        if (!std::isfinite(times[row])) throw std::invalid_argument("times must be finite");
    for (std::size_t row = 0; row < rows; ++row) {
        if (row + looked_ahead < rows) __builtin_prefetch(&places_[keys[2 * (row + looked_ahead)] & mask()]);
        assign_one({keys[2 * row], keys[2 * row + 1]}, times[row], ids[row], elapsed[row], seen[row]);
    }
}

std::vector<std::uint32_t> Interner::generations() {
    const std::lock_guard<std::mutex> locked(mutex_);
    std::vector<std::uint32_t> found;
    found.reserve(entities_.size());
    for (const Entity& entity : entities_) found.push_back(entity.generation);
    return found;
}

std::string Interner::saved() {
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

void Interner::restore(const char* bytes, std::size_t length) {
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

void Interner::refuse() {
    entities_.clear();
    places_.assign(first_places, 0);
    newest_ = oldest_ = none;
    throw std::invalid_argument("these bytes are no state of such an interner");
}

void Interner::assign_one(const Fingerprint& key, double time, std::int32_t& id, double& elapsed, double& seen) {
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

Interner::Id Interner::added(const Fingerprint& key, double time) {
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

void Interner::make_newest(Id id) {
    entities_[id].newer = none;
    entities_[id].older = newest_;
    if (newest_ != none) entities_[newest_].newer = id;
    newest_ = id;
    if (oldest_ == none) oldest_ = id;
}

void Interner::unlink(Id id) {
    const Entity& entity = entities_[id];
    (entity.newer == none ? newest_ : entities_[entity.newer].older) = entity.older;
    (entity.older == none ? oldest_ : entities_[entity.older].newer) = entity.newer;
}

Interner::Id Interner::find(const Fingerprint& key) const {
    for (std::size_t at = key.low & mask();; at = (at + 1) & mask()) {
        const std::uint64_t held = places_[at];
        if (!held) return none;
        if ((held ^ key.high) >> 32 == 0 && entities_[id_at(held)].key == key) return id_at(held);
    }
}

void Interner::place(Id id) {
    const Fingerprint& key = entities_[id].key;
    std::size_t at = key.low & mask();
    while (places_[at]) at = (at + 1) & mask();
    places_[at] = entry(key, id);
}

void Interner::displace(Id id) {
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

void Interner::grow_places() {
    if (2 * entities_.size() <= places_.size()) return;
    places_.assign(2 * places_.size(), 0);
    for (std::size_t id = 0; id + 1 < entities_.size(); ++id) place(static_cast<Id>(id));
}

}  // namespace netsieve
