"""What a measurement was taken with: the machine and the versions of libraries, as plain JSON values."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

PACKAGES: Final = (
    "netsieve",
    "numpy",
    "polars",
    "pyarrow",
    "onnxruntime",
    "numba",
    "torch",
    "scikit-learn",
    "onnx",
    "skl2onnx",
    "openvino",
    "isotree",
    "pyod",
    "pandas",
    "duckdb",
    "orjson",
    "msgspec",
    "dpkt",
    "scapy",
    "nfstream",
)
"""Libraries whose versions are told, where they are installed."""
INSTRUCTION_SETS: Final = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")
"""Those that change the speed of scoring much."""


def describe_machine() -> dict[str, Any]:
    """Return what measurements were taken on.

    Keys: ``processor``, ``instruction_sets``, ``cores`` (usable ones), ``memory_bytes``, ``system``, ``python``,
    ``versions``, and ``load``, the runnable processes over the last minute: a timing that began at more than about
    0.3 had company.
    """
    processor = _processor()
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "processor": processor.get("model name") or platform.processor() or platform.machine(),
        "instruction_sets": [name for name in INSTRUCTION_SETS if name in processor.get("flags", "").split()],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": versions,
        "load": round(os.getloadavg()[0], 2),
    }


def machine_line(machine: dict[str, Any]) -> str:
    """Return a machine of :func:`describe_machine` in one line, without the versions of libraries."""
    memory = machine["memory_bytes"] / 2**30
    sets = f" ({', '.join(machine['instruction_sets'])})" if machine["instruction_sets"] else ""
    return (
        f"{machine['cores']} cores of {machine['processor']}{sets}, {memory:.0f} GiB, {machine['system']}, "
        f"Python {machine['python']}"
    )


def _processor() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    first = text.split("\n\n", 1)[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}
