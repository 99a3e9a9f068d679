"""How fast an NVIDIA GPU scores netsieve's default autoencoder, beside what its bus and its arithmetic allow.

``python gpu.py`` is all: this one file runs anywhere with NumPy and either onnxruntime-gpu or a CUDA build of PyTorch.
It makes networks of 10, 41 and 115 features, checks the GPU's scores against float64 on the CPU, then times batches of
1,024 to 1,048,576 rows: with the rows on the GPU already, and with their copies from page-locked host memory and back,
on two streams so that copies and computing overlap. The bounds are measured too: host-to-device copies, and a large
float32 matrix product without TF32. It prints a table and writes ``gpu-CARD.json``. ``--device cpu`` runs the same on a
CPU, small, to see that it works.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

WIDTHS: Final = (10, 41, 115)
"""Features: those of a plain flow, of KDD Cup, and of N-BaIoT."""
BATCHES: Final = tuple(4**power for power in range(5, 11))
SMALL_BATCHES: Final = (1024, 4096)
"""Rows of a batch with ``--device cpu``."""
LANES: Final = 2
"""Batches on their way at once, each on a stream of its own."""
ROUNDS: Final = 3
LEAST_SECONDS: Final = 0.25
"""Seconds that a measured round takes at least."""
COPIED_BYTES: Final = 2**28
PRODUCT_SIZE: Final = 4096
"""Rows and columns of the matrices whose product shows what the arithmetic allows."""
DISTINCT_ROWS: Final = 65_536
"""Rows drawn; larger batches repeat them."""
PARITY_ROWS: Final = 20_000
PARITY_TOLERANCE: Final = 1e-5
"""Of ``|reference| + median reference``."""
SOFT_CLIP: Final = np.float32(10.0)
LARGEST_EXCESS: Final = np.float32(1e30)
STEEP: Final = np.float32(1e30)
NVIDIA_SMI_FIELDS: Final = {
    "name": "name",
    "driver": "driver_version",
    "compute_capability": "compute_cap",
    "memory": "memory.total",
    "power_limit": "power.limit",
    "largest_clock": "clocks.max.sm",
    "bus_generation": "pcie.link.gen.max",
    "bus_lanes": "pcie.link.width.max",
}

Floats = NDArray[np.float32]
Run = Callable[[int], float]
"""Does something so many times and returns the seconds that all took together."""


class GpuError(Exception):
    """Why nothing can be measured, in one line."""


class Network:
    """An autoencoder of ``width`` numbers, every second half with a signed log, as netsieve trains it by default.

    The weights are random, but what depends on the data is fitted: centres, scales, error weights, and the whitening of
    the latent code. Attributes are named as in netsieve's graphs.
    """

    def __init__(self, width: int) -> None:
        self.width, self.plain = width, width - width // 2
        self._random = np.random.default_rng(width)
        sample = self.rows(4096)
        numbers = self._numbers(sample.astype(np.float64))
        self.center = np.nanmean(numbers, axis=0, keepdims=True).astype(np.float32)
        self.scale = np.nanstd(numbers, axis=0, keepdims=True).astype(np.float32)
        self.fill = np.full((1, width), SOFT_CLIP, dtype=np.float32)
        widest, code = int(np.clip(2 * width, 32, 128)), int(np.clip(width // 3, 2, 16))
        self.encoder = self._layers(width, widest, widest // 2, code)
        self.decoder = self._layers(code, widest // 2, widest, width)
        z, codes, rebuilt = self._forward(sample)
        self.error_weight = (1 / np.square(rebuilt - z).mean(axis=0, keepdims=True)).astype(np.float32)
        self.latent_center = codes.mean(axis=0)
        inverse = np.linalg.inv(np.cov(codes, rowvar=False) + 1e-6 * np.eye(code))
        self.latent_weight = np.linalg.cholesky(inverse).astype(np.float32)
        self.latent_bias = (-self.latent_center @ self.latent_weight.astype(np.float64)).astype(np.float32)

    @property
    def flops(self) -> int:
        """Floating-point operations of the matrix products, for one row."""
        weights = [weight for weight, _ in (*self.encoder, *self.decoder)]
        return 2 * sum(weight.size for weight in (*weights, self.latent_weight))

    def rows(self, count: int) -> Floats:
        """Return random rows, float32 ``[count, width]``: heavy tails in the second half, and 2 % missing."""
        x = self._random.standard_normal((count, self.width))
        x[:, self.plain :] = np.sign(x[:, self.plain :]) * np.expm1(3 * np.abs(x[:, self.plain :]))
        x[self._random.random(x.shape) < 0.02] = np.nan
        return x.astype(np.float32)

    def score(self, x: Floats) -> NDArray[np.float64]:
        """Return the scores in float64, the reference."""
        z, codes, rebuilt = self._forward(x)
        errors = np.log1p(np.square(rebuilt - z) * self.error_weight.astype(np.float64))
        whitened = codes @ self.latent_weight.astype(np.float64) + self.latent_bias
        return np.asarray(
            errors.mean(axis=1) + np.log1p(np.square(whitened).sum(axis=1)) / self.width, dtype=np.float64
        )

    def onnx(self) -> bytes:
        """Return the network as an ONNX file, node for node as netsieve writes it."""
        graph = OnnxGraph()
        node, constant = graph.node, graph.constant
        lengths = constant("feature_groups", np.array([self.plain, self.width - self.plain]))
        graph.node("Split", "x", lengths, name="x_plain", others=("x_logged",), axis=1)
        logarithm = node("Log", node("Add", node("Abs", "x_logged"), constant("one", 1.0)))
        unit = constant("minus_one", -1.0), constant("plus_one", 1.0)
        signed = node("Mul", logarithm, node("Clip", node("Mul", "x_logged", constant("steep", STEEP)), *unit))
        numbers = node("Concat", "x_plain", signed, axis=1)
        missing = node("IsNaN", numbers)
        centered = node("Sub", numbers, constant("center", self.center))
        scaled = node("Div", centered, constant("scale", self.scale))
        inner = node("Clip", scaled, constant("low", -SOFT_CLIP), constant("high", SOFT_CLIP))
        excess = node("Sub", node("Abs", scaled), constant("limit_less_one", SOFT_CLIP - np.float32(1)))
        bounded = node("Clip", excess, constant("no_excess", 1.0), constant("largest_excess", LARGEST_EXCESS))
        beyond = node("Mul", node("Log", bounded), node("Clip", scaled, *unit))
        z = node("Where", missing, constant("fill", self.fill), node("Add", inner, beyond))
        code = graph.layers("encoder", self.encoder, z)
        residual = node("Sub", graph.layers("decoder", self.decoder, code), z)
        weighted = node("Mul", node("Mul", residual, residual), constant("error_weight", self.error_weight))
        logarithm = node("Log", node("Add", weighted, constant("unit", 1.0)))
        share = np.full((1, self.width), 1 / self.width)
        node("Mul", logarithm, constant("feature_weight", share), name="feature_error")
        axis = constant("row_axis", np.array([1]))
        latent = constant("latent.weight", self.latent_weight), constant("latent.bias", self.latent_bias)
        distance = node("ReduceSumSquare", node("Gemm", code, *latent), axis, keepdims=0)
        distance = node("Log", node("Add", distance, constant("latent_unit", 1.0)))
        distance = node("Div", distance, constant("column_count", float(self.width)))
        node("Add", node("ReduceSum", "feature_error", axis, keepdims=0), distance, name="score")
        return graph.file({"x": ("n", self.width)}, {"score": ("n",), "feature_error": ("n", self.width)})

    def _layers(self, *sizes: int) -> list[tuple[Floats, Floats]]:
        return [
            (
                (self._random.standard_normal((inputs, outputs)) * math.sqrt(2 / inputs)).astype(np.float32),
                (0.1 * self._random.standard_normal(outputs)).astype(np.float32),
            )
            for inputs, outputs in pairwise(sizes)
        ]

    def _numbers(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        logged = x[:, self.plain :]
        return np.concatenate([x[:, : self.plain], np.sign(logged) * np.log1p(np.abs(logged))], axis=1)

    def _forward(self, x: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the prepared rows, their codes, and what is rebuilt of them, in float64."""
        numbers = self._numbers(x.astype(np.float64))
        scaled = (numbers - self.center.astype(np.float64)) / self.scale.astype(np.float64)
        inner = np.clip(scaled, -SOFT_CLIP, SOFT_CLIP)
        z = inner + np.sign(scaled) * np.log1p(np.minimum(np.abs(scaled - inner), LARGEST_EXCESS))
        z = np.where(np.isnan(numbers), self.fill, z)
        codes = _through(self.encoder, z)
        return z, codes, _through(self.decoder, codes)


