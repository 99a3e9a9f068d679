"""Faults of files, each in each format: what is lost is told, and what stands around it is read."""

import gzip
import io
import json
import random
import struct
from collections import Counter
from contextlib import closing
from typing import NamedTuple

import captures
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from flows import write_model_of
from log_forms import FORMS, LogForm

from netsieve.engine.cli.main import main
from netsieve.engine.errors import SourceError
from netsieve.engine.sources import ColumnRequest, ReadOptions, open_source
from netsieve.engine.sources.formats import FORMATS
from netsieve.engine.sources.reading import read_frame

RECORDS = 120
PLACE = 50
"""Record that a fault stands in front of."""
FIRST = 100
EXTRA = 999
"""Number of a record that is odd, but can be read."""
GARBAGE = bytes(byte for byte in random.Random(5).randbytes(60) if byte not in b"\n\r\x1f")
DEPTH = 1_100
KINDS = {"number": "integer", "note": "string", "value": "integer"}
"""Of the columns of delimited text and Parquet, where the format has none of its own."""


class Rejected(NamedTuple):
    """One reject in place of the fault, all records around it read."""

    reason: str


class Read(NamedTuple):
    """No reject: all records read, and the odd one (``extra``)."""

    extra: bool = False
    skipped: str | None = None


class RejectedBehind(NamedTuple):
    """All records behind the fault rejected, or lost with it; one or more rejects of this reason."""

    reason: str
    header: int = 0


class Refused(NamedTuple):
    """The file cannot be read: an error of one line."""

    message: str


class DoesNotApply(NamedTuple):
    """The format has no such thing."""

    why: str


Outcome = Rejected | Read | RejectedBehind | Refused | DoesNotApply

JSON = ("eve", "ndjson", "zeek json")
DELIMITED = ("nfdump", "argus", "cicflowmeter", "beth", "n_baiot", "csv")
TEXT = (*JSON, "zeek tsv", *DELIMITED, "adfa")
BINARY = ("pcap", "pcapng", "parquet")
CUT_GZIP = Refused("is a truncated gzip file")
TOO_LONG = Rejected("line of more than 16777216 bytes")
NO_LINES = DoesNotApply("it has no lines")
NO_TEXT = DoesNotApply("it holds no text")
NO_HEADER = DoesNotApply("it has no header line")
FIXED_NUMBERS = DoesNotApply("a number has so many bytes and no more")
NO_NESTING = DoesNotApply("nothing is nested in it: brackets are text like other")
ONE_DESCRIPTION = DoesNotApply("columns are described once, in the footer")
NO_LENGTHS = DoesNotApply("no length is written in it")
DAMAGED_BLOCK = Rejected("damaged pcapng block")


def with_all(forms: tuple[str, ...], outcome: Outcome) -> dict[str, Outcome]:
    return dict.fromkeys(forms, outcome)


