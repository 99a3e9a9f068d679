"""Known sources on the command line: no flags to train, a clear word where a file does not fit, folders of parts."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from captures import SECOND, START, ethernet, ipv4, pcap, udp
from flows import flow_frame, write_flow_model, write_model_of

from netsieve.engine.cli.arguments import read_options
from netsieve.engine.cli.main import argument_parser, main
from netsieve.engine.detectors import autoencoder_parameters
from netsieve.engine.errors import SourceError
from netsieve.engine.scoring.model_file import ModelFile
from netsieve.engine.scoring.stream import options_for
from netsieve.engine.sources import ReadOptions
from netsieve.engine.sources.reading import read_frame, reading_to_remember
from netsieve.engine.sources.scanning import scan

ROWS = 100


def argus_text(rows: int, seed: int = 0) -> str:
    generator = np.random.default_rng(seed)
    lines = ["StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,Label"]
    for i in range(rows):
        packets = int(generator.integers(1, 50))
        lines.append(
            f"2019/04/04 16:{i // 60 % 60:02}:{i % 60:02}.5,{generator.exponential():.6f},tcp,10.0.0.{i % 9},"
            f"{generator.integers(1024, 65536)},   ->,8.8.8.8,{generator.choice([80, 443])},FSPA_FSPA,0,0,{packets},"
            f"{packets * 700},{packets * 300},flow=Normal"
        )
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def quick_training() -> Iterator[None]:
    """Train on few records."""
    original = autoencoder_parameters.AutoencoderParameters.from_dict
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            autoencoder_parameters.AutoencoderParameters,
            "from_dict",
            lambda values: original({"max_draws": 1000, **values}),
        )
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, quick_training: None) -> Path:
    """Return a folder with Argus flows, a model trained on them without any flags, and flows of nfdump."""
    folder = tmp_path_factory.mktemp("sources")
    (folder / "normal.binetflow").write_text(argus_text(ROWS))
    (folder / "nfdump.csv").write_text("ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt\n")
    assert main(["train", str(folder / "normal.binetflow"), "-o", str(folder / "argus.onnx")]) == 0
    return folder


def test_a_known_source_needs_no_flags_to_train(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = ModelFile.read(folder / "argus.onnx").schema
    assert schema.record_type == "argus.flow"
    ready = {"Dur", "Proto", "Dir", "Dport", "State", "sTos", "dTos", "TotPkts", "TotBytes", "SrcBytes"}
    assert set(schema.feature_names) == ready
    output = str(folder / "scored.parquet")
    assert main(["score", str(folder / "argus.onnx"), str(folder / "normal.binetflow"), "-o", output]) == 0
    assert "100 from 1 file" in capsys.readouterr().out


def test_another_record_type_is_refused_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["score", str(folder / "argus.onnx"), str(folder / "nfdump.csv"), "-o", str(folder / "x.parquet")])
    assert code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "holds records of type nfdump.flow, but the model is for argus.flow: the file lacks 10 columns" in line
    assert "'TotBytes'" in line
    assert not (folder / "x.parquet").exists()


def test_records_of_two_types_do_not_train_together(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = [str(folder / "normal.binetflow"), str(folder / "nfdump.csv")]
    assert main(["train", *inputs, "-o", str(folder / "x.onnx")]) == 1
    assert "holds nfdump.flow, but" in capsys.readouterr().err


def test_how_inputs_are_read_reaches_the_options() -> None:
    arguments = ["--input-format", "argus", "--event-type", "dns", "--home-network", "10.1.2.3/8", "fd00::/8"]
    arguments += ["--idle-timeout", "30", "--active-timeout", "600.5", "--most-flows", "1000"]
    for command in (["train"], ["score", "m"], ["evaluate", "m", "--label", "l", "--normal", "0"]):
        parsed = argument_parser().parse_args(
            [*command, "data", *([] if "evaluate" in command else ["-o", "o"]), *arguments]
        )
        assert read_options(parsed) == ReadOptions(
            input_format="argus",
            event_type="dns",
            home_networks=("10.0.0.0/8", "fd00::/8"),
            idle_timeout=30.0,
            active_timeout=600.5,
            most_flows=1000,
        )


def test_a_network_that_is_none_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "m", "data", "-o", "o", "--home-network", "office"]) == 2
    assert "'office' is no network in CIDR notation" in capsys.readouterr().err


def test_a_model_of_events_reads_its_own_type() -> None:
    assert options_for(ReadOptions(), "suricata.dns").event_type == "dns"
    assert options_for(ReadOptions(event_type="tls"), "suricata.dns").event_type == "tls"
    assert options_for(ReadOptions(), "zeek.dns").event_type is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--idle-timeout", "0"], "'0' is no number of seconds of at least 1e-06"),
        (["--active-timeout", "1e-10"], "'1e-10' is no number of seconds of at least 1e-06"),
        (["--active-timeout", "soon"], "'soon' is no finite number"),
        (["--most-flows", "0"], "'0' is no whole number from 1 on"),
    ],
)
def test_limits_of_flows_that_are_none_are_wrong_usage(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["score", "m", "data", "-o", "o", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_limits_of_flows_beyond_reason_are_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.pcap").write_bytes(pcap([]))
    with pytest.raises(SourceError, match=r"idle timeout 2000000.0 s, .* are no limits of flows"):
        list(scan(tmp_path / "x.pcap", idle_timeout=2e6))


def capture_of_pauses(pauses: list[float]) -> bytes:
    """Return a capture of one connection with pauses of so many seconds, from 10.0.0.1 to 8.8.8.8."""
    time, packets = START, []
    for pause in [0.0, *pauses]:
        time += round(pause * SECOND)
        packets.append((time, ethernet(0x0800, ipv4("10.0.0.1", "8.8.8.8", 17, udp(1234, 53, b"x" * 9)))))
    return pcap(packets)


def test_timeouts_cut_flows_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(capture_of_pauses([10.0] * 5 + [100.0]))

    def flows(**limits: float) -> list[int]:
        return [count for frame in scan(path, threads=1, **limits) for count in frame["packets"]]

    assert flows() == [7]
    assert flows(idle_timeout=50) == [6, 1]
    assert sorted(flows(active_timeout=25)) == [1, 3, 3]
    assert sorted(flows(idle_timeout=5)) == [1] * 7
    assert next(scan(path, idle_timeout=5))["end_reason"][0] == "idle timeout"


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a capture, and a model of its flows trained with other timeouts and home networks."""
    folder = tmp_path_factory.mktemp("captured")
    (folder / "x.pcap").write_bytes(capture_of_pauses([10.0, 1.0, 1.0] * 60))
    options = ReadOptions(idle_timeout=5.0, home_networks=("8.8.8.0/24",))
    read = read_frame([str(folder / "x.pcap")], options=options)
    remembered = reading_to_remember(options, read.record_type)
    assert remembered == {
        "home_networks": ["8.8.8.0/24"],
        "idle_timeout": 5.0,
        "active_timeout": 1800.0,
        "most_flows": 262144,
    }
    overrides = {"record_type": read.record_type, "reading": remembered}
    frame = pl.concat([read.frame] * 20)
    features = ["packets", "duration", "network_direction"]
    write_model_of(frame, folder / "flows.onnx", features=features, overrides=overrides)
    return folder


