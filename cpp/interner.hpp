// Entities (hosts, pairs of hosts) as dense numbers, so that kernels can keep what they know of them in arrays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <string>
#include <vector>

#include "fingerprint.hpp"

namespace netsieve {

class Interner {
  public:
    Interner(std::size_t max_entities, double expiry);

    std::size_t max_entities() const { return max_entities_; }
    double expiry() const { return expiry_; }
    std::size_t size() const { return entities_.size(); }
    std::uint64_t evicted() const { return evicted_; }
    std::uint64_t expired() const { return expired_; }
    std::uint64_t late() const { return late_; }

    // What entities.cpp says of the Python methods; throws std::invalid_argument.
    void assign(const std::uint64_t* keys, const double* times, std::size_t rows, std::int32_t* ids, double* elapsed,
                double* seen);
    std::vector<std::uint32_t> generations();
    std::string saved();
    void restore(const char* bytes, std::size_t length);

  private:
    using Id = std::uint32_t;
    static constexpr Id none = std::numeric_limits<Id>::max();

    struct Entity {
        Fingerprint key;
        double last_seen;
        Id newer;  // in the order of use
        Id older;
        std::uint32_t generation;
        std::uint32_t unused;
    };

    [[noreturn]] void refuse();
    void assign_one(const Fingerprint& key, double time, std::int32_t& id, double& elapsed, double& seen);
    // A place for a new entity: of one that has expired, else a further one, else that of the least recently used.
    Id added(const Fingerprint& key, double time);
    void make_newest(Id id);
    void unlink(Id id);
    // A place holds 32 bits of the key, and the id + 1; zero is a free one. A key lies at its home or as near behind it
    // as there was room.
    static std::uint64_t entry(const Fingerprint& key, Id id) {
        return (key.high & 0xFFFFFFFF00000000ULL) | (static_cast<std::uint64_t>(id) + 1);
    }
    static Id id_at(std::uint64_t entry) { return static_cast<Id>(entry & 0xFFFFFFFFU) - 1; }
    std::size_t mask() const { return places_.size() - 1; }

    Id find(const Fingerprint& key) const;
    void place(Id id);
    // Takes an entity out; those behind it move up, so that no search ends at the gap.
    void displace(Id id);
    // Before place(): at most half of the places are taken.
    void grow_places();

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

}  // namespace netsieve