OUTCOMES: dict[str, dict[str, Outcome]] = {
    "truncated last record": {
        **with_all(("eve", "ndjson"), Rejected("invalid JSON")),
        "zeek json": Rejected("invalid JSON: a string is not closed"),
        "zeek tsv": Rejected("fields, expected 9"),
        **with_all(DELIMITED, Rejected("expected ")),
        "adfa": Read(),  # a shorter trace: nothing tells how long it was
        **with_all(("pcap", "pcapng"), Rejected("the file ends before the packet does; no further packet is found")),
        "parquet": Refused("cannot be read as Parquet"),
    },
    "cut gzip": {**with_all((*TEXT, *BINARY), CUT_GZIP)},
    "garbage in mid-file": {
        **with_all(JSON, Rejected("invalid UTF-8")),
        **with_all(("zeek tsv", *DELIMITED), Rejected("field, expected ")),
        "adfa": Rejected("column 'syscalls': invalid UTF-8"),
        "pcap": Rejected("captured length of more than 262144 bytes; reading goes on at byte"),
        "pcapng": DAMAGED_BLOCK,
        "parquet": Refused("CRC checksum verification failed"),
    },
    "garbage throughout": {
        **with_all(TEXT, Refused("is no text file")),
        "pcap": RejectedBehind("captured length of more than 262144 bytes; no further packet is found"),
        "pcapng": Refused("is no packet capture that can be read"),
        "parquet": Refused("cannot be read as Parquet"),
    },
    "record of 12 MB": {
        **with_all((*TEXT, "parquet"), Read(extra=True)),
        "pcap": Rejected("captured length of more than 262144 bytes; reading goes on at byte"),
        "pcapng": Rejected("captured length of more than 262144 bytes"),
    },
    "record of 17 MB": {
        **with_all(TEXT, TOO_LONG),
        "pcap": Rejected("captured length of more than 262144 bytes; reading goes on at byte"),
        "pcapng": DAMAGED_BLOCK,
        "parquet": Read(extra=True),  # its lengths are not searched for: memory is that of a batch in any case
    },
    "deep nesting": {
        **with_all(JSON, Rejected("JSON nested too deeply")),
        **with_all(("zeek tsv", "adfa", *DELIMITED), NO_NESTING),
        **with_all(("pcap", "pcapng"), Read(extra=True)),  # hundreds of VLAN tags
        "parquet": Read(),  # lists of lists
    },
    "name twice": {
        **with_all(JSON, Read(extra=True)),  # the last counts
        "zeek tsv": Refused("the #fields line names 'ts' twice"),
        **with_all(("nfdump", "argus", "csv", "parquet"), Refused("duplicate column name ")),
        **with_all(("cicflowmeter", "beth", "n_baiot"), Read()),  # CICFlowMeter itself writes a column twice
        "adfa": NO_HEADER,
        **with_all(("pcap", "pcapng"), DoesNotApply("its columns are the format's own")),
    },
    "huge whole number": {
        **with_all(JSON, Rejected("invalid JSON: a number that is malformed or beyond 64 bits")),
        "zeek tsv": Rejected("column 'orig_bytes': expected a 64-bit integer, got '9999"),
        "nfdump": Rejected("column 'ibyt': expected a 64-bit integer, got '9999"),
        "argus": Rejected("column 'TotBytes': expected a 64-bit integer, got '9999"),
        **with_all(("cicflowmeter", "n_baiot"), Read(extra=True)),  # their counts are floats
        "beth": Rejected("column 'eventId': expected a 64-bit integer, got '9999"),
        "adfa": Rejected("column 'syscalls': expected numbers of system calls with blanks between, got "),
        "csv": Rejected("column 'value': expected a 64-bit integer, got '9999"),
        "pcap": FIXED_NUMBERS,
        "pcapng": Rejected("time of the packet is not within the years 1678 to 2262"),
        "parquet": Rejected("column 'value': expected an integer, got '9999"),
    },
    "huge exponent": {
        **with_all(JSON, Rejected("invalid JSON: a number that is malformed or beyond 64 bits")),
        "zeek tsv": Rejected("column 'orig_bytes': expected a 64-bit integer, got '1e999'"),
        "nfdump": Rejected("column 'ibyt': expected a 64-bit integer, got '1e999'"),
        "argus": Rejected("column 'TotBytes': expected a 64-bit integer, got '1e999'"),
        **with_all(("cicflowmeter", "n_baiot"), Read(extra=True)),  # infinite, as CICFlowMeter writes; scoring clips it
        "beth": Rejected("column 'eventId': expected a 64-bit integer, got '1e999'"),
        "adfa": Rejected("column 'syscalls': expected numbers of system calls with blanks between, got "),
        "csv": Rejected("column 'value': expected a 64-bit integer, got '1e999'"),
        **with_all(("pcap", "pcapng"), FIXED_NUMBERS),
        "parquet": Rejected("column 'value': expected an integer, got '1e999'"),
    },
    "invalid UTF-8": {
        **with_all(JSON, Rejected("invalid UTF-8")),
        **with_all(("zeek tsv", *DELIMITED, "adfa"), Rejected(": invalid UTF-8")),
        **with_all(("pcap", "pcapng"), NO_TEXT),
        "parquet": Rejected("column 'note': invalid UTF-8"),
    },
    "mixed line ends": {**with_all(TEXT, Read()), **with_all(BINARY, NO_LINES)},
    "line ends of carriage returns": {
        **with_all(JSON, RejectedBehind("invalid JSON")),
        "zeek tsv": Refused("cannot be read as a Zeek log: the #separator line gives"),
        **with_all((*DELIMITED, "adfa"), Refused("ends its lines with bare carriage returns")),
        **with_all(BINARY, NO_LINES),
    },
    "the same header again": {
        **with_all((*JSON, "adfa"), NO_HEADER),
        **with_all(("zeek tsv", *DELIMITED), Read(skipped="header")),
        **with_all(("pcap", "pcapng"), Read()),
        "parquet": ONE_DESCRIPTION,
    },
    "another header in mid-file": {
        **with_all(JSON, Read(extra=True)),  # a member that is new is not read, one that is gone is missing
        "adfa": NO_HEADER,
        "zeek tsv": Read(extra=True, skipped="header"),  # columns are mapped by name
        **with_all(("nfdump", "argus"), RejectedBehind("under a header line in mid-file", header=1)),
        **with_all(("cicflowmeter", "beth", "n_baiot", "csv"), RejectedBehind("under a header line in mid-file")),
        **with_all(("pcap", "pcapng"), Read()),  # of the other byte order and clock, with their packets behind it
        "parquet": ONE_DESCRIPTION,
    },
    "a length that lies": {
        **with_all(TEXT, NO_LENGTHS),
        "pcap": Rejected("captured length of more than 262144 bytes; reading goes on at byte"),
        "pcapng": Rejected("captured length is more than its pcapng block holds"),
        "parquet": Refused("cannot be read as Parquet"),
    },
}