def _through(layers: Sequence[tuple[Floats, Floats]], values: NDArray[np.float64]) -> NDArray[np.float64]:
    for number, (weight, bias) in enumerate(layers, start=1):
        values = values @ weight.astype(np.float64) + bias
        values = values if number == len(layers) else np.maximum(values, 0)
    return values


class OnnxGraph:
    """An ONNX file being written, byte by byte in Protocol Buffers, so that no package is needed for it."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []

    def constant(self, name: str, value: Any) -> str:
        """Keep an array as float32, or int64 where it holds whole numbers, and return its name."""
        array = np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind == "i" else np.float32)
        kind = 7 if array.dtype == np.int64 else 1
        dimensions = b"".join(_number(1, size) for size in array.shape)
        self._constants.append(dimensions + _number(2, kind) + _text(8, name) + _bytes(9, array.tobytes()))
        return name

    def node(self, operator: str, *inputs: str, name: str = "", others: Sequence[str] = (), **attributes: int) -> str:
        """Add a node and return the name of its first output."""
        name = name or f"value_{len(self._nodes)}"
        content = b"".join([*(_text(1, each) for each in inputs), *(_text(2, each) for each in (name, *others))])
        content += _text(3, name) + _text(4, operator)
        for key, value in attributes.items():
            content += _bytes(5, _text(1, key) + _number(3, value) + _number(20, 2))
        self._nodes.append(content)
        return name

    def layers(self, part: str, layers: Sequence[tuple[Floats, Floats]], values: str) -> str:
        """Add dense layers, all but the last with a ReLU, and return the output."""
        for number, (weight, bias) in enumerate(layers):
            name = f"{part}_{number}"
            constants = self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias)
            values = self.node("Gemm", values, *constants, name=name)
            if number < len(layers) - 1:
                values = self.node("Relu", values)
        return values

    def file(self, inputs: Mapping[str, tuple[str | int, ...]], outputs: Mapping[str, tuple[str | int, ...]]) -> bytes:
        """Return the file; inputs and outputs are float32 of these shapes, with names for sizes that vary."""
        graph = b"".join(_bytes(1, node) for node in self._nodes) + _text(2, "gpu")
        graph += b"".join(_bytes(5, constant) for constant in self._constants)
        for field, values in ((11, inputs), (12, outputs)):
            for name, shape in values.items():
                sizes = [_number(1, size) if isinstance(size, int) else _text(2, size) for size in shape]
                kind = _number(1, 1) + _bytes(2, b"".join(_bytes(1, size) for size in sizes))
                graph += _bytes(field, _text(1, name) + _bytes(2, _bytes(1, kind)))
        return _number(1, 10) + _text(2, "netsieve") + _bytes(7, graph) + _bytes(8, _number(2, 18))


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


class Runtime(Protocol):
    """What computes: each of these is measured with it. Host memory is page-locked where ``pinned`` says so."""

    name: str
    pinned: bool

    def load(self, network: Network) -> None:
        """Take this network from now on."""

    def score(self, x: Floats) -> Floats:
        """Return the scores of rows in host memory."""

    def resident(self, x: Floats) -> Run:
        """Return what scores these rows on the device, where they stay."""

    def end_to_end(self, x: Floats) -> Run:
        """Return what copies such a batch onto the device, scores it, and copies the scores back; lanes overlap."""

    def copying(self, size: int) -> Run:
        """Return what copies so many bytes of host memory onto the device."""

    def multiplying(self, size: int) -> Run:
        """Return what multiplies two float32 matrices ``[size, size]`` on the device."""

    def description(self) -> dict[str, Any]:
        """Return versions and settings."""


class OnnxRuntime:
    """onnxruntime with inputs and outputs bound to the device. Its runs end when the device is done."""

    name = "onnxruntime"

    def __init__(self, device: str, numbers: int) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise GpuError(f"onnxruntime cannot be imported ({_first_line(error)})") from error
        self._library, self._device = onnxruntime, device
        if device == "cuda":
            if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
                raise GpuError("onnxruntime is built for CPUs only (onnxruntime-gpu is another package)")
            with redirect_stdout(sys.stderr):
                onnxruntime.preload_dlls()
        self._session: Any = None
        # Also tries the provider: it fails, or falls back to the CPU, when its first session is made
        self._product = self._made(_product_file())
        pools = [self._pool(numbers) for _ in range(LANES)]
        self._pools = [array for array, _ in pools]
        self.pinned = all(pinned for _, pinned in pools)

    def load(self, network: Network) -> None:
        """See :class:`Runtime`."""
        self._session = None
        self._session = self._made(network.onnx())

    def score(self, x: Floats) -> Floats:
        """See :class:`Runtime`."""
        return self._scored(self._session.io_binding(), self._value(x))

    def resident(self, x: Floats) -> Run:
        """See :class:`Runtime`."""
        return self._bound(self._session, {"x": x}, "score", (len(x),))

    def end_to_end(self, x: Floats) -> Run:
        """See :class:`Runtime`."""
        lanes = [(_filled(pool, x), self._value(x), self._session.io_binding()) for pool in self._pools]

        def run_lane(lane: tuple[Floats, Any, Any], repeats: int) -> None:
            host, value, binding = lane
            for _ in range(repeats):
                value.update_inplace(host)
                self._scored(binding, value)

        def run(repeats: int) -> float:
            with ThreadPoolExecutor(LANES) as threads:
                start = time.perf_counter()
                shares = [(repeats + number) // LANES for number in range(LANES)]
                for done in [threads.submit(run_lane, lane, n) for lane, n in zip(lanes, shares, strict=True)]:
                    done.result()
                return time.perf_counter() - start

        return run

    def copying(self, size: int) -> Run:
        """See :class:`Runtime`."""
        host = self._pools[0][: size // 4]
        value = self._value(host)
        return partial(_seconds, lambda: value.update_inplace(host))

    def multiplying(self, size: int) -> Run:
        """See :class:`Runtime`."""
        a = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
        return self._bound(self._product, {"a": a, "b": a}, "product", (size, size))

    def description(self) -> dict[str, Any]:
        """See :class:`Runtime`."""
        return {"version": self._library.__version__, "cuda": getattr(self._library, "cuda_version", "") or None}

    def _made(self, file: bytes) -> Any:
        options = self._library.SessionOptions()
        options.log_severity_level = 3
        providers: list[Any] = ["CPUExecutionProvider"]
        if self._device == "cuda":
            providers.insert(0, ("CUDAExecutionProvider", {"use_tf32": "0"}))
        try:
            session = self._library.InferenceSession(file, options, providers=providers, enable_fallback=0)
        except Exception as error:  # onnxruntime's errors share no other base
            raise GpuError(f"onnxruntime cannot use the {self._device} device ({_first_line(error)})") from error
        if self._device == "cuda" and session.get_providers()[0] != "CUDAExecutionProvider":
            raise GpuError("onnxruntime's CUDA provider did not load (pip install 'onnxruntime-gpu[cuda,cudnn]')")
        return session

    def _value(self, x: Floats) -> Any:
        value = self._library.OrtValue.ortvalue_from_shape_and_type(list(x.shape), np.float32, self._device, 0)
        value.update_inplace(x)
        return value

    def _scored(self, binding: Any, value: Any) -> Floats:
        binding.bind_ortvalue_input("x", value)
        binding.clear_binding_outputs()
        binding.bind_output("score", self._device, 0)
        self._session.run_with_iobinding(binding)
        scores: Floats = binding.copy_outputs_to_cpu()[0]
        return scores

    def _bound(self, session: Any, inputs: dict[str, Floats], output: str, shape: tuple[int, ...]) -> Run:
        binding = session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, self._value(array))
        binding.bind_ortvalue_output(output, self._value(np.empty(shape, np.float32)))

        def run(repeats: int) -> float:
            start = time.perf_counter()
            for _ in range(repeats):
                session.run_with_iobinding(binding)
            binding.synchronize_outputs()
            return time.perf_counter() - start

        return run

    def _pool(self, numbers: int) -> tuple[Floats, bool]:
        """Return host memory, and whether it is page-locked."""
        array = np.zeros(numbers, dtype=np.float32)
        return array, self._device == "cuda" and _page_locked(array)


class TorchRuntime:
    """PyTorch, eager, timed by CUDA events on a GPU."""

    name = "torch"

    def __init__(self, device: str, numbers: int) -> None:
        try:
            import torch
        except ImportError as error:
            raise GpuError(f"torch cannot be imported ({_first_line(error)})") from error
        if device == "cuda" and not torch.cuda.is_available():
            why = "sees no GPU that it can use" if torch.version.cuda else "is built for CPUs only"
            raise GpuError(f"torch {torch.__version__} {why}")
        self._torch: Any = torch
        self._device = device
        self._network: Any = None
        torch.backends.cuda.matmul.allow_tf32 = False
        self.pinned = device == "cuda"
        self._pools = [torch.zeros(numbers, pin_memory=self.pinned) for _ in range(LANES)]

    def load(self, network: Network) -> None:
        """See :class:`Runtime`."""

        def on_device(array: Floats) -> Any:
            return self._torch.from_numpy(array).to(self._device)

        self._network = network
        self._center, self._scale, self._fill = map(on_device, (network.center, network.scale, network.fill))
        self._layers = [
            [(on_device(weight), on_device(bias)) for weight, bias in part]
            for part in (network.encoder, network.decoder, [(network.latent_weight, network.latent_bias)])
        ]
        self._error_weight = on_device(network.error_weight)

    def score(self, x: Floats) -> Floats:
        """See :class:`Runtime`."""
        scores: Floats = self._scored(self._torch.from_numpy(x).to(self._device)).cpu().numpy()
        return scores

    def resident(self, x: Floats) -> Run:
        """See :class:`Runtime`."""
        value = self._torch.from_numpy(x).to(self._device)
        return partial(self._timed, lambda _: self._scored(value))

    def end_to_end(self, x: Floats) -> Run:
        """See :class:`Runtime`."""
        torch = self._torch
        host = [pool[: x.size].view(x.shape).copy_(torch.from_numpy(x)) for pool in self._pools]
        values = [torch.empty(x.shape, device=self._device) for _ in range(LANES)]
        scores = [torch.empty(len(x), pin_memory=self.pinned) for _ in range(LANES)]

        def run_one(number: int) -> None:
            lane = number % LANES
            values[lane].copy_(host[lane], non_blocking=True)
            scores[lane].copy_(self._scored(values[lane]), non_blocking=True)

        streams = [torch.cuda.Stream() for _ in range(LANES)] if self._device == "cuda" else []
        return partial(self._timed, run_one, streams=streams)

    def copying(self, size: int) -> Run:
        """See :class:`Runtime`."""
        host = self._pools[0][: size // 4]
        value = self._torch.empty(len(host), device=self._device)
        return partial(self._timed, lambda _: value.copy_(host, non_blocking=True))

    def multiplying(self, size: int) -> Run:
        """See :class:`Runtime`."""
        a = self._torch.randn(size, size, device=self._device)
        return partial(self._timed, lambda _: a @ a)

    def description(self) -> dict[str, Any]:
        """See :class:`Runtime`."""
        return {"version": self._torch.__version__, "cuda": self._torch.version.cuda}

    def _timed(self, run_one: Callable[[int], object], repeats: int, streams: Sequence[Any] = ()) -> float:
        """Run so many times, on the streams in turn, and return the seconds."""
        torch = self._torch
        with torch.inference_mode():
            if self._device != "cuda":
                return _seconds(lambda: run_one(0), repeats)
            current = torch.cuda.current_stream()
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            for stream in streams:
                stream.wait_stream(current)
            for number in range(repeats):
                with torch.cuda.stream(streams[number % len(streams)] if streams else current):
                    run_one(number)
            for stream in streams:
                current.wait_stream(stream)
            end.record()
            end.synchronize()
            return float(start.elapsed_time(end)) / 1e3

    def _scored(self, x: Any) -> Any:
        torch, plain = self._torch, self._network.plain
        with torch.inference_mode():
            logged = x[:, plain:]
            numbers = torch.cat([x[:, :plain], torch.sign(logged) * torch.log1p(torch.abs(logged))], dim=1)
            scaled = (numbers - self._center) / self._scale
            limit = float(SOFT_CLIP)
            excess = torch.clamp(torch.abs(scaled) - (limit - 1), 1.0, float(LARGEST_EXCESS))
            z = torch.clamp(scaled, -limit, limit) + torch.sign(scaled) * torch.log(excess)
            z = torch.where(torch.isnan(numbers), self._fill, z)
            code = self._through(self._layers[0], z)
            rebuilt = self._through(self._layers[1], code)
            errors = torch.log1p(torch.square(rebuilt - z) * self._error_weight).sum(dim=1)
            distance = torch.square(self._through(self._layers[2], code)).sum(dim=1)
            return (errors + torch.log1p(distance)) / x.shape[1]

    def _through(self, layers: list[tuple[Any, Any]], values: Any) -> Any:
        for number, (weight, bias) in enumerate(layers, start=1):
            values = self._torch.addmm(bias, values, weight)
            values = values if number == len(layers) else self._torch.relu(values)
        return values


RUNTIMES: Final[dict[str, Callable[[str, int], Runtime]]] = {"onnxruntime": OnnxRuntime, "torch": TorchRuntime}


def _product_file() -> bytes:
    graph = OnnxGraph()
    graph.node("MatMul", "a", "b", name="product")
    return graph.file({"a": ("n", "k"), "b": ("k", "m")}, {"product": ("n", "m")})


def _filled(pool: Floats, x: Floats) -> Floats:
    """Return the beginning of host memory as an array that holds ``x``."""
    part = pool[: x.size].reshape(x.shape)
    np.copyto(part, x)
    return part


def _page_locked(array: Floats) -> bool:
    """Lock memory by the CUDA runtime that onnxruntime has loaded, for as long as the process lives."""
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8")
        library = ctypes.CDLL(re.findall(r"(/.*libcudart\.so\S*)", maps)[0])
        address, size = ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes)
        return int(library.cudaHostRegister(address, size, ctypes.c_uint(1))) == 0  # 1: for every context
    except (OSError, IndexError, AttributeError):
        return False


def _seconds(run_one: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        run_one()
    return time.perf_counter() - start


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def open_runtime(name: str, device: str, numbers: int) -> Runtime:
    """Return the runtime asked for, or with ``auto`` the first that can use the device.

    Raises
    ------
    GpuError
        None can; the message says why for each.
    """
    reasons = []
    for make in RUNTIMES.values() if name == "auto" else [RUNTIMES[name]]:
        try:
            runtime = make(device, numbers)
            runtime.multiplying(8)(1)  # a card too old for the runtime's kernels fails only now
            return runtime
        except GpuError as error:
            reasons.append(str(error))
        except Exception as error:  # too little memory, a broken installation: each fails in a way of its own
            reasons.append(_first_line(error))
    raise GpuError(
        f"nothing here can use the {device} device: {'; '.join(reasons)}; it needs an NVIDIA driver and "
        "onnxruntime-gpu or a CUDA build of torch (--device cpu shows the rest)"
    )


def times_of(run: Run, least_seconds: float, rounds: int = ROUNDS) -> list[float]:
    """Return the seconds of one repetition, round by round."""
    run(LANES)  # warms up: kernels are chosen, memory is allocated
    once = run(LANES) / LANES
    repeats = max(LANES, math.ceil(least_seconds / max(once, 1e-9)))
    return [run(repeats) / repeats for _ in range(rounds)]


def parity(runtime: Runtime, network: Network, rows: int = PARITY_ROWS) -> dict[str, Any]:
    """Return how far the runtime's scores are from the float64 reference.

    Raises
    ------
    GpuError
        Further than the tolerance.
    """
    x = network.rows(rows)
    reference = network.score(x)
    scores = runtime.score(x)
    allowed = np.abs(reference) + np.median(reference)
    difference = float((np.abs(scores - reference) / allowed).max())
    if not difference <= PARITY_TOLERANCE:
        raise GpuError(
            f"{runtime.name} gives other scores than the CPU with {network.width} features: they differ by "
            f"{difference:.1e} of the score plus the median, where {PARITY_TOLERANCE:.0e} is allowed"
        )
    return {"rows": rows, "largest_difference": difference, "tolerance": PARITY_TOLERANCE}


def measure(
    runtime: Runtime,
    device: str,
    *,
    widths: Sequence[int],
    batches: Sequence[int],
    least_seconds: float,
    say: Callable[[str], object],
) -> dict[str, Any]:
    """Check, measure everything, and return it ready for JSON."""
    size, copied = (PRODUCT_SIZE, COPIED_BYTES) if device == "cuda" else (512, 2**22)
    copied = min(copied, 4 * max(widths) * max(batches))
    result: dict[str, Any] = {
        "benchmark": "gpu",
        "machine": machine(),
        "device": device,
        "gpu": graphics_card() if device == "cuda" else {"name": "none"},
        "runtime": {"name": runtime.name, **runtime.description(), "tf32": False, "pinned": runtime.pinned},
        "copied_bytes_per_second": [copied / s for s in times_of(runtime.copying(copied), least_seconds)],
        "product_flops": [2 * size**3 / s for s in times_of(runtime.multiplying(size), least_seconds)],
        "widths": {},
    }
    say(f"{result['gpu']['name']}: {_rate(result['copied_bytes_per_second']) / 1e9:.1f} GB/s onto the device, "
        f"{_rate(result['product_flops']) / 1e12:.2f} TFLOP/s")  # fmt: skip
    for width in widths:
        network = Network(width)
        runtime.load(network)
        measured: dict[str, Any] = {
            "flops_per_row": network.flops,
            "bytes_per_row": 4 * width,
            "parity": parity(runtime, network),
            "batches": {},
        }
        distinct = network.rows(min(DISTINCT_ROWS, max(batches)))
        for batch, x in _repeated(distinct, batches):
            try:
                measured["batches"][str(batch)] = {
                    "resident_seconds": times_of(runtime.resident(x), least_seconds),
                    "end_to_end_seconds": times_of(runtime.end_to_end(x), least_seconds),
                }
            except Exception as error:  # runtimes' errors of memory share no other base
                if "memory" not in str(error).lower():
                    raise GpuError(f"{runtime.name} failed on {batch} rows ({_first_line(error)})") from error
                measured["batches"][str(batch)] = {"error": "out of memory"}
        result["widths"][str(width)] = measured
        say(f"{width} features: done")
    return result


def _repeated(distinct: Floats, batches: Sequence[int]) -> Iterator[tuple[int, Floats]]:
    for batch in batches:
        times = -(-batch // len(distinct))
        yield batch, np.ascontiguousarray(np.tile(distinct, (times, 1))[:batch])


def machine() -> dict[str, Any]:
    """Return the host, with the keys of netsieve's other measurements; 0 for what this system does not tell."""
    try:
        cpu = dict(
            [part.strip() for part in line.split(":", 1)]
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
            if ":" in line
        )
    except OSError:
        cpu = {}
    sets = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")
    pages = hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names
    return {
        "processor": cpu.get("model name") or platform.processor() or platform.machine(),
        "instruction_sets": [name for name in sets if name in cpu.get("flags", "").split()],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if pages else 0,
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": dict(_installed("numpy", "onnxruntime-gpu", "onnxruntime", "torch")),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0,
    }


