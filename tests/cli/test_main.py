"""The command line as a whole: start-up, help, versions, the small commands."""

import json
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from flows import write_flow_model

import netsieve
from netsieve.engine.cli import doctor
from netsieve.engine.cli.main import COMMANDS, main
from netsieve.engine.cli.table import text_table

HEAVY = {"numpy", "polars", "onnxruntime", "pyarrow", "torch", "sklearn", "onnx", "numba", "pandas", "tqdm"}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["-v"], *([name, "--help"] for name in COMMANDS)])
def test_help_and_version(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "netsieve" in captured.out
    if arguments == ["--help"]:
        assert all(name in captured.out for name in COMMANDS)


def modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    return set(output.splitlines()[-1].split())


def test_help_imports_nothing_heavy() -> None:
    loaded = modules_after("from netsieve.engine.cli.main import main; main(['score', '--help'])")
    assert not loaded & HEAVY


def test_scoring_imports_only_what_it_needs(tmp_path: Path) -> None:
    write_flow_model(tmp_path / "m.onnx")
    (tmp_path / "in.csv").write_text("Dport,Proto,Bytes,Duration\n80,tcp,100,1.0\n")
    arguments = ["score", str(tmp_path / "m.onnx"), str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.parquet")]
    loaded = modules_after(f"from netsieve.engine.cli.main import main; assert main({arguments!r}) == 0")
    assert not loaded & {"pyarrow", "torch", "sklearn", "onnx", "numba", "pandas", "tqdm", "matplotlib"}


def test_inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_flow_model(tmp_path / "m.onnx")
    assert main(["inspect", str(tmp_path / "m.onnx")]) == 0
    text = capsys.readouterr().out
    for word in (
        "autoencoder",
        "scored by",
        "native (",
        "Dport",
        "fpr:0.01",
        "default",
        "ignored (label): Label",
        "rows.train",
    ):
        assert word in text
    assert main(["inspect", str(tmp_path / "m.onnx"), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["default_threshold"] == "fpr:0.01"
    assert content["backend"].startswith("native (")
    assert len(content["sha256"]) == 64
    assert {"schema", "calibration", "thresholds", "provenance", "detector"} <= set(content)


def test_detectors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detectors"]) == 0
    assert capsys.readouterr().out.startswith("autoencoder  ")


def test_doctor_finds_this_environment_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert f"version        {netsieve.__version__}" in text
    assert "onnxruntime providers" in text
    assert "portable)" in next(line for line in text.splitlines() if "scoring kernels" in line)


def test_doctor_says_whether_nfdump_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    main(["doctor"])
    assert "not installed; only binary nfdump files need it" in capsys.readouterr().out
    (tmp_path / "nfdump").touch(mode=0o755)
    main(["doctor"])
    assert str(tmp_path / "nfdump") in capsys.readouterr().out


def test_doctor_works_with_packages_absent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def version(package: str) -> str:
        if package in ("polars", "torch", "onnxruntime"):
            raise metadata.PackageNotFoundError(package)
        return "1.0" if package == "orjson" else "99.0"

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "numba", None)
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    # onnxruntime-gpu stands in for onnxruntime
    assert "score: missing polars, orjson>=3.10 (there is 1.0); pip install 'netsieve[cpu]'" in text
    assert "train: missing torch; pip install 'netsieve[cpu,train]'" in text
    assert "onnxruntime providers   unknown" in text


def test_doctor_knows_that_the_runtimes_exclude_each_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(metadata, "version", lambda _package: "99.0")
    assert main(["doctor"]) == 1
    assert "shadow each other" in capsys.readouterr().out


def test_doctor_asks_for_what_the_extras_bring() -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    extras = tomllib.loads(project.read_text())["project"]["optional-dependencies"]
    for extra, packages in doctor.USES.values():
        last = extra.split(",")[-1]
        assert [f"{name}>={oldest}" for name, oldest in packages.items()] == extras[last]


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "netsieve.engine.scoring.files", None)
    assert main(["score", "m", "d", "-o", "o"]) == 1
    assert "netsieve: error: " in capsys.readouterr().err

    def needs_torch(_options: object) -> int:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("netsieve.engine.cli.detectors.run", needs_torch)
    assert main(["detectors"]) == 1
    expected = (
        "netsieve: error: this needs the package 'torch', which is not installed: pip install 'netsieve[cpu,train]'"
    )
    assert capsys.readouterr().err == f"{expected}\n"


def test_an_unexpected_error_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_options: object) -> int:
        raise ValueError("two\nlines")

    monkeypatch.setattr("netsieve.engine.cli.detectors.run", fail)
    assert main(["detectors"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("netsieve: error: unexpected ValueError: two lines; ")
    assert error.count("\n") == 1


def test_text_table() -> None:
    assert text_table([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc  d"
    assert text_table([("a", "1"), ("b", "100")], numbers=True) == "a    1\nb  100"
    assert text_table([]) == ""
