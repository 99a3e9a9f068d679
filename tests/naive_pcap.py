"""Slow, obvious twin of the capture reader: packets by struct and slices, flows by lists and dicts."""

import ipaddress
import math
import socket
import struct
from collections import OrderedDict
from fractions import Fraction
from itertools import pairwise

from netsieve.engine.sources.direction import PRIVATE_NETWORKS

MAX_PACKET = 262_144
MAX_BLOCK = 16 * 1024 * 1024
SECOND = 10**9

# Where packets begin and end


def read_capture(data):
    """Return the packets of a capture and the number of blocks that hold none.

    A packet is a dict with time (nanoseconds or None), interface, link_type, length and bytes, or one with reason
    (number) and offset; damaged ones have also end, where reading goes on.
    """
    if data[:4] == b"\x0a\x0d\x0d\x0a":
        return _read_blocks(data)
    packets = []
    at = 0
    while at < len(data):
        reason = 0
        if at == 0 or (_is_joined_header(data, at) and len(data) - at >= 24):
            magic = data[at : at + 4]
            order, nanoseconds = ORDERS[magic], b"\x3c" in (magic[1:2], magic[2:3])
            link_type = struct.unpack(order + "I", data[at + 20 : at + 24])[0] & 0xFFFF
            last_seconds = None
            at += 24
            continue
        if len(data) - at < 16 or _is_joined_header(data, at):
            reason = 2
        else:
            seconds, fraction, captured, length = struct.unpack(order + "IIII", data[at : at + 16])
            if captured > MAX_PACKET:
                reason = 1
            elif captured > len(data) - at - 16:
                reason = 2
        if reason:
            end = _resume_pcap(data, at + 1, order, nanoseconds, last_seconds)
            packets.append({"reason": reason, "offset": at, "end": end})
            at = len(data) if end is None else end
            continue
        packets.append(
            {
                "time": seconds * SECOND + fraction * (1 if nanoseconds else 1000),
                "interface": 0,
                "link_type": link_type,
                "length": length,
                "bytes": data[at + 16 : at + 16 + captured],
                "offset": at,
            }
        )
        last_seconds = seconds
        at += 16 + captured
    return packets, 0


ORDERS = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">"}


def _is_joined_header(data, at):
    order = ORDERS.get(data[at : at + 4])
    return order is not None and data[at + 4 : at + 12] == struct.pack(order + "HHI", 2, 4, 0)


def _resume_pcap(data, start, order, nanoseconds, last_seconds):
    def plausible(at):
        if len(data) - at < 16:
            return None
        seconds, fraction, captured, length = struct.unpack(order + "IIII", data[at : at + 16])
        sound = 0 < captured <= length <= MAX_PACKET and fraction < (SECOND if nanoseconds else 10**6)
        sound = sound and (last_seconds is None or abs(seconds - last_seconds) <= 86400)
        return at + 16 + captured if sound else None

    for at in range(start, len(data) - 15):
        if _is_joined_header(data, at):
            return at
        following = plausible(at)
        if following is None:
            continue
        joined = len(data) - following >= 16 and _is_joined_header(data, following)
        if following == len(data) or joined or plausible(following) is not None:
            return at
    return None


def _read_blocks(data):
    packets, other = [], 0
    order, interfaces = "<", []
    at = 0
    while at < len(data):
        rest = len(data) - at
        reason, total, now = 0, 0, order
        if rest < 12:
            reason = 2
        else:
            if data[at : at + 4] == b"\x0a\x0d\x0d\x0a":
                now = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(data[at + 8 : at + 12])
            if now is not None:
                (total,) = struct.unpack(now + "I", data[at + 4 : at + 8])
            smallest = 28 if data[at : at + 4] == b"\x0a\x0d\x0d\x0a" else 12
            if now is None or total < smallest or total % 4 or total > MAX_BLOCK:
                reason = 3
            elif total > rest:
                reason = 2
            elif struct.unpack(now + "I", data[at + total - 4 : at + total])[0] != total:
                reason = 3
        if reason:
            end = _resume_blocks(data, at + 1, order)
            packets.append({"reason": reason, "offset": at, "end": end})
            at = len(data) if end is None else end
            continue
        block, body = at, data[at + 8 : at + total - 4]
        at += total
        if data[block : block + 4] == b"\x0a\x0d\x0d\x0a":
            order, interfaces = now, []
            continue
        (kind,) = struct.unpack(order + "I", data[block : block + 4])
        if kind == 1:
            if len(body) >= 8:
                interfaces.append(_interface(body, order))
        elif kind in (2, 3, 6):
            packets.append({"offset": block} | _block_packet(kind, body, order, interfaces))
        else:
            other += 1
    return packets, other