@pytest.mark.parametrize(
    ("arguments", "flows", "direction"),
    [
        ([], 61, "inbound"),
        (["--idle-timeout", "200"], 1, "inbound"),
        (["--home-network", "10.0.0.0/8"], 61, "outbound"),
    ],
)
def test_a_model_reads_as_it_was_trained_unless_told_otherwise(
    captured: Path, tmp_path: Path, arguments: list[str], flows: int, direction: str
) -> None:
    output = tmp_path / "scored.parquet"
    files = [str(captured / name) for name in ("flows.onnx", "x.pcap")]
    assert main(["score", *files, "-o", str(output), "--keep", "all", *arguments]) == 0
    scored = pl.read_parquet(output)
    assert scored.height == flows
    assert scored["network_direction"].unique().to_list() == [direction]


def test_inspect_tells_how_a_model_reads(captured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(captured / "flows.onnx")]) == 0
    line = "read with: home_networks 8.8.8.0/24; idle_timeout 5; active_timeout 1,800; most_flows 262,144"
    assert line in capsys.readouterr().out


def test_training_remembers_how_records_were_read(quick_training: None, tmp_path: Path) -> None:
    schema = tmp_path / "schema.toml"
    schema.write_text('[reading]\nhome_networks = ["10.0.0.0/8"]\n')
    (tmp_path / "x.pcap").write_bytes(capture_of_pauses([10.0, 1.0, 1.0] * 100))
    model = str(tmp_path / "flows.onnx")
    arguments = ["--schema", str(schema), "--idle-timeout", "5", "--features", "packets", "duration"]
    assert main(["train", str(tmp_path / "x.pcap"), "-o", model, *arguments]) == 0
    reading = ModelFile.read(model).schema.reading
    assert reading["home_networks"] == ["10.0.0.0/8"]
    assert (reading["idle_timeout"], reading["active_timeout"]) == (5.0, 1800.0)