def _installed(*packages: str) -> Iterator[tuple[str, str]]:
    for package in packages:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue


def graphics_card() -> dict[str, Any]:
    """Return the first card, as NVIDIA's tool or else PyTorch describes it."""
    query = ",".join(NVIDIA_SMI_FIELDS.values())
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
        cells = [cell.strip() for cell in answer.splitlines()[0].split(",")]
        return dict(zip(NVIDIA_SMI_FIELDS, cells, strict=True))
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        if (torch := sys.modules.get("torch")) is None:
            return {"name": "unknown (no nvidia-smi)"}
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "memory": f"{properties.total_memory // 2**20} MiB",
    }


def _rate(values: Sequence[float]) -> float:
    return float(median(values))


def gpu_table(result: dict[str, Any]) -> str:
    """Return the result as a Markdown table, after a line about the card.

    The bounds are the rows of which the measured matrix product has the operations, and the measured copies the bytes.
    """
    bandwidth, flops = _rate(result["copied_bytes_per_second"]), _rate(result["product_flops"])
    card, runtime = result["gpu"], result["runtime"]
    more = [f"{key.replace('_', ' ')} {card[key]}" for key in ("compute_capability", "memory", "driver") if key in card]
    pinned = "" if runtime["pinned"] else ", host memory not page-locked"
    lines = [
        f"{', '.join([card['name'], *more])}; {runtime['name']} {runtime['version']}{pinned}. Copies onto the device: "
        f"{bandwidth / 1e9:.1f} GB/s; float32 matrix product: {flops / 1e12:.2f} TFLOP/s.",
        "",
        "| features | rows a batch | M rows/s on the device | of the product's bound | M rows/s with copies "
        "| of the lower bound |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for width, measured in result["widths"].items():
        by_product = flops / measured["flops_per_row"]
        lower = min(bandwidth / measured["bytes_per_row"], by_product)
        for batch, times in measured["batches"].items():
            if "error" in times:
                lines.append(f"| {width} | {int(batch):,} | {times['error']} | | | |")
                continue
            on_device, with_copies = (
                int(batch) / _rate(times[key]) for key in ("resident_seconds", "end_to_end_seconds")
            )
            lines.append(
                f"| {width} | {int(batch):,} | {on_device / 1e6:.2f} | {on_device / by_product:.0%} "
                f"| {with_copies / 1e6:.2f} | {with_copies / lower:.0%} |"
            )
    differences = [measured["parity"]["largest_difference"] for measured in result["widths"].values()]
    return "\n".join(
        [*lines, "", f"Largest difference to float64: {max(differences):.0e} of the score plus the median."]
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: small, to try it")
    parser.add_argument("--runtime", choices=("auto", *RUNTIMES), default="auto", help="default: the first that can")
    parser.add_argument("--features", type=int, nargs="+", default=WIDTHS, metavar="N", help="widths of the networks")
    parser.add_argument("--batches", type=int, nargs="+", metavar="ROWS", help="rows of the batches")
    parser.add_argument("--seconds", type=float, default=LEAST_SECONDS, help="of a round, at least (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="default: gpu-CARD.json")
    options = parser.parse_args(arguments)
    batches = options.batches or (BATCHES if options.device == "cuda" else SMALL_BATCHES)
    if min(*options.features, 4) < 4 or min(*batches, 1) < 1:
        parser.error("--features are at least 4, and --batches at least 1")
    try:
        runtime = open_runtime(options.runtime, options.device, max(batches) * max(options.features))
    except GpuError as error:
        parser.exit(1, f"{parser.prog}: error: {error}\n")
    try:
        result = measure(
            runtime,
            options.device,
            widths=options.features,
            batches=batches,
            least_seconds=options.seconds,
            say=lambda text: print(text, file=sys.stderr, flush=True),
        )
    except GpuError as error:
        parser.exit(1, f"{parser.prog}: error: {error}\n")
    except Exception as error:  # what the runtimes raise shares no other base
        parser.exit(1, f"{parser.prog}: error: {runtime.name} failed ({_first_line(error)}); try another --runtime\n")
    print(gpu_table(result))
    name = re.sub(r"[^a-z0-9]+", "-", result["gpu"]["name"].lower()).strip("-")
    path = options.json or Path(f"gpu-{name}.json")
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"written: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