def _interface(body, order):
    link_type, _, snap_length = struct.unpack(order + "HHI", body[:8])
    resolution, offset = Fraction(1, 10**6), 0
    at = 8
    while at + 4 <= len(body):
        option, length = struct.unpack(order + "HH", body[at : at + 4])
        value = body[at + 4 : at + 4 + length]
        if option == 0 or len(value) < length:
            break
        if option == 9 and length >= 1:
            resolution = Fraction(1, 2 ** (value[0] & 127)) if value[0] & 128 else Fraction(1, 10 ** value[0])
        if option == 14 and length >= 8:
            (offset,) = struct.unpack(order + "q", value[:8])
        at += 4 + (length + 3) // 4 * 4
    return {"link_type": link_type, "snap_length": snap_length, "resolution": resolution, "offset": offset}


def _block_packet(kind, body, order, interfaces):
    header = 4 if kind == 3 else 20
    if len(body) < header:
        return {"reason": 5}
    number = 0
    if kind == 6:
        (number,) = struct.unpack(order + "I", body[:4])
    if kind == 2:
        (number,) = struct.unpack(order + "H", body[:2])
    if number >= len(interfaces):
        return {"reason": 4}
    interface = interfaces[number]
    time = None
    if kind == 3:
        (length,) = struct.unpack(order + "I", body[:4])
        captured = min(length, interface["snap_length"] or length, len(body) - 4)
    else:
        high, low, captured, length = struct.unpack(order + "IIII", body[4:20])
        if captured > len(body) - 20:
            return {"reason": 5}
        time = math.floor((high << 32 | low) * SECOND * interface["resolution"]) + interface["offset"] * SECOND
        if not -(2**63) <= time < 2**63:
            return {"reason": 6}
    if captured > MAX_PACKET:
        return {"reason": 1}
    return {
        "time": time,
        "interface": number,
        "link_type": interface["link_type"],
        "length": length,
        "bytes": body[header : header + captured],
    }


def _resume_blocks(data, start, order):
    for at in range(start, len(data) - 11):
        now = order
        if data[at : at + 4] == b"\x0a\x0d\x0d\x0a":
            now = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(data[at + 8 : at + 12])
            if now is None:
                continue
        elif not 1 <= struct.unpack(now + "I", data[at : at + 4])[0] <= 6:
            continue
        (total,) = struct.unpack(now + "I", data[at + 4 : at + 8])
        sound = 12 <= total <= MAX_PACKET + 4096 and total % 4 == 0 and at + total <= len(data)
        if sound and struct.unpack(now + "I", data[at + total - 4 : at + total])[0] == total:
            return at
    return None


# What a packet holds

PROTOCOLS = {
    0: "hopopt", 1: "icmp", 2: "igmp", 4: "ipv4", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 46: "rsvp", 47: "gre",
    50: "esp", 51: "ah", 58: "icmpv6", 59: "no-next-header", 88: "eigrp", 89: "ospf", 103: "pim", 112: "vrrp",
    115: "l2tp", 132: "sctp", 136: "udplite", 137: "mpls-in-ip",
}  # fmt: skip


