"""Small writers of packets and capture files for the tests, and random captures."""

import ipaddress
import struct

SECOND = 10**9
START = 1_600_000_000 * SECOND
ETHERNET, LINUX_COOKED, LINUX_COOKED_2, RAW, NULL, LOOP = 1, 113, 276, 101, 0, 108
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))


def tcp(source=1234, destination=80, flags=ACK, payload=b"", *, window=1000, options=b""):
    offset = (20 + len(options)) // 4 << 4
    return struct.pack(">HHIIBBHHH", source, destination, 1, 2, offset, flags, window, 0, 0) + options + payload


def udp(source=1234, destination=53, payload=b""):
    return struct.pack(">HHHH", source, destination, 8 + len(payload), 0) + payload


def icmp(kind=8, code=0, payload=b""):
    return struct.pack(">BBHI", kind, code, 0, 0) + payload


def ipv4(source, destination, protocol, content, *, options=b"", fragment=0, identification=7, total=None, ttl=64):
    header = 20 + len(options)
    total = header + len(content) if total is None else total
    addresses = ipaddress.IPv4Address(source).packed + ipaddress.IPv4Address(destination).packed
    first = 0x40 | header // 4
    fields = struct.pack(">BBHHHBBH", first, 0, total, identification, fragment, ttl, protocol, 0)
    return fields + addresses + options + content


def ipv6(source, destination, following, content, *, payload=None):
    addresses = ipaddress.IPv6Address(source).packed + ipaddress.IPv6Address(destination).packed
    payload = len(content) if payload is None else payload
    return struct.pack(">IHBB", 6 << 28, payload, following, 64) + addresses + content


def extension(following, content, *, size=8):
    return bytes([following, size // 8 - 1]) + bytes(size - 2) + content


def fragment_header(following, offset, more, content, identification=9):
    return struct.pack(">BBHI", following, 0, offset | more, identification) + content


def arp(source, destination):
    addresses = [ipaddress.IPv4Address(address).packed for address in (source, destination)]
    return struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + bytes(6) + addresses[0] + bytes(6) + addresses[1]


def ethernet(kind, content, *tags):
    header = bytes.fromhex("020000000002020000000001")
    for tag, number in tags:
        header += struct.pack(">HH", tag, number)
    return header + struct.pack(">H", kind) + content


def linked(link_type, kind, content):
    """Return a packet with the header of a link type."""
    if link_type == ETHERNET:
        return ethernet(kind, content)
    if link_type == LINUX_COOKED:
        return struct.pack(">HHH8sH", 0, 1, 6, b"\x02\x00\x00\x00\x00\x01\x00\x00", kind) + content
    if link_type == LINUX_COOKED_2:
        return struct.pack(">HHIHBB8s", kind, 0, 1, 1, 0, 6, b"\x02\x00\x00\x00\x00\x01\x00\x00") + content
    if link_type == NULL:
        return struct.pack("<I", 2 if kind == 0x0800 else 30) + content
    if link_type == LOOP:
        return struct.pack(">I", 2 if kind == 0x0800 else 24) + content
    return content


def pcap(packets, *, order="<", nanoseconds=False, link_type=ETHERNET):
    """Return a pcap file. packets: (time in nanoseconds, bytes) or (time, bytes, length on the wire)."""
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    file = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link_type)
    for time, data, *length in packets:
        fraction = time % SECOND // (1 if nanoseconds else 1000)
        file += struct.pack(order + "IIII", time // SECOND, fraction, len(data), *(length or [len(data)])) + data
    return file


def block(kind, body, *, order="<"):
    body += bytes(-len(body) % 4)
    total = 12 + len(body)
    return struct.pack(order + "II", kind, total) + body + struct.pack(order + "I", total)


def section(*, order="<"):
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order=order)


def interface(link_type=ETHERNET, *, order="<", snap_length=0, resolution=None, offset=None):
    body = struct.pack(order + "HHI", link_type, 0, snap_length)
    if resolution is not None:
        body += struct.pack(order + "HHB3x", 9, 1, resolution)
    if offset is not None:
        body += struct.pack(order + "HHq", 14, 8, offset)
    return block(1, body + bytes(4), order=order)


def enhanced(ticks, data, *, order="<", number=0, length=None, captured=None):
    captured = len(data) if captured is None else captured
    length = len(data) if length is None else length
    fields = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, captured, length)
    return block(6, fields + data, order=order)


