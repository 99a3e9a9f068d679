"""Slow, obvious twins of the interner and of the kernels that see neighbours."""

import math

WORD = 2**64 - 1


def siphash_128(key, text):
    """Return SipHash-2-4-128 by the paper's description, low word first."""

    def rotated(value, bits):
        return (value << bits | value >> (64 - bits)) & WORD

    def rounds(v, count):
        for _ in range(count):
            v[0] = (v[0] + v[1]) & WORD
            v[1] = rotated(v[1], 13) ^ v[0]
            v[0] = rotated(v[0], 32)
            v[2] = (v[2] + v[3]) & WORD
            v[3] = rotated(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & WORD
            v[3] = rotated(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & WORD
            v[1] = rotated(v[1], 17) ^ v[2]
            v[2] = rotated(v[2], 32)

    low, high = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [
        low ^ 0x736F6D6570736575,
        high ^ 0x646F72616E646F6D ^ 0xEE,
        low ^ 0x6C7967656E657261,
        high ^ 0x7465646279746573,
    ]
    padded = text + bytes(7 - len(text) % 8) + bytes([len(text) & 0xFF])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v[3] ^= word
        rounds(v, 2)
        v[0] ^= word
    v[2] ^= 0xEE
    rounds(v, 4)
    first = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    rounds(v, 4)
    return first, v[0] ^ v[1] ^ v[2] ^ v[3]


class Interner:
    """Numbers entities: a dictionary, and a list in the order of use."""

    def __init__(self, max_entities, expiry):
        self.max_entities, self.expiry = max_entities, expiry
        self.number, self.last, self.order = {}, {}, []
        self.evicted = self.expired = self.late = 0

    def assign(self, key, time):
        """Return number, seconds since the last row (NaN for a new entity), and time."""
        if key is None:
            return -1, math.nan, time
        if key in self.number:
            self.order.remove(key)
            self.order.append(key)
            passed = time - self.last[key]
            if abs(passed) > self.expiry:
                self.expired += 1
                self.last[key] = time
                return self.number[key], math.nan, time
            self.late += passed < 0
            self.last[key] = max(self.last[key], time)
            return self.number[key], passed if passed > 0 else 0.0, self.last[key]
        oldest = self.order[0] if self.order else None
        is_stale = oldest is not None and abs(time - self.last[oldest]) > self.expiry
        if is_stale or len(self.order) == self.max_entities:
            self.expired += is_stale
            self.evicted += not is_stale
            self.order.remove(oldest)
            del self.last[oldest]
            number = self.number.pop(oldest)
        else:
            number = len(self.order)
        self.order.append(key)
        self.number[key], self.last[key] = number, time
        return number, math.nan, time


def entity_rows(ids, elapsed):
    """Yield each row with the rows of its entity up to it, as far as they count; none without an entity."""
    rows = {}
    for i, entity in enumerate(ids):
        if entity < 0:
            yield i, []
            continue
        if math.isnan(elapsed[i]):
            rows[entity] = []
        rows[entity].append(i)
        yield i, rows[entity]


def rates(ids, elapsed, failed, sent, received, windows):
    """Return [window][records, failed share, sent, received][row], each from all rows of the entity anew."""
    out = [[[math.nan] * len(ids) for _ in range(4)] for _ in windows]
    for i, rows in entity_rows(ids, elapsed):
        for w, window in enumerate(windows):
            sums = [0.0] * 4
            age = 0.0
            for row in reversed(rows):
                weight = math.exp(-age / window)
                amounts = (1, failed[row], sent[row], received[row])
                sums = [a + weight * (0 if math.isnan(b) else b) for a, b in zip(sums, amounts, strict=True)]
                age += 0.0 if math.isnan(elapsed[row]) else elapsed[row]
            if rows:
                for k, value in enumerate([sums[0], sums[1] / sums[0], sums[2], sums[3]]):
                    out[w][k][i] = value
    return out


def distinct(ids, elapsed, times, fingerprints, windows, buckets=64):
    """Return [window][row], by linear counting of the places that were taken within each window."""
    out = [[math.nan] * len(ids) for _ in windows]
    for i, rows in entity_rows(ids, elapsed):
        for w, window in enumerate(windows):
            now = math.floor(times[i])
            taken = {
                fingerprints[row][0] * buckets // 2**64
                for row in rows
                if tuple(fingerprints[row]) != (0, 0) and now - math.floor(times[row]) < window
            }
            if rows:
                free = max(buckets - len(taken), 1)
                out[w][i] = buckets * math.log(buckets / free)
    return out


def regularity(ids, elapsed, values, memory=32):
    """Return [mean, deviation over mean][row] of the values of the entity, weighted as they fade."""
    out = [[math.nan] * len(ids) for _ in range(2)]
    for i, rows in entity_rows(ids, elapsed):
        present = [values[row] for row in rows if not math.isnan(values[row])]
        if len(present) < 3:
            continue
        head, tail = present[:memory], present[memory:]
        weights = [1 / len(head)] * len(head)
        for _ in tail:
            weights = [weight * (1 - 1 / memory) for weight in weights] + [1 / memory]
        mean = math.fsum(w * x for w, x in zip(weights, present, strict=True))
        variance = math.fsum(w * (x - mean) ** 2 for w, x in zip(weights, present, strict=True))
        out[0][i] = mean
        out[1][i] = math.sqrt(variance) / mean if mean > 0 else 0.0
    return out


def observed_seconds(times, silence):
    """Return how long records have been seen at each of ascending times, record by record."""
    seen = []
    for i, time in enumerate(times):
        if i == 0 or time - times[i - 1] > silence:
            begin = time
        seen.append(time - begin)
    return seen


def departure(surprise, calibration_records, independent=32):
    """Return how far an entity's records depart from the calibration's, in powers of ten."""
    largest = 0.0
    for quarter in range(1, 25):
        k = sum(value >= quarter / 4 for value in surprise)
        n = len(surprise) * (min(1, independent / k) if k else 1)
        k = min(k, independent)
        c = max((calibration_records + 1) / 10 ** (quarter / 4), 1)
        e = (k + c) * n / (n + calibration_records)
        f = (k + c) * calibration_records / (n + calibration_records)
        if k > e:
            largest = max(largest, k * math.log10(k / e) + c * math.log10(c / f))
    return largest


def ranking(names, scores, surprise, flags, calibration_records):
    """Return (name, surprise, records, anomalies, highest score) of each entity, worst first."""
    rows = {}
    for i, name in enumerate(names):
        if name is not None:
            rows.setdefault(name, []).append(i)
    table = []
    for name, own in rows.items():
        evidence = departure([surprise[i] for i in own], calibration_records)
        table.append((name, evidence, len(own), sum(flags[i] for i in own), max(scores[i] for i in own)))
    return sorted(table, key=lambda row: (-row[1], -row[3] / row[2], -row[3], -row[4], row[0]))