def packet_row(packet):
    """Return the columns of a packet, without those that are missing."""
    data = packet["bytes"]
    row = {
        "interface": packet["interface"],
        "link_type": packet["link_type"],
        "length": packet["length"],
        "captured_length": len(data),
    }
    if packet["time"] is not None:
        row |= {"time_nanoseconds": packet["time"], "time": packet["time"] // 1000}
    wire = max(packet["length"], len(data))
    link = packet["link_type"]
    if link == 1 and len(data) >= 14:
        row |= {"destination_mac": data[:6].hex(":"), "source_mac": data[6:12].hex(":")}
        _ethertype(row, data[12:], wire - 12)
    elif link == 113 and len(data) >= 16:
        if data[4:6] == b"\x00\x06":
            row["source_mac"] = data[6:12].hex(":")
        _ethertype(row, data[14:], wire - 14)
    elif link == 276 and len(data) >= 20:
        if data[11] == 6:
            row["source_mac"] = data[12:18].hex(":")
        _ethertype(row, data[:2] + data[20:], wire - 18)
    elif link in (12, 14, 101) and data:
        if data[0] >> 4 == 4:
            _ipv4(row, data, wire)
        elif data[0] >> 4 == 6:
            _ipv6(row, data, wire)
    elif link == 228:
        _ipv4(row, data, wire)
    elif link == 229:
        _ipv6(row, data, wire)
    elif link in (0, 108) and len(data) >= 4:
        family = min(int.from_bytes(data[:4], "big"), int.from_bytes(data[:4], "little"))
        if family == 2:
            _ipv4(row, data[4:], wire - 4)
        elif family in (10, 24, 28, 30):
            _ipv6(row, data[4:], wire - 4)
    if "protocol_number" in row:
        row["protocol"] = PROTOCOLS.get(row["protocol_number"], str(row["protocol_number"]))
    return row


def _ethertype(row, data, wire):
    """Read an Ethernet type and what follows it."""
    (kind,) = struct.unpack(">H", data[:2])
    row["ethertype"] = kind
    data, wire = data[2:], wire - 2
    if kind in (0x8100, 0x88A8, 0x9100):
        if len(data) >= 4:
            tag = struct.unpack(">H", data[:2])[0] & 0xFFF
            if "vlan_id" not in row:
                row["vlan_id"] = tag
            elif "inner_vlan_id" not in row:
                row["inner_vlan_id"] = tag
            _ethertype(row, data[2:], wire - 2)
    elif kind == 0x0800:
        _ipv4(row, data, wire)
    elif kind == 0x86DD:
        _ipv6(row, data, wire)
    elif kind == 0x0806:
        row["protocol"] = "arp"
        if len(data) >= 28 and data[2:6] == b"\x08\x00\x06\x04":
            row["source_address"] = str(ipaddress.IPv4Address(data[14:18]))
            row["destination_address"] = str(ipaddress.IPv4Address(data[24:28]))


def _ipv4(row, data, wire):
    if len(data) < 20 or data[0] >> 4 != 4 or data[0] & 15 < 5:
        return
    _, tos, total, identification, fragment, ttl, protocol = struct.unpack(">BBHHHBB", data[:10])
    header = 4 * (data[0] & 15)
    row |= {
        "ip_version": 4,
        "ip_header_length": header,
        "type_of_service": tos,
        "ip_identification": identification,
        "more_fragments": bool(fragment & 0x2000),
        "fragment_offset": 8 * (fragment & 0x1FFF),
        "ttl": ttl,
        "protocol_number": protocol,
        "source_address": str(ipaddress.IPv4Address(data[12:16])),
        "destination_address": str(ipaddress.IPv4Address(data[16:20])),
    }
    if header > len(data) or 0 < total < header:
        return
    wire -= header
    _transport(row, data[header:], min(wire, total - header) if total else wire)


def _ipv6(row, data, wire):
    if len(data) < 40 or data[0] >> 4 != 6:
        return
    word, payload, following, hops = struct.unpack(">IHBB", data[:8])
    row |= {
        "ip_version": 6,
        "ip_header_length": 40,
        "type_of_service": word >> 20 & 255,
        "ttl": hops,
        "fragment_offset": 0,
        "more_fragments": False,
        "source_address": socket.inet_ntop(socket.AF_INET6, data[8:24]),
        "destination_address": socket.inet_ntop(socket.AF_INET6, data[24:40]),
    }
    data, wire = data[40:], wire - 40
    if payload:
        wire = min(wire, payload)
        data = data[:wire]
    while following in (0, 43, 44, 51, 60, 135, 139, 140) and not row["fragment_offset"]:
        if len(data) < (8 if following == 44 else 2):
            return
        size = 8 if following == 44 else 8 + data[1] * (4 if following == 51 else 8)
        if following == 44:
            fragment, row["ip_identification"] = struct.unpack(">HI", data[2:8])
            row |= {"fragment_offset": fragment & 0xFFF8, "more_fragments": bool(fragment & 1)}
        if size > len(data):
            return
        row["ip_header_length"] += size
        following, data, wire = data[0], data[size:], wire - size
    row["protocol_number"] = following
    _transport(row, data, wire)


def _transport(row, data, wire):
    """Read what follows the IP header; wire: its length by that header."""
    data = data[:wire]
    if row["fragment_offset"]:
        row["payload_length"] = wire
        return
    protocol = row["protocol_number"]
    if protocol in (6, 17, 132) and len(data) >= 4:
        row["source_port"], row["destination_port"] = struct.unpack(">HH", data[:4])
    header = {17: 8, 132: 12, 1: 8, 58: 8}.get(protocol, 0)
    if protocol == 6:
        if len(data) < 13:
            return
        header = 4 * (data[12] >> 4)
        if len(data) >= 14:
            row["tcp_flags"] = data[13]
        if len(data) >= 16:
            (row["tcp_window"],) = struct.unpack(">H", data[14:16])
        if header < 20:
            return
    if protocol in (1, 58) and len(data) >= 2:
        row["icmp_type"], row["icmp_code"] = data[0], data[1]
    if header > wire:
        return
    if header:
        row["transport_header_length"] = header
    row["payload_length"] = wire - header


# Flows

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
KEPT_FRAGMENTS = 4096
CLOSING_TIME = 5 * SECOND


class Flows:
    """Flows from rows of packets, in the order they end; skipped packets are counted by what they lack."""

    def __init__(self, idle_timeout=120 * SECOND, active_timeout=1800 * SECOND, open_flows=1 << 18):
        self.idle_timeout, self.active_timeout, self.open_flows = idle_timeout, active_timeout, open_flows
        self.open = OrderedDict()  # by key, the one seen last at the end
        self.closing = OrderedDict()
        self.fragments = OrderedDict()
        self.finished = []
        self.skipped = {"packet without IP": 0, "packet without a time": 0, "packet cut before its protocol": 0}
        self.evicted = 0

    def add(self, row):
        if "ip_version" not in row:
            self.skipped["packet without IP"] += 1
        elif "protocol_number" not in row:
            self.skipped["packet cut before its protocol"] += 1
        elif "time_nanoseconds" not in row:
            self.skipped["packet without a time"] += 1
        else:
            self._add(row, row["time_nanoseconds"])

    def _add(self, row, now):
        for flows, limit in ((self.open, self.idle_timeout), (self.closing, CLOSING_TIME)):
            while flows and abs(now - self._end(next(iter(flows.values())))) > limit:
                self._close(next(iter(flows)), "idle timeout")
        ports = self._ports(row)
        source = (ipaddress.ip_address(row["source_address"]).packed, ports[0] if ports else None)
        destination = (ipaddress.ip_address(row["destination_address"]).packed, ports[1] if ports else None)
        key = (frozenset((source, destination)), row["protocol_number"])
        flags = row.get("tcp_flags", 0)
        answer = flags & SYN and flags & ACK
        ends = (destination, source) if answer else (source, destination)
        flow = self.open.get(key) or self.closing.get(key)
        if flow:
            closing = key in self.closing
            if abs(now - self._end(flow)) > (CLOSING_TIME if closing else self.idle_timeout):
                self._close(key, "idle timeout")
                flow = None
            elif closing and flags & SYN and not answer:
                self._close(key, "")
                flow = None
            elif now - flow["packets"][0]["time"] > self.active_timeout:
                ends = flow["ends"]
                self._close(key, "active timeout")
                flow = None
        if not flow:
            if len(self.open) + len(self.closing) == self.open_flows:
                if self.closing:
                    self._close(next(iter(self.closing)), "")
                else:
                    self.evicted += 1
                    self._close(next(iter(self.open)), "evicted")
            flow = {"ends": ends, "packets": [], "fins": set(), "reason": ""}
        forward = source == flow["ends"][0]
        time = max([now] + [packet["time"] for packet in flow["packets"][-1:]])
        flow["packets"].append({"row": row, "forward": forward, "time": time})
        self.open.pop(key, None)
        self.closing.pop(key, None)
        if not flow["reason"]:
            flow["reason"] = self._tcp_end(flow)
        (self.closing if flow["reason"] else self.open)[key] = flow

    def finish(self):
        for flows in (self.closing, self.open):
            while flows:
                self._close(next(iter(flows)), "end of file")

    @staticmethod
    def _end(flow):
        return flow["packets"][-1]["time"]

    @staticmethod
    def _tcp_end(flow):
        packet = flow["packets"][-1]
        flags = packet["row"].get("tcp_flags", 0)
        if flags & FIN:
            flow["fins"].add(packet["forward"])
        if flags & RST:
            return "rst"
        return "fin" if len(flow["fins"]) == 2 else ""

    def _close(self, key, reason):
        flow = self.open.pop(key, None) or self.closing.pop(key)
        flow["reason"] = flow["reason"] or reason
        self.finished.append(flow_row(flow))

    def _ports(self, row):
        ports = (row["source_port"], row["destination_port"]) if "source_port" in row else None
        names = ("source_address", "destination_address", "ip_version", "protocol_number", "ip_identification")
        key = tuple(row.get(name) for name in names)
        if row["fragment_offset"]:
            return self.fragments.get(key)
        if row["more_fragments"] and ports:
            if key not in self.fragments and len(self.fragments) == KEPT_FRAGMENTS:
                self.fragments.popitem(last=False)
            self.fragments[key] = ports
        return ports


def statistics(values, unit=1):
    """Return mean, deviation of the sample, largest and least; nothing where there is no value."""
    if not values:
        return {}
    mean = Fraction(sum(values), len(values))
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1) if len(values) > 1 else Fraction(0)
    return {
        "mean": float(mean * unit),
        "std": math.sqrt(variance) * float(unit),
        "max": max(values) if unit == 1 else float(max(values) * unit),
        "min": min(values) if unit == 1 else float(min(values) * unit),
        "variance": float(variance),
    }