def numbers() -> range:
    return range(FIRST, FIRST + RECORDS)


def text_with(form: LogForm, line: bytes) -> bytes:
    """Return a log with a line in front of a record."""
    lines = [*form.header, *(form.record(number) for number in numbers())]
    place = len(form.header) + PLACE
    return b"".join(text + b"\n" for text in (*map(str.encode, lines[:place]), line, *map(str.encode, lines[place:])))


def faulty_text(name: str, fault: str) -> bytes:
    form = FORMS[name]
    good = form.text([form.record(number) for number in numbers()])
    padding = " " if name == "adfa" else "6"
    odd = {
        "garbage in mid-file": lambda: GARBAGE,
        "record of 12 MB": lambda: form.record(EXTRA, padding * (12 << 20)).encode(),
        "record of 17 MB": lambda: form.record(EXTRA, padding * (17 << 20)).encode(),
        "deep nesting": lambda: b'{"a":' * DEPTH + b"1" + b"}" * DEPTH,
        "huge whole number": lambda: form.record(EXTRA, value="9" * 40).encode(),
        "huge exponent": lambda: form.record(EXTRA, value="1e999").encode(),
        "invalid UTF-8": lambda: form.record(EXTRA, "@").encode().replace(b"@", b"\xc3\x28"),
        "the same header again": lambda: "\n".join(form.header).encode(),
    }
    if fault in odd:
        return text_with(form, odd[fault]())
    if fault == "truncated last record":
        return good[: -len(form.record(FIRST)) // 2]
    if fault == "cut gzip":
        return gzip.compress(good)[:-20]
    if fault == "garbage throughout":
        return random.Random(1).randbytes(5000)
    if fault == "mixed line ends":
        return b"".join(line + (b"\n", b"\r\n")[i % 2] for i, line in enumerate(good.splitlines()))
    if fault == "line ends of carriage returns":
        return good.replace(b"\n", b"\r")
    if fault == "name twice":
        if name in JSON:
            return text_with(
                form, form.record(EXTRA).replace("{", '{"number":1,"flow_id":2,"id.orig_p":3,', 1).encode()
            )
        names, delimiter = header_names(form)
        first = names.removeprefix(b"#fields\t").split(delimiter)[0]
        if form.input_format == "zeek":
            return good.replace(names, names + delimiter + first)
        return good.replace(b"\n", delimiter + b"1\n").replace(names + delimiter + b"1", names + delimiter + first)
    assert fault == "another header in mid-file"
    if name in JSON:
        return text_with(form, form.record(EXTRA).replace("{", '{"a_new_member":{"x":[1]},', 1).encode())
    return with_turned_columns(form)


def header_names(form: LogForm) -> tuple[bytes, bytes]:
    if form.input_format == "zeek":
        return form.header[-2].encode(), b"\t"
    return form.header[-1].encode(), b","


def with_turned_columns(form: LogForm) -> bytes:
    """Return a log whose last two columns change places in mid-file, and that goes on in the new order."""
    delimiter = header_names(form)[1].decode()

    def turned(line: str) -> str:
        *cells, last_but_one, last = line.split(delimiter)
        return delimiter.join((*cells, last, last_but_one))

    names = [turned(line) if line.startswith(("#fields", "#types")) or line[0] != "#" else line for line in form.header]
    behind = range(FIRST + PLACE, FIRST + RECORDS)
    lines = [form.record(number) for number in numbers()[:PLACE]]
    extra = [turned(form.record(EXTRA))] if form.input_format == "zeek" else []
    return form.text([*lines, *names, *extra, *(turned(form.record(number)) for number in behind)])


def packet(number: int, *tags: tuple[int, int]) -> bytes:
    return captures.ethernet(0x0800, captures.ipv4("10.0.0.1", "10.0.0.2", 17, captures.udp(number, 53)), *tags)


def time_of(number: int) -> int:
    return captures.START + number * captures.SECOND // 100


def pcap_record(number: int, data: bytes | None = None, *, captured: int | None = None) -> bytes:
    data = packet(number) if data is None else data
    captured = len(data) if captured is None else captured
    return captures.pcap([(time_of(number), data)])[24:32] + struct.pack("<II", captured, len(data)) + data


def capture_with(header: bytes, records: list[bytes], fault: bytes) -> bytes:
    return header + b"".join(records[:PLACE]) + fault + b"".join(records[PLACE:])


def faulty_pcap(fault: str) -> bytes:
    records = [pcap_record(number) for number in numbers()]
    header = captures.pcap([])
    behind = [(time_of(number), packet(number)) for number in numbers()[PLACE:]]
    whole = capture_with(header, records, b"")
    files = {
        "truncated last record": lambda: whole[:-10],
        "cut gzip": lambda: gzip.compress(whole)[:-20],
        "garbage in mid-file": lambda: capture_with(header, records, random.Random(3).randbytes(200)),
        "garbage throughout": lambda: header[:20] + random.Random(1).randbytes(5000),
        "record of 12 MB": lambda: capture_with(header, records, pcap_record(FIRST + PLACE, bytes(12 << 20))),
        "record of 17 MB": lambda: capture_with(header, records, pcap_record(FIRST + PLACE, bytes(17 << 20))),
        "deep nesting": lambda: capture_with(header, records, pcap_record(EXTRA, packet(EXTRA, *[(0x8100, 1)] * 500))),
        "the same header again": lambda: capture_with(header, records, header),
        "another header in mid-file": lambda: (
            header + b"".join(records[:PLACE]) + captures.pcap(behind, order=">", nanoseconds=True)
        ),
        "a length that lies": lambda: capture_with(header, records, pcap_record(FIRST + PLACE, captured=0x7FFFFFFF)),
    }
    return files[fault]()


def faulty_pcapng(fault: str) -> bytes:
    def block_of(number: int, **how: object) -> bytes:
        return captures.enhanced(time_of(number) // 1000, packet(number), **how)

    records = [block_of(number) for number in numbers()]
    header = captures.section() + captures.interface()
    whole = capture_with(header, records, b"")
    now = time_of(FIRST + PLACE) // 1000
    other_order = captures.section(order=">") + captures.interface(order=">")
    files = {
        "truncated last record": lambda: whole[:-10],
        "cut gzip": lambda: gzip.compress(whole)[:-20],
        "garbage in mid-file": lambda: capture_with(header, records, random.Random(3).randbytes(200)),
        "garbage throughout": lambda: header[:6] + random.Random(1).randbytes(5000),
        "record of 12 MB": lambda: capture_with(header, records, captures.enhanced(now, bytes(12 << 20))),
        "record of 17 MB": lambda: capture_with(header, records, captures.enhanced(now, bytes(17 << 20))),
        "deep nesting": lambda: capture_with(
            header, records, captures.enhanced(now, packet(EXTRA, *[(0x8100, 1)] * 500))
        ),
        "huge whole number": lambda: capture_with(header, records, captures.enhanced(2**64 - 1, packet(EXTRA))),
        "the same header again": lambda: capture_with(header, records, header),
        "another header in mid-file": lambda: (
            header
            + b"".join(records[:PLACE])
            + other_order
            + b"".join(block_of(number, order=">") for number in numbers()[PLACE:])
        ),
        "a length that lies": lambda: capture_with(header, records, block_of(EXTRA, captured=5000)),
    }
    return files[fault]()


def faulty_parquet(fault: str) -> bytes:
    table: dict[str, list[object]] = {
        "number": list(numbers()),
        "note": ["x"] * RECORDS,
        "value": ["60"] * RECORDS,
    }
    odd = {
        "record of 12 MB": ("y" * (12 << 20), "60"),
        "record of 17 MB": ("y" * (17 << 20), "60"),
        "huge whole number": ("x", "9" * 40),
        "huge exponent": ("x", "1e999"),
        "invalid UTF-8": ("@", "60"),
    }
    if fault in odd:
        for column, cell in zip(table, (EXTRA, *odd[fault]), strict=True):
            table[column].insert(PLACE, cell)
    columns = [pa.array(table[name]) for name in table]
    if fault == "invalid UTF-8":
        columns[1] = columns[1].cast(pa.binary())
        wrong = pa.array([b"\xc3\x28" if note == "@" else b"x" for note in table["note"]], pa.binary())
        columns[1] = pa.StringArray.from_buffers(len(wrong), *wrong.buffers()[1:])
    names = list(table)
    if fault == "name twice":
        names[2] = "number"
    if fault == "deep nesting":
        nested = pa.array([1] * RECORDS)
        for _ in range(30):
            nested = pa.ListArray.from_arrays(pa.array(range(RECORDS + 1), pa.int32()), nested)
        columns, names = [*columns, nested], [*names, "nested"]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(columns, names=names), file, write_page_checksum=True)
    whole = file.getvalue()
    damaged = {
        "truncated last record": lambda: whole[:-20],
        "cut gzip": lambda: gzip.compress(whole)[:-20],
        "garbage in mid-file": lambda: whole[:100] + random.Random(3).randbytes(60) + whole[160:],
        "garbage throughout": lambda: b"PAR1" + random.Random(1).randbytes(5000),
        "a length that lies": lambda: whole[:-8] + struct.pack("<I", 1 << 30) + b"PAR1",
    }
    return damaged[fault]() if fault in damaged else whole


class Reading(NamedTuple):
    numbers: list[int]
    rejects: list[object]
    skipped: Counter


def key_of(name: str) -> pl.Expr:
    if name in FORMS:
        return FORMS[name].key
    return pl.col("number") if name == "parquet" else pl.col("source_port")


def read(path, name: str, block_bytes: int) -> Reading:
    event_type = "packet" if name in ("pcap", "pcapng") else None
    form = FORMS[name].input_format if name in FORMS else "parquet" if name == "parquet" else "pcap"
    kinds = KINDS if name in ("csv", "parquet") else {}
    source = open_source(
        str(path),
        columns=ColumnRequest(kinds=kinds),
        options=ReadOptions(event_type=event_type, input_format=form),
        block_bytes=block_bytes,
    )
    found, rejects, skipped, records = [], [], Counter(), 0
    try:
        for block in source.blocks():
            parsed = source.parse(block)
            given = block.records + sum(block.skipped.values())
            assert given == parsed.frame.height + len(parsed.rejects) + sum(parsed.skipped.values())
            assert len(parsed.record) == parsed.frame.height
            assert block.first_record == records
            records += block.records
            rejects += parsed.rejects
            skipped.update(parsed.skipped)
            if parsed.frame.height:
                found += parsed.frame.select(key_of(name)).to_series().to_list()
    finally:
        source.close()
    return Reading(found, rejects, skipped)


CASES = [
    pytest.param(name, fault, id=f"{name}-{fault}")
    for fault, outcomes in OUTCOMES.items()
    for name, outcome in outcomes.items()
    if not isinstance(outcome, DoesNotApply)
]


def test_every_fault_has_an_outcome_in_every_format():
    tested = {*TEXT, *BINARY}
    # binary files of nfdump are read through the program: test_exports.py
    assert {FORMS[name].input_format for name in TEXT} | {"pcap", "parquet"} == set(FORMATS)
    assert {fault: set(outcomes) for fault, outcomes in OUTCOMES.items()} == dict.fromkeys(OUTCOMES, tested)


def faulty(name: str, fault: str) -> bytes:
    writers = {"pcap": faulty_pcap, "pcapng": faulty_pcapng, "parquet": faulty_parquet}
    return writers[name](fault) if name in writers else faulty_text(name, fault)


@pytest.mark.parametrize(("name", "fault"), CASES)
def test_a_fault_costs_what_it_must_and_no_more(tmp_path, name, fault):
    content = faulty(name, fault)
    path = tmp_path / "file.log"
    path.write_bytes(content)
    outcome = OUTCOMES[fault][name]
    large = len(content) > 1 << 20
    for block_bytes in (4 << 20,) if large else (1 << 12, 4 << 20):
        if isinstance(outcome, Refused):
            with pytest.raises(SourceError) as error:
                read(path, name, block_bytes)
            assert outcome.message in str(error.value)
            assert str(path) in str(error.value)
            assert "\n" not in str(error.value)
            continue
        check_reading(outcome, read(path, name, block_bytes), name=name, fault=fault, content=content)


def check_reading(outcome: Outcome, got: Reading, *, name: str, fault: str, content: bytes) -> None:
    reasons = [reject.reason for reject in got.rejects]
    headers = len(FORMS[name].header) if name == "zeek tsv" else 0
    for reject in got.rejects:
        raw = reject.raw.encode("utf-8", "surrogateescape")
        if reject.offset is None:
            assert name == "parquet"
            continue
        assert content[reject.offset :].startswith(raw)
        if reject.line is not None:
            assert content[: reject.offset].count(b"\n") == reject.line - 1
    if isinstance(outcome, Read):
        extra = [EXTRA] if outcome.extra else []
        assert got.rejects == []
        assert got.numbers == [*numbers()[:PLACE], *extra, *numbers()[PLACE:]]
        assert set(got.skipped) == ({outcome.skipped} if outcome.skipped else {"header"} if headers else set())
    elif isinstance(outcome, Rejected):
        truncated = fault == "truncated last record"
        (reject,) = got.rejects
        assert outcome.reason in reject.reason
        assert reject.record == (RECORDS - 1 if truncated else PLACE)
        assert got.numbers == list(numbers()[: RECORDS - 1] if truncated else numbers())
        assert got.skipped.total() == headers
    else:
        assert isinstance(outcome, RejectedBehind)
        assert reasons
        assert all(outcome.reason in reason for reason in reasons)
        if fault == "another header in mid-file":
            assert got.numbers == list(numbers()[:PLACE])
            assert len(reasons) + outcome.header == RECORDS - PLACE + 1
            assert got.skipped == Counter(header=outcome.header)
        else:
            assert got.numbers == []
            assert len(reasons) == 1


SCORED = {
    "eve": "flow.bytes_toserver",
    "ndjson": "nested.value",
    "zeek tsv": "orig_bytes",
    "zeek json": "orig_bytes",
    "argus": "TotBytes",
    "csv": "value",
    "pcap": "length",
    "pcapng": "length",
    "parquet": "value",
}
"""The feature of each format's model."""
SCORED_FAULTS = (
    "truncated last record",
    "cut gzip",
    "garbage in mid-file",
    "invalid UTF-8",
    "another header in mid-file",
    "a length that lies",
)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Return a model file for each of the formats that are scored here."""
    folder = tmp_path_factory.mktemp("models")
    for name, feature in SCORED.items():
        path = folder / "good.log"
        path.write_bytes(faulty(name, "the same header again" if name not in (*JSON, "parquet") else "mixed line ends"))
        options = ReadOptions(event_type="packet" if name in ("pcap", "pcapng") else None)
        read_in = read_frame(
            [str(path)], columns=ColumnRequest(kinds=KINDS if name == "parquet" else {}), options=options
        )
        frame = pl.concat([read_in.frame] * 10)  # enough for its thresholds
        write_model_of(
            frame, folder / f"{name}.onnx", features=[feature], overrides={"record_type": read_in.record_type}
        )
    return folder


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (name, fault)
        for name in SCORED
        for fault in SCORED_FAULTS
        if not isinstance(OUTCOMES[fault][name], DoesNotApply)
    ],
)
def test_scoring_loses_nothing_silently(tmp_path, models, capsys, name, fault):
    path, output, summary_file = (tmp_path / part for part in ("file.log", "scored.parquet", "summary.json"))
    path.write_bytes(faulty(name, fault))
    packets = ["--event-type", "packet"] if name in ("pcap", "pcapng") else []
    arguments = [str(path), "-o", str(output), "--max-rejects", "1", "--json-summary", str(summary_file), *packets]
    code = main(["score", str(models / f"{name}.onnx"), *arguments])
    outcome = OUTCOMES[fault][name]
    if isinstance(outcome, Refused):
        assert code == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert outcome.message in line
        assert not output.exists()
        return
    assert code == 0
    summary = json.loads(summary_file.read_text())
    counts = [summary[f"rows_{what}"] for what in ("in", "scored", "rejected", "skipped")]
    assert counts[0] == sum(counts[1:])
    rejected = output.with_name(output.name + ".rejects.ndjson")
    lines = rejected.read_text().splitlines() if rejected.exists() else []
    assert len(lines) == counts[2]
    assert pl.read_parquet(output).height == counts[1]
    if isinstance(outcome, Rejected):
        assert counts[1:3] == [RECORDS - (fault == "truncated last record"), 1]
        assert outcome.reason in json.loads(lines[0])["reason"]


@pytest.mark.parametrize("form", ["csv", "json", "array", "zeek"])
def test_records_of_few_bytes_are_read_in_blocks_of_few_records(tmp_path, monkeypatch, form):
    for module in ("csv", "zeek_tsv", "json_text"):
        monkeypatch.setattr(f"netsieve.engine.sources.{module}.MOST_RECORDS", 100)
    text = {
        "csv": "a,b\n" + "1,2\n\nx\n" * 500,
        "json": '{"a": 1}\n\n[]\n' * 500,
        "array": "[" + ",\n".join(['{"a": 1}', "7"] * 500) + "]",
        "zeek": "#separator \\x09\n#fields\ta\tb\n#types\tcount\tcount\n" + "1\t2\n\nx\n" * 500,
    }[form]
    path = tmp_path / "log"
    path.write_text(text)
    with closing(open_source(str(path))) as source:
        blocks = list(source.blocks())
        parsed = [source.parse(block) for block in blocks]
    assert max(block.records for block in blocks) == 100
    assert [block.first_record for block in blocks] == list(range(0, 1000, 100))
    assert sum(block.frame.height for block in parsed) == 500
    rejects = [reject for block in parsed for reject in block.rejects]
    assert [reject.record for reject in rejects] == list(range(1, 1000, 2))
    assert all(text.encode()[reject.offset :].startswith(reject.raw.encode()) for reject in rejects)
    if form != "array":
        first = {"csv": 4, "json": 3, "zeek": 6}[form]
        assert [reject.line for reject in rejects] == list(range(first, first + 3 * 500, 3))
        assert sum(block.skipped["blank"] for block in parsed) == 500


def test_blocks_of_many_columns_have_fewer_records(tmp_path):
    path = tmp_path / "wide.json"
    members = ", ".join(f'"c{number}": 1' for number in range(400))
    path.write_text(f"{{{members}}}\n" + "{}\n" * 30_000)
    with closing(open_source(str(path))) as source:
        records = [block.records for block in source.blocks()]
    assert sum(records) == 30_001
    assert max(records) <= 4 * 1024 * 1024 // 400
