import os
import subprocess
import sys
import threading

import numba
import numpy as np
import pytest

from netsieve.kernels import jit


def run(code: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importing_the_kernels_does_not_import_numba():
    assert run("import sys, netsieve.kernels; print('numba' in sys.modules)") == "False\n"


@pytest.mark.parametrize(("value", "enabled"), [("0", False), ("off", False), ("1", True), ("", True)])
def test_the_cache_has_a_switch(monkeypatch, value, enabled):
    monkeypatch.setenv(jit.CACHE_VARIABLE, value)
    assert jit.cache_enabled() == enabled
    monkeypatch.delenv(jit.CACHE_VARIABLE)
    assert jit.cache_enabled()


def test_a_kernel_that_cannot_be_cached_is_compiled_all_the_same(monkeypatch):
    asked = []

    def njit(**options):
        asked.append(options)
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(numba, "njit", njit)
    monkeypatch.setenv(jit.CACHE_VARIABLE, "1")
    assert jit.kernel()(abs) is abs
    assert [options.get("cache", False) for options in asked] == [True, False]


def test_fast_arithmetic_still_sees_missing_values():
    assert not jit.FASTMATH & {"nnan", "ninf", "fast"}

    @jit.kernel(fast=True)
    def count_missing(values):
        missing = 0
        for value in values:
            if np.isnan(value):
                missing += 1
        return missing

    assert count_missing(np.array([1, np.nan, np.inf, np.nan])) == 2


def test_parallel_kernels_are_kept_from_the_workqueue_under_threads(monkeypatch):
    monkeypatch.setattr(jit, "_layer_is_installed", lambda layer: False)
    others = threading.active_count() > 1
    assert jit.parallel_is_safe() == (not others)
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    try:
        assert not jit.parallel_is_safe()
        monkeypatch.setattr(jit, "_layer_is_installed", lambda layer: layer == "omp")
        assert jit.parallel_is_safe()
        monkeypatch.setattr(numba.config, "THREADING_LAYER", "workqueue")
        assert not jit.parallel_is_safe()
    finally:
        done.set()
        other.join()


def test_warmup_compiles_every_kernel():
    code = """
import importlib, numba
from netsieve.kernels import jit
jit.warmup()
for name in jit.KERNEL_MODULES:
    for key, value in vars(importlib.import_module(name)).items():
        if isinstance(value, numba.core.dispatcher.Dispatcher) and not value.signatures:
            print(name, key)
"""
    # from the cache, a kernel that only kernels call shows no signature of its own
    assert run(code, NUMBA_DISABLE_JIT="0", NETSIEVE_NUMBA_CACHE="0") == ""