def flow_row(flow):
    """Return the columns of a flow, without those that are missing."""
    packets, first = flow["packets"], flow["packets"][0]["row"]
    source, destination = (
        [(packet["row"], packet["time"]) for packet in packets if packet["forward"] == forward]
        for forward in (True, False)
    )
    swap = not packets[0]["forward"]
    times = [packet["time"] for packet in packets]
    nanosecond = Fraction(1, SECOND)
    duration = (times[-1] - times[0]) * nanosecond
    row = {
        "start_time": times[0] // 1000,
        "end_time": times[-1] // 1000,
        "duration": float(duration),
        "vlan_id": first.get("vlan_id"),
        "ip_version": first["ip_version"],
        "source_address": first["destination_address" if swap else "source_address"],
        "destination_address": first["source_address" if swap else "destination_address"],
        "source_port": flow["ends"][0][1],
        "destination_port": flow["ends"][1][1],
        "protocol": first["protocol"],
        "protocol_number": first["protocol_number"],
        "icmp_type": first.get("icmp_type"),
        "icmp_code": first.get("icmp_code"),
        "tcp_state": tcp_state(packets) if first["protocol_number"] == 6 else None,
        "end_reason": flow["reason"],
        "packets": len(packets),
        "bytes": sum(packet["row"]["length"] for packet in packets),
    }
    if "source_mac" in first and "destination_mac" in first:
        row["source_mac"] = first["destination_mac" if swap else "source_mac"]
        row["destination_mac"] = first["source_mac" if swap else "destination_mac"]
    payload = [packet["row"].get("payload_length", 0) for packet in packets]
    row |= _named("payload_length", statistics(payload))
    gaps = [after - before for before, after in pairwise(times)]
    row |= _named("inter_arrival", statistics(gaps, nanosecond), "variance")
    if duration:
        row["payload_bytes_per_second"] = float(sum(payload) / duration)
        row["packets_per_second"] = float(len(packets) / duration)
    for bit, name in enumerate(("fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr")):
        row[f"{name}_flags"] = sum(packet["row"].get("tcp_flags", 0) >> bit & 1 for packet in packets)
    if source:
        row["down_up_ratio"] = len(destination) / len(source)
    row["subflows"] = 1 + sum(gap > SECOND for gap in gaps)
    active, since = [], times[0]
    for before, gap, after in zip(times, gaps, times[1:], strict=False):
        if gap > 5 * SECOND:
            active += [before - since] if before > since else []
            since = after
    row |= _named("active", statistics(active, nanosecond), "variance")
    row |= _named("idle", statistics([gap for gap in gaps if gap > 5 * SECOND], nanosecond), "variance")
    row["hour_of_day"] = times[0] // (3600 * SECOND) % 24
    inside = [is_private(row["source_address"]), is_private(row["destination_address"])]
    row["network_direction"] = {(1, 1): "internal", (1, 0): "outbound", (0, 1): "inbound", (0, 0): "external"}[
        tuple(inside)
    ]
    for side, mine in (("forward", source), ("backward", destination)):
        row |= _side_row(side, mine, duration, row["subflows"])
        row |= _bulk_row(side, packets)
    return {name: value for name, value in row.items() if value is not None}


