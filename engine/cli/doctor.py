"""Show versions, processor features, execution providers and threads, what is missing and how to get it.

Works with any of the packages absent. Exits with 1 where this installation cannot score.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

from netsieve import __version__
from netsieve.engine.cli.arguments import available_threads
from netsieve.engine.cli.table import text_table

USES: Final[dict[str, tuple[str, Mapping[str, str]]]] = {
    "score": (
        "cpu",
        {
            "onnxruntime": "1.23",
            "numpy": "2.1",
            "polars": "2.0",
            "pyarrow": "20",
            "numba": "0.63",
            "orjson": "3.10",
            "zstandard": "0.23",
            "isal": "1.7",
            "tqdm": "4.67",
        },
    ),
    "train": (
        "cpu,train",
        {
            "torch": "2.9",
            "scikit-learn": "1.6",
            "onnx": "1.19",
            "onnxscript": "0.5",
            "safetensors": "0.6",
            "matplotlib": "3.10",
        },
    ),
}
"""What each use needs, with the oldest version that will do, and the extra that brings it."""

SHOWN_CPU_FEATURES: Final = (
    *("sse4_2", "avx", "avx2", "fma", "f16c", "bmi2", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "amx_int8"),
    *("asimd", "sve", "sve2", "i8mm"),
)
RUNTIMES: Final = ("onnxruntime", "onnxruntime-gpu")
_TOOL_SECONDS: Final = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments: it has none."""


def run(_options: argparse.Namespace) -> int:
    """Print the report."""
    problems = missing_packages() + runtime_problems()
    native, native_problem = _native_module()
    sections: dict[str, list[tuple[str, str]]] = {
        "netsieve": [("version", __version__), ("python", f"{platform.python_version()} ({sys.executable})"), native],
        "machine": _machine(),
        "packages": [
            (name, installed_version(name) or "not installed")
            for name in (*USES["score"][1], "onnxruntime-gpu", *USES["train"][1])
        ],
        "execution": [
            ("scoring kernels", _attempt(_kernels)),
            ("onnxruntime providers", _attempt(_providers)),
            ("graphics processors", _attempt(_graphics_processors)),
            ("numba threading layers", _attempt(_numba_layers)),
        ],
        "programs": [("nfdump", shutil.which("nfdump") or "not installed; only binary nfdump files need it")],
    }
    for title, rows in sections.items():
        print(title)
        print("\n".join("  " + line for line in text_table(rows).splitlines()))
    problems += native_problem
    for use, problem in problems:
        print(f"{use}: {problem}")
    cannot_score = any(use == "score" for use, _ in problems)
    if not problems:
        print("nothing is missing")
    return 1 if cannot_score else 0


def installed_version(package: str) -> str | None:
    """Return the version of an installed package without importing it."""
    from importlib import metadata  # takes longer to import than the command line to start

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def missing_packages() -> list[tuple[str, str]]:
    """Return for each use that lacks packages, or has too old ones, its name and what to do."""
    problems = []
    for use, (extra, packages) in USES.items():
        lacking = []
        for package, oldest in packages.items():
            found = installed_version(package)
            if package == "onnxruntime" and found is None:
                found = installed_version("onnxruntime-gpu")
            if found is None:
                lacking.append(package)
            elif _release(found) < _release(oldest):
                lacking.append(f"{package}>={oldest} (there is {found})")
        if lacking:
            problems.append((use, f"missing {', '.join(lacking)}; pip install 'netsieve[{extra}]'"))
    return problems


def runtime_problems() -> list[tuple[str, str]]:
    """Return a problem where both onnxruntime packages are installed: each overwrites files of the other."""
    if all(installed_version(name) for name in RUNTIMES):
        remedy = "pip uninstall onnxruntime onnxruntime-gpu, then install one of netsieve[cpu] and netsieve[gpu]"
        return [("score", f"onnxruntime and onnxruntime-gpu are both installed and shadow each other; {remedy}")]
    return []


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+", maxsplit=1)[0])[:3])


def _machine() -> list[tuple[str, str]]:
    information = _first_processor()
    flags = set((information.get("flags") or information.get("Features") or "").split())
    model = information.get("model name") or platform.processor() or platform.machine()
    rows = [
        ("system", platform.platform()),
        ("processor", model),
        ("features", " ".join(name for name in SHOWN_CPU_FEATURES if name in flags) or "unknown"),
        ("threads", f"{available_threads()} of {os.cpu_count()}"),
    ]
    settings = [
        f"{name}={os.environ[name]}" for name in ("POLARS_MAX_THREADS", "OMP_NUM_THREADS") if name in os.environ
    ]
    if settings:
        rows.append(("thread settings", " ".join(settings)))
    try:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        rows.append(("memory", f"{pages / 2**30:.1f} GiB"))
    except (OSError, ValueError):
        pass
    return rows


def _first_processor() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _native_module() -> tuple[tuple[str, str], list[tuple[str, str]]]:
    try:
        module = import_module("netsieve.kernels._native")
    except ImportError as error:
        problem = (
            "the native module cannot be loaded; install a wheel for this platform, or g++ and cmake, and reinstall"
        )
        return ("native module", f"missing ({error})"), [("score", problem)]
    return ("native module", str(module.__file__)), []


def _attempt(describe: Callable[[], str]) -> str:
    try:
        return describe()
    except Exception as error:  # a package may be absent, or broken in ways of its own
        return f"unknown ({type(error).__name__}: {' '.join(str(error).split())})"


def _kernels() -> str:
    from netsieve.kernels._native import chosen_variant, scoring_variants

    return f"{chosen_variant()} (of {', '.join(scoring_variants())})"


def _providers() -> str:
    import onnxruntime

    providers = [name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()]
    return ", ".join(providers)


def _graphics_processors() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "none (no NVIDIA driver)"
    query = [tool, "--query-gpu=name,compute_cap,memory.total,driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=_TOOL_SECONDS, check=True)
    lines = [line.strip() for line in answer.stdout.splitlines() if line.strip()]
    return "; ".join(lines) or "none"


def _numba_layers() -> str:
    layers = []
    for name, module in (("tbb", "tbbpool"), ("omp", "omppool"), ("workqueue", "workqueue")):
        try:
            import_module(f"numba.np.ufunc.{module}")
        except ImportError:
            continue
        layers.append(name)
    import numba

    return f"{', '.join(layers)}; chosen: {numba.config.THREADING_LAYER}"  # type: ignore[attr-defined]
