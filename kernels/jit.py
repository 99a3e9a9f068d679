"""How kernels are compiled: one place for Numba's options, a guard for its thread layer, and a warm-up.

Importing this module imports Numba, about 0.7 s: import it from kernel modules only, and those when used.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, TypeVar, cast

import numba
from numba.core import config

Function = TypeVar("Function", bound=Callable[..., Any])

CACHE_VARIABLE: Final = "NETSIEVE_NUMBA_CACHE"
"""Environment variable; ``0`` keeps compiled kernels out of the disk cache."""
FASTMATH: Final = frozenset({"nsz", "arcp", "contract", "afn", "reassoc"})
"""Allowed liberties. Never ``nnan`` or ``ninf``: a NaN means missing and must be seen as such."""
KERNEL_MODULES: Final = (
    "netsieve.kernels.neighbours",
    "netsieve.kernels.quantile_sketch",
    "netsieve.kernels.ranking",
    "netsieve.kernels.thresholds",
    "netsieve.kernels.windows",
)
"""Modules with a ``warmup`` function that runs each of their kernels once on a few values."""


def cache_enabled() -> bool:
    """Return whether compiled kernels are kept on disk; ``NETSIEVE_NUMBA_CACHE=0`` turns it off."""
    return os.environ.get(CACHE_VARIABLE, "1").strip().lower() not in ("0", "false", "off", "no")


def kernel(*, fast: bool = False, parallel: bool = False) -> Callable[[Function], Function]:
    """Return the decorator that compiles a kernel with the project's options; the kernel releases the GIL.

    Parameters
    ----------
    fast
        Let sums be reordered and so vectorised (:data:`FASTMATH`). Not for compensated or compared arithmetic.
    parallel
        Compile ``prange`` loops for threads. Call such a kernel only where :func:`parallel_is_safe`.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "parallel": parallel}
    if fast:
        options["fastmath"] = set(FASTMATH)

    def compile_lazily(function: Function) -> Function:
        if cache_enabled():
            try:
                return cast(Function, numba.njit(cache=True, **options)(function))
            except RuntimeError:
                # neither the package's folder nor the user's cache folder can be written to: compile each time
                pass
        return cast(Function, numba.njit(**options)(function))

    return compile_lazily


def parallel_is_safe() -> bool:
    """Return whether a kernel compiled with ``parallel=True`` may be called from the current thread.

    The TBB and OpenMP layers may be entered from several threads at once. The workqueue layer, which is all
    that some installations have, aborts the process in that case, so it is safe only in a process with one
    thread.
    """
    priority = list(config.THREADING_LAYER_PRIORITY)  # type: ignore[attr-defined]
    asked = str(config.THREADING_LAYER)  # type: ignore[attr-defined]
    if asked in ("tbb", "omp", "workqueue"):
        priority = [asked]
    for layer in priority:
        if layer == "workqueue":
            break
        if _layer_is_installed(layer):
            return True
    return threading.active_count() == 1


def _layer_is_installed(layer: str) -> bool:
    if importlib.util.find_spec(f"numba.np.ufunc.{layer}pool") is None:
        return False
    try:
        import_module(f"numba.np.ufunc.{layer}pool")
    except ImportError:
        return False
    return True


def warmup() -> None:
    """Compile every kernel, or load it from the cache, so that the first real call is not slow."""
    for name in KERNEL_MODULES:
        import_module(name).warmup()
