from datetime import date, datetime

import numpy as np
import polars as pl
import pytest

from netsieve.engine.features.roles import column_role, plain_name

ROWS = 400
RNG = np.random.default_rng(0)
COUNTER = list(range(ROWS))
FEW = [str(value) for value in RNG.integers(0, 12, ROWS)]
WORDS = [f"state{value}" for value in RNG.integers(0, 12, ROWS)]
REAL = RNG.lognormal(0, 2, ROWS).tolist()
ADDRESSES = [f"10.0.{value % 7}.{value % 250}" for value in range(ROWS)]
SIX = [f"fe80::{value:x}" for value in range(ROWS)]
MACS = [f"00:1b:44:11:3a:{value % 256:02x}" for value in range(ROWS)]
HASHES = [f"C{value:017x}" for value in RNG.integers(0, 2**60, ROWS)]
SENTENCES = [f"user agent number {value} of many, {'x' * 80}" for value in range(ROWS)]
PORTS = RNG.choice([443, 80, 53], ROWS).tolist()
EPOCHS = (1.76e9 + RNG.uniform(0, 1e5, ROWS)).tolist()


def role(name, values, dtype=None, **options):
    found = column_role(pl.Series(name, values, dtype=dtype), vocabulary_limit=1024, **options)
    return found.reason or found.kind


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        *(
            (name, PORTS, "port")
            for name in ("SourcePort", "Sport", "src_port", "id.orig_p", "Src Port", " Source Port")
        ),
        *(
            (name, PORTS, "categorical")
            for name in ("DestinationPort", "Dport", "dest_port", "id.resp_p", "Dst Port", " Destination Port")
        ),
        ("Dport", ["0x0050", "443", "0x2d34", "53"] * 100, "categorical"),
        *((name, PORTS, "categorical") for name in ("Protocol", "proto", "r_asn", "ICMP Type", "ICMP Code", "eventId")),
        *((name, ADDRESSES, "address") for name in ("srcip", "anything")),
        ("anything", SIX, "address"),
        ("anything", MACS, "address"),
        ("SrcAddr", ["0", "00:00:00:00:00:00", "10.0.0.1", "who"] * 100, "address"),
        ("src_ip", [2**31 + value for value in range(ROWS)], "address"),
        ("local_ip", [value % 10 for value in range(ROWS)], "numeric"),
        ("version", ["1.2.3.4.5", "2.0", "3.1"] * 100, "categorical"),
        *((name, HASHES, "identifier") for name in ("uid", "anything", "community_id")),
        *((name, COUNTER, "identifier") for name in ("id", "index", "Unnamed: 0", "record_id", "event_uid")),
        ("PacketCount", COUNTER, "numeric"),
        ("stcpb", RNG.integers(0, 2**32, ROWS).tolist(), "identifier"),
        ("processId", PORTS, "identifier"),
        ("Flow ID", WORDS, "identifier"),
        *((name, EPOCHS, "timestamp") for name in ("ts", "StartTime", "timestamp", "Stime")),
        *((name, [value * 1e3 for value in EPOCHS], "timestamp") for name in ("ts", "StartTime")),
        ("Time", [value * 0.5 for value in COUNTER], "timestamp"),
        ("Time", REAL, "numeric"),
        ("bytes", EPOCHS, "numeric"),
        ("a", [datetime(2026, 1, 1, 0, value % 60) for value in range(ROWS)], "timestamp"),
        ("a", [date(2026, 1, 1 + value % 20) for value in range(ROWS)], "timestamp"),
        ("a", [f"2017-07-{1 + value % 28:02} 11:57:51.590705" for value in range(ROWS)], "timestamp"),
        ("a", [f"2013/12/17 22:09:{value % 60:02}.519" for value in range(ROWS)], "timestamp"),
        ("a", [f"2021-05-16T17:13:{value % 60:02}Z" for value in range(ROWS)], "timestamp"),
        ("a", [f"{1 + value % 28:02}/07/2017 09:08" for value in range(ROWS)], "timestamp"),
        *(
            (name, WORDS, "label")
            for name in (
                *("label", "class", "attack_cat", "attack", "IsAnomaly", "difficulty", "detailed-label", "sus", "evil"),
                *("Label", "Attack", "detailedlabel"),
            )
        ),
        ("payload", SENTENCES, "text"),
        ("query", [f"host {value // 2}.example" for value in range(ROWS)] + ["a b"], "text"),
        ("state", WORDS, "categorical"),
        ("class_of_service", WORDS, "categorical"),
        ("state", FEW, "numeric"),
        ("rate", ["1.5", " 2 ", "Infinity", "NaN", "-", "", "1e-3"] * 50, "numeric"),
        ("rate", ["1.5", "2,5", "x"] * 50, "categorical"),
        ("flag", [True, False] * 200, "numeric"),
        ("count", COUNTER[::-1], "numeric"),
        ("dur", REAL, "numeric"),
        ("constant", [3] * ROWS, "numeric"),
        ("constant", ["same"] * ROWS, "categorical"),
        ("nothing", [None] * ROWS, "empty"),
        ("nothing", [float("nan")] * ROWS, "empty"),
        ("label", [None] * ROWS, "label"),
        ("list", [[1, 2]] * ROWS, "type"),
        ("struct", [{"a": 1}] * ROWS, "type"),
        ("bytes", [b"a"] * ROWS, "type"),
    ],
)
def test_a_column_is_told_by_name_and_content(name, values, expected):
    assert role(name, values) == expected


def test_the_dot_of_a_mostly_missing_column_does_not_matter():
    assert role("a", [None] * 390 + ADDRESSES[:10]) == "address"
    assert role("service", [None] * 390 + ["dns"] * 10) == "categorical"


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("SourcePort", PORTS, "numeric"),
        ("srcip", ADDRESSES, "categorical"),
        ("uid", HASHES, "categorical"),
        ("id", COUNTER, "numeric"),
        ("payload", SENTENCES, "categorical"),
        ("class", WORDS, "categorical"),
        ("nothing", [None] * ROWS, "categorical"),
        ("Time", [value * 0.5 for value in COUNTER], "numeric"),
        ("ts", EPOCHS, "timestamp"),
        ("a", [datetime(2026, 1, 1)] * ROWS, "timestamp"),
        ("list", [[1, 2]] * ROWS, "type"),
    ],
)
def test_what_was_asked_for_is_used_unless_it_cannot_be(name, values, expected):
    assert role(name, values, must_use=True) == expected


def test_a_vocabulary_that_would_leave_many_rows_unknown_makes_text():
    values = [f"agent{value % 150}" for value in range(ROWS)]
    assert column_role(pl.Series("a", values), vocabulary_limit=200).kind == "categorical"
    assert column_role(pl.Series("a", values), vocabulary_limit=50).reason == "text"


def test_kinds_say_how_text_is_read():
    kinds = {
        name: column_role(pl.Series(name, values), vocabulary_limit=99).column_kind
        for name, values in {"a": [1], "b": [1.5], "c": [True], "d": ["x"], "e": [date(2026, 1, 1)]}.items()
    }
    assert kinds == {"a": "integer", "b": "float", "c": "boolean", "d": "string", "e": "datetime"}


def test_plain_names():
    assert [plain_name(name) for name in ("id.orig_p", " Src Port", "src_port", "Unnamed: 0")] == [
        "idorigp",
        "srcport",
        "srcport",
        "unnamed0",
    ]