def is_private(address):
    """Return whether an address is within the networks that count as home unless others are given."""
    parsed = ipaddress.ip_address(address)
    return any(parsed in ipaddress.ip_network(network) for network in PRIVATE_NETWORKS)


def _named(prefix, values, *without):
    return {f"{prefix}_{name}": value for name, value in values.items() if name not in without}


def _side_row(side, mine, duration, subflows):
    rows = [row for row, _ in mine]
    times = [time for _, time in mine]
    payload = [row.get("payload_length", 0) for row in rows]
    gaps = [after - before for before, after in pairwise(times)]
    headers = [row["transport_header_length"] for row in rows if "transport_header_length" in row]
    windows = [row["tcp_window"] for row in rows if "tcp_window" in row]
    flags = [row.get("tcp_flags", 0) for row in rows]
    found = {
        "packets": len(rows),
        "bytes": sum(row["length"] for row in rows),
        "payload_bytes": sum(payload),
        "psh_flags": sum(bool(flag & PSH) for flag in flags),
        "urg_flags": sum(bool(flag & URG) for flag in flags),
        "header_bytes": sum(headers),
        "header_length_min": min(headers, default=None),
        "data_packets": sum(length > 0 for length in payload),
        "initial_window": windows[0] if windows else None,
        "packets_per_second": float(len(rows) / duration) if duration else None,
        "inter_arrival_total": sum(gaps) / SECOND if gaps else None,
    }
    row = _named(side, found)
    row |= _named(f"{side}_payload_length", statistics(payload), "variance")
    row |= _named(f"{side}_inter_arrival", statistics(gaps, Fraction(1, SECOND)), "variance")
    row[f"subflow_{side}_packets"] = len(rows) / subflows
    row[f"subflow_{side}_payload_bytes"] = sum(payload) / subflows
    return row