def obsolete(ticks, data, *, order="<", number=0):
    fields = struct.pack(order + "HHIIII", number, 0, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
    return block(2, fields + data, order=order)


def simple(data, *, order="<", length=None):
    return block(3, struct.pack(order + "I", len(data) if length is None else length) + data, order=order)


def random_segment(random):
    """Return a packet of one of two TCP connections, which last longer than those of random flags."""
    flags = random.choice(
        [ACK] * 12 + [ACK | PSH] * 3 + [SYN, SYN, SYN | ACK, SYN | ACK, ACK | FIN, ACK | FIN, RST | ACK]
    )
    ends, ports = ("10.0.0.1", "10.0.0.2"), (random.choice([1024, 1024, 1024, 1025]), 80)
    if flags == SYN | ACK or (flags != SYN and random.random() < 0.3):
        ends, ports = ends[::-1], ports[::-1]
    return 0x0800, ipv4(*ends, 6, tcp(*ports, flags, bytes(random.choice([0, 1, 50]))))


def random_packet(random, *, few=False):
    """Return the Ethernet type and the network layer of a random packet between a few hosts."""
    if few:
        return random_segment(random)
    first, second = random.sample(["10.0.0.1", "10.0.0.2", "192.168.100.200"], 2)
    if random.random() < 0.02:
        second = first
    ports = (random.choice([1024, 1025]), random.choice([80, 0]))
    if random.random() < 0.5:
        first, second, ports = second, first, ports[::-1]
    payload = bytes(random.choice([0, 0, 1, 9, 30]))
    protocol = random.choice([6, 6, 6, 6, 17, 17, 1, 58, 132, 47, 200])
    if protocol == 6:
        flags = random.choice(
            [SYN, SYN | ACK, ACK, ACK | PSH, ACK | FIN, RST, RST | ACK, URG | ACK, random.randrange(256)]
        )
        content = tcp(*ports, flags, payload, window=random.randrange(65536), options=bytes(random.choice([0, 0, 12])))
    elif protocol == 17:
        content = udp(*ports, payload)
    elif protocol in (1, 58):
        content = icmp(random.choice([0, 8]), 0, payload)
    else:
        content = struct.pack(">HH", *ports) + bytes(8) + payload
    kind = random.random()
    if kind < 0.05:
        return 0x0806, arp(first, second)
    if kind < 0.1:
        return random.choice([0x88CC, 0x0026]), bytes(random.choice([0, 38]))
    if kind < 0.7:
        fragment = random.choice([0] * 12 + [0x2000, 0x2000, 0x4000, 1, 0x2002])
        return 0x0800, ipv4(
            first,
            second,
            protocol,
            content,
            options=bytes(random.choice([0, 0, 0, 4])),
            fragment=fragment,
            identification=random.choice([5, 6]),
            total=random.choice([None] * 9 + [0, 10, 65535]),
        )
    following = protocol
    for _ in range(random.choice([0, 0, 0, 1, 2])):
        if random.random() < 0.3:
            following, content = (
                44,
                fragment_header(following, random.choice([0, 0, 8]), random.choice([0, 1]), content),
            )
        else:
            content = extension(following, content, size=random.choice([8, 16]))
            following = random.choice([0, 43, 60])
    addresses = [f"2001:db8::{address}" for address in (first, second)]
    return 0x86DD, ipv6(*addresses, following, content, payload=random.choice([None] * 9 + [0, 4]))


STEPS = [0, 1000, 1_000_001, SECOND // 2, SECOND, SECOND + 1, 5 * SECOND, 6 * SECOND, 40 * SECOND, 121 * SECOND]


def random_packets(random, count, *, link_type=None, wild=True, few=False):
    """Return packets as (link type, time, bytes, length on the wire). wild: with cut, odd and garbled ones; few: of few
    connections, seldom far apart in time.
    """
    packets, now = [], START
    for _ in range(count):
        if random.random() < (0.98 if few else 0.8):
            now += random.choice(STEPS[:5])
        else:
            now += random.choice([*STEPS, -1000, -SECOND, -130 * SECOND])
        link = random.choice([1, 1, 1, 12, 101, 228, 229, 113, 276, 0, 108, 147]) if link_type is None else link_type
        kind, content = random_packet(random, few=few)
        data = linked(link, kind, content)
        if link == ETHERNET and random.random() < 0.1:
            tags = [(0x8100, 0x2005)] if random.random() < 0.5 else [(0x88A8, 9), (0x8100, 10), (0x9100, 11)]
            data = ethernet(kind, content, *tags)
        length = len(data)
        if wild and random.random() < 0.15:
            data = data[: random.randrange(len(data) + 1)]
        if wild and random.random() < 0.05 and data:
            at = random.randrange(len(data))
            data = data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
        if wild and random.random() < 0.02:
            length = random.choice([0, 20, 100_000])
        packets.append((link, now, data, length))
    return packets


def random_capture(random, count=60, *, wild=True):
    """Return a random capture file, of one of the formats."""
    order = random.choice("<>")
    few = random.random() < 0.5
    options = {"few": few, "wild": wild and not few}
    if random.random() < 0.5:
        link_type = random.choice([1, 1, 1, 101, 113, 276, 0])
        packets = [packet[1:] for packet in random_packets(random, count, link_type=link_type, **options)]
        return pcap(packets, order=order, nanoseconds=random.random() < 0.5, link_type=link_type)
    file, interfaces = b"", []
    for link, now, data, length in random_packets(random, count, **options):
        if not file or random.random() < 0.02:
            order, interfaces = random.choice("<>"), []
            file += section(order=order)
        if link not in [known for known, *_ in interfaces]:
            resolution = random.choice([None, 6, 9, 3, 0, 12, 0x80 | 20, 0x80 | 30])
            offset = random.choice([None, 0, 3600])
            interfaces.append((link, resolution, offset or 0))
            file += interface(link, order=order, resolution=resolution, offset=offset)
        number = [known for known, *_ in interfaces].index(link)
        _, resolution, offset = interfaces[number]
        power = 6 if resolution is None else resolution & 127
        rate = 2**power if resolution is not None and resolution & 128 else 10**power
        ticks = (now - offset * SECOND) * rate // SECOND
        if ticks >= 1 << 64 or random.random() < 0.02:
            file += simple(data, order=order, length=length)
        elif random.random() < 0.05:
            file += obsolete(ticks, data, order=order, number=number)
        else:
            file += enhanced(ticks, data, order=order, number=number, length=length)
        if random.random() < 0.03:
            file += random.choice(
                [
                    block(5, bytes(16), order=order),
                    block(0x80000001, b"abc", order=order),
                    enhanced(ticks % 2**64, data, order=order, number=99),
                    enhanced(ticks % 2**64, data, order=order, captured=len(data) + 50),
                    enhanced(2**64 - 1, data, order=order),
                ]
            )
    return file or section()