DECLARED = """
[columns."net.bytes"]
kind = "numeric"

[columns."auth.method"]
kind = "categorical"

[columns.port]
kind = "categorical"
"""


def json_events(rows: int, late: int) -> str:
    """Return events whose bytes and method first occur in the record ``late``."""
    events: list[dict[str, object]] = [{"port": 22 + i % 2, "size": i % 50} for i in range(rows)]
    for i, event in enumerate(events[late:]):
        event |= {"net": {"bytes": i % 7 if i % 3 else i / 8}, "auth": {"method": ["key", "password"][i % 2]}}
    return "".join(json.dumps(event) + "\n" for event in events)


def test_declared_columns_need_not_be_found_in_the_first_records(
    quick_training: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("netsieve.engine.sources.json_text.DISCOVERY_BYTES", 512)
    Path("schema.toml").write_text(DECLARED)
    Path("events.ndjson").write_text(json_events(600, late=100))
    assert main(["train", "events.ndjson", "-o", "without.onnx"]) == 0
    assert set(ModelFile.read("without.onnx").schema.feature_names) == {"port", "size"}
    assert main(["train", "events.ndjson", "-o", "with.onnx", "--schema", "schema.toml"]) == 0
    schema = ModelFile.read("with.onnx").schema
    assert set(schema.feature_names) == {"port", "size", "net.bytes", "auth.method"}
    kinds = {feature.name: feature.column_kind for feature in schema.features}
    assert kinds == {"port": "string", "size": "integer", "net.bytes": "float", "auth.method": "string"}
    vocabularies = {feature.name: set(feature.vocabulary) for _, feature in schema.categorical}
    assert vocabularies == {"port": {"22", "23"}, "auth.method": {"key", "password"}}
    capsys.readouterr()
    # found late in the file to be scored, or never: missing values
    for late, bytes_known in ((300, 300), (600, 0)):
        Path("others.ndjson").write_text(json_events(600, late=late))
        arguments = ["-o", "scored.parquet", "--keep", "all", "--max-rejects", "0"]
        assert main(["score", "with.onnx", "others.ndjson", *arguments]) == 0
        scored = pl.read_parquet("scored.parquet")
        assert scored.height == 600
        assert scored["net.bytes"].count() == bytes_known
    # what is not declared is missed in a file that lacks it
    Path("others.ndjson").write_text('{"port": 22}\n' * 600)
    assert main(["score", "with.onnx", "others.ndjson", "-o", "scored.parquet"]) == 1
    assert "lacks 1 column that the model needs: 'size'" in capsys.readouterr().err


def test_declared_kinds_hold_for_delimited_text(
    quick_training: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema, data, model = (tmp_path / name for name in ("schema.toml", "x.csv", "x.onnx"))
    kinds = {"code": "categorical", "size": "numeric", "seen": "numeric"}
    schema.write_text("".join(f'[columns.{name}]\nkind = "{kind}"\n' for name, kind in kinds.items()))
    lines = [f"{i % 3},{i % 11},{i % 2 == 0}" for i in range(400)]
    data.write_text("\n".join(["code,size,seen", *lines, "4,large,True", "x,5,False"]) + "\n")
    assert main(["train", str(data), "-o", str(model), "--schema", str(schema)]) == 0
    features = {feature.name: feature for feature in ModelFile.read(model).schema.features}
    assert {name: feature.column_kind for name, feature in features.items()} == {
        "code": "string",
        "size": "float",
        "seen": "boolean",
    }
    assert "1 records could not be read" in capsys.readouterr().err  # 'large'


def test_what_both_sections_of_a_schema_file_declare_holds(quick_training: None, tmp_path: Path) -> None:
    schema, data, model = (tmp_path / name for name in ("schema.toml", "x.csv", "x.onnx"))
    schema.write_text('[reading.declared]\ncode = "string"\nsize = "string"\n[columns.size]\nkind = "numeric"\n')
    data.write_text("\n".join(["code,size", *(f"{i % 3},{i % 11}" for i in range(400))]) + "\n")
    assert main(["train", str(data), "-o", str(model), "--schema", str(schema)]) == 0
    assert ModelFile.read(model).schema.reading["declared"] == {"code": "string", "size": "float"}


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_flow_model(tmp_path / "model.onnx")
    for number, name in enumerate(("a/x.csv", "b/x.csv")):
        (tmp_path / "logs" / name).parent.mkdir(parents=True)
        flow_frame(200, seed=number).write_csv(tmp_path / "logs" / name)
    return tmp_path


def test_an_output_that_is_a_folder_gets_a_part_for_each_input(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["score", "model.onnx", "logs", "-o", "out/"]
    assert main([*command, "--json-summary", "s.json"]) == 0
    assert "400 from 2 files" in capsys.readouterr().out
    summary = json.loads(Path("s.json").read_text())
    assert summary["rows_in"] == summary["rows_scored"] == summary["rows_written"] == 400
    assert pl.read_parquet("out/**/*.parquet").height == 400
    assert main(command) == 1
    assert "add --resume" in capsys.readouterr().err
    assert main(["score", "model.onnx", "logs", "-o", "out", "--resume"]) == 0
    assert "400 from 2 files, 2 finished before" in capsys.readouterr().out


def test_a_file_that_fails_is_named_and_the_exit_code_says_so(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("logs/other.csv").write_text("a,b\n1,2\n")
    assert main(["score", "model.onnx", "logs", "-o", "out/"]) == 1
    captured = capsys.readouterr()
    assert "400 from 3 files, 1 failed" in captured.out
    (line,) = captured.err.splitlines()
    assert "1 of 3 files could not be scored, the first: 'logs/other.csv' lacks 4 columns" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "out/", "--top", "5"], "--top ranks all records and needs one output file"),
        (["-o", "out/", "--rejects", "r.ndjson"], "each part has its own"),
        (["-o", "out/", "--state", "hosts.state"], "keeps what is known of the hosts itself"),
        (["-o", "out/", "--by-entity", "SrcAddr"], "--by-entity ranks all records and needs one output file"),
        (["-o", "out.parquet", "--resume"], "--resume needs a folder as output"),
    ],
)
def test_options_that_do_not_go_with_folders_are_refused(
    logs: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["score", "model.onnx", "logs", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not Path("out").exists()
