"""The import rules of the rooms, checked on the source and in fresh interpreters."""

import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import netsieve

PACKAGE = Path(netsieve.__file__).parent
HEAVY = ("torch", "sklearn", "onnx", "pandas", "matplotlib", "streamlit", "ray", "mlflow")


def imported_modules(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
    return modules


def modules_loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("path", sorted((PACKAGE / "kernels").rglob("*.py")), ids=lambda path: path.stem)
def test_kernels_know_no_other_room(path: Path) -> None:
    own = [name for name in imported_modules(path) if name.startswith("netsieve.")]
    assert all(name.startswith("netsieve.kernels") for name in own), own


@pytest.mark.parametrize("room", ["engine", "kernels", "bench"])
def test_only_export_writes_graphs(room: str) -> None:
    writers = {
        str(path.relative_to(PACKAGE))
        for path in (PACKAGE / room).rglob("*.py")
        if any(name == "onnx" or name.startswith("onnx.") for name in imported_modules(path))
    }
    assert not writers


@pytest.mark.parametrize(
    "code",
    [
        "import netsieve; netsieve.Scorer",
        "import netsieve.engine.scoring.files",
        "import netsieve.engine.cli.main",
        "import netsieve.engine.cli.score",
    ],
)
def test_scoring_path_imports_nothing_heavy(code: str) -> None:
    loaded = modules_loaded_by(code)
    assert not loaded & {*HEAVY, "numba"}


def test_the_bench_room_is_loaded_by_none_but_the_command_that_measures() -> None:
    for room in ("engine", "export", "kernels"):
        for path in (PACKAGE / room).rglob("*.py"):
            # The command does so within a function
            statements = [node for node in ast.parse(path.read_text()).body if not isinstance(node, ast.FunctionDef)]
            searched = statements if path.name == "bench.py" else [ast.parse(path.read_text())]
            modules = [
                getattr(node, "module", None) or alias.name
                for statement in searched
                for node in ast.walk(statement)
                if isinstance(node, ast.Import | ast.ImportFrom)
                for alias in node.names
            ]
            assert not [name for name in modules if name.startswith("netsieve.bench")], path


def test_a_process_that_measures_plain_onnxruntime_loads_nothing_else_of_ours() -> None:
    loaded = modules_loaded_by("import netsieve.bench.timed_scoring")
    assert not {name for name in loaded if name.startswith(("netsieve.engine", "polars", "pyarrow"))}


def test_importing_netsieve_is_light() -> None:
    assert not modules_loaded_by("import netsieve") & {"numpy", "polars", "onnxruntime"}


def test_parsing_the_command_line_is_light() -> None:
    loaded = modules_loaded_by("from netsieve.engine.cli.main import argument_parser; argument_parser()")
    assert not loaded & {"numpy", "polars", "pyarrow", "onnxruntime", "netsieve.bench"}


def test_no_bare_room_is_importable() -> None:
    loaded = modules_loaded_by("import netsieve, netsieve.engine, netsieve.kernels, netsieve.export, netsieve.bench")
    assert not loaded & {"engine", "kernels", "export", "bench"}
    assert not {"engine", "kernels", "export", "bench"} & set(sys.modules)


def test_public_names_resolve() -> None:
    for name in netsieve.__all__:
        assert getattr(netsieve, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        netsieve.nonsense  # noqa: B018


def test_version_is_the_installed_one() -> None:
    assert importlib.metadata.version("netsieve") == netsieve.__version__


def test_runtimes_exclude_each_other() -> None:
    requirements = importlib.metadata.requires("netsieve") or []
    for extra in ("cpu", "gpu"):
        runtimes = [r for r in requirements if r.startswith("onnxruntime") and f'"{extra}"' in r.replace("'", '"')]
        assert len(runtimes) == 1