def _bulk_row(side, packets):
    """Runs of packets with payload in one direction, without one of the other between, gaps of a second at most."""
    runs = []
    last = None  # direction of the last packet with payload
    for packet in packets:
        size = packet["row"].get("payload_length", 0)
        if not size:
            continue
        if last != packet["forward"] or packet["time"] - runs[-1]["times"][-1] > SECOND:
            runs.append({"forward": packet["forward"], "times": [], "bytes": 0})
        runs[-1]["times"].append(packet["time"])
        runs[-1]["bytes"] += size
        last = packet["forward"]
    bulks = [run for run in runs if run["forward"] == (side == "forward") and len(run["times"]) >= 4]
    if not bulks:
        return {}
    size = sum(run["bytes"] for run in bulks)
    duration = sum(run["times"][-1] - run["times"][0] for run in bulks)
    return {
        f"{side}_bulk_bytes_mean": size / len(bulks),
        f"{side}_bulk_packets_mean": sum(len(run["times"]) for run in bulks) / len(bulks),
        f"{side}_bulk_bytes_per_second": size / (duration / SECOND) if duration else None,
    }


def tcp_state(packets):
    """Return Zeek's conn_state of the packets of a flow."""
    seen = [(packet["forward"], packet["row"].get("tcp_flags", 0)) for packet in packets]
    syn = any(forward and flags & SYN and not flags & ACK for forward, flags in seen)
    answer = any(not forward and flags & SYN and flags & ACK for forward, flags in seen)
    fin = {forward for forward, flags in seen if flags & FIN}
    reset = next((forward for forward, flags in seen if flags & RST), None)
    if syn and answer:
        if len(fin) == 2:
            return "SF"
        if reset is not None:
            return "RSTO" if reset else "RSTR"
        return "S2" if True in fin else "S3" if False in fin else "S1"
    if syn:
        if reset is not None:
            return "RSTOS0" if reset else "REJ"
        if any(not forward for forward, _ in seen):
            return "OTH"
        return "SH" if fin else "S0"
    if answer:
        return "RSTRH" if reset is False else "SHR" if False in fin else "OTH"
    return "OTH"
