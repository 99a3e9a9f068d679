"""bench/gpu.py as far as it goes without a GPU: the network, its file, the logic on the CPU, and stand-ins for CUDA."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from netsieve.bench import gpu
from netsieve.bench.measurement import timing_line
from netsieve.engine.detectors.autoencoder import Autoencoder
from netsieve.engine.detectors.dense_autoencoder import DenseAutoencoder, DenseLayer
from netsieve.engine.features.preprocessing import prepare
from netsieve.engine.features.schema import FeatureSchema, NumericFeature
from netsieve.engine.scoring.model_file import ModelFile
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.export.model import write_model

SMALL = ["--device", "cpu", "--features", "10", "--batches", "64", "100", "--seconds", "0.001"]


class InOurForm:
    """The network as a detector that netsieve exports."""

    name = "autoencoder"

    def __init__(self, network):
        fitted = zip(network.center[0], network.scale[0], network.fill[0], strict=True)
        self.schema = FeatureSchema(
            features=tuple(
                NumericFeature(
                    name=f"f{i}", signed_log=i >= network.plain, center=float(c), scale=float(s), fill=float(f)
                )
                for i, (c, s, f) in enumerate(fitted)
            ),
            soft_clip=float(gpu.SOFT_CLIP),
            fitted=True,
        )
        encoder, decoder = (
            tuple(
                DenseLayer(weight, bias, "linear" if i == len(layers) - 1 else "relu")
                for i, (weight, bias) in enumerate(layers)
            )
            for layers in (network.encoder, network.decoder)
        )
        self.core = DenseAutoencoder(
            encoder,
            decoder,
            network.error_weight[0],
            "log_mean",
            network.latent_center.astype(np.float32),
            network.latent_weight,
        )

    def reference_score(self, x):
        return self.core.score(prepare(self.schema, x))


@pytest.fixture(scope="module", params=gpu.WIDTHS)
def network(request):
    return gpu.Network(request.param)


def test_it_is_the_network_that_netsieve_trains_by_default(network, tmp_path):
    hidden, code = Autoencoder().default_widths(network.width)
    sizes = [weight.shape[1] for weight, _ in (*network.encoder, *network.decoder)]
    assert sizes == [*hidden, code, *reversed(hidden), network.width]
    x = network.rows(500)
    ours = InOurForm(network)
    reference = ours.reference_score(x)
    np.testing.assert_allclose(network.score(x), reference, rtol=1e-6)
    assert len(np.unique(reference)) == 500
    assert np.isnan(x).any()
    calibration = Calibration.fit(reference.astype(np.float32), x, schema=ours.schema)
    thresholds = {"percentile:95": 1.0, "default": "percentile:95"}
    path = tmp_path / "ours.onnx"
    write_model(
        ours, path, schema=ours.schema, calibration=calibration, thresholds=thresholds, provenance={}, parity_rows=x
    )
    written = onnx.load_from_string(network.onnx())
    onnx.checker.check_model(written, full_check=True)
    exported = onnx.load(path)
    assert [node.op_type for node in written.graph.node] == [node.op_type for node in exported.graph.node]
    assert [output.name for output in written.graph.output] == ["score", "feature_error"]
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in written.graph.initializer}
    for name, array in ModelFile.read(path).initializers.items():
        if name in weights:
            np.testing.assert_allclose(weights[name].ravel(), array.ravel(), rtol=1e-5, err_msg=name)
    assert {"encoder_0.weight", "decoder_2.bias", "error_weight", "latent.weight", "center"} <= set(weights)


def test_operations_are_counted():
    network = gpu.Network(10)
    layers = (10, 32, 16, 3, 16, 32, 10)
    assert network.flops == 2 * (sum(a * b for a, b in pairwise(layers)) + 3 * 3)


@pytest.mark.parametrize("name", list(gpu.RUNTIMES))
def test_every_runtime_is_measured_on_the_cpu(name, tmp_path, capsys):
    out = tmp_path / "gpu.json"
    gpu.main([*SMALL, "--runtime", name, "--json", str(out)])
    result = json.loads(out.read_text())
    assert result["runtime"]["name"] == name
    assert result["runtime"]["pinned"] is False
    assert timing_line(result)
    measured = result["widths"]["10"]
    assert measured["parity"]["largest_difference"] < 1e-5
    assert set(measured["batches"]) == {"64", "100"}
    for times in measured["batches"].values():
        assert all(len(times[key]) == gpu.ROUNDS and min(times[key]) > 0 for key in times)
        assert set(times) == {"resident_seconds", "end_to_end_seconds"}
    assert min(result["copied_bytes_per_second"] + result["product_flops"]) > 0
    printed = capsys.readouterr()
    assert printed.out == gpu.gpu_table(result) + "\n"
    assert "| 10 | 64 |" in printed.out


@pytest.mark.parametrize("name", list(gpu.RUNTIMES))
def test_what_is_timed_scores_and_copies(name):
    runtime, network = gpu.RUNTIMES[name]("cpu", 400), gpu.Network(10)
    runtime.load(network)
    x = network.rows(40)
    np.testing.assert_allclose(runtime.score(x), network.score(x), rtol=1e-5)
    assert runtime.end_to_end(x)(3) > 0
    for pool in runtime._pools:  # where the copies come from
        np.testing.assert_array_equal(np.asarray(pool)[:400].reshape(40, 10), x)
    wrong = gpu.Network(10)
    wrong.error_weight = wrong.error_weight * 1.001
    with pytest.raises(gpu.GpuError, match=rf"^{name} gives other scores .* 10 features"):
        gpu.parity(runtime, wrong, 500)


def test_the_file_runs_alone(tmp_path):
    copied = shutil.copy(gpu.__file__, tmp_path / "copied.py")
    script = (
        "import sys, runpy\n"
        "for name in ('netsieve', 'onnx', 'polars', 'torch', 'pyarrow'): sys.modules[name] = None\n"
        f"sys.argv = ['copied.py', *{SMALL!r}]\n"
        f"runpy.run_path({str(copied)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "| 10 | 100 |" in done.stdout
    assert json.loads((tmp_path / "gpu-none.json").read_text())["runtime"]["name"] == "onnxruntime"


def test_without_a_gpu_one_line_says_what_each_runtime_lacks(monkeypatch, capsys):
    for name in ("onnxruntime", "torch"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit) as ended:
        gpu.main([])
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for said in ("onnxruntime cannot be imported", "torch cannot be imported", "NVIDIA driver", "--device cpu"):
        assert said in error


def test_a_runtime_that_loads_and_cannot_compute_is_passed_over(monkeypatch, capsys):
    def failing(_, size):
        raise RuntimeError(f"no kernel image for {size}\nmore")

    monkeypatch.setattr(gpu.OnnxRuntime, "multiplying", failing)
    assert gpu.open_runtime("auto", "cpu", 16).name == "torch"
    with pytest.raises(gpu.GpuError, match="cpu device: no kernel image for 8; it needs"):
        gpu.open_runtime("onnxruntime", "cpu", 16)
    monkeypatch.undo()
    monkeypatch.setattr(gpu.OnnxRuntime, "score", failing)
    with pytest.raises(SystemExit):
        gpu.main([*SMALL, "--runtime", "onnxruntime"])
    assert "error: onnxruntime failed (no kernel image for" in capsys.readouterr().err.splitlines()[-1]


def test_a_provider_that_is_not_there_or_falls_back_is_no_gpu(monkeypatch):
    library = pytest.importorskip("onnxruntime")
    monkeypatch.setattr(library, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(gpu.GpuError, match="built for CPUs only"):
        gpu.OnnxRuntime("cuda", 16)
    monkeypatch.setattr(library, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    session = library.InferenceSession
    monkeypatch.setattr(
        library,
        "InferenceSession",
        lambda data, options, providers, **rest: session(data, options, providers[1:], **rest),
    )
    with pytest.raises(gpu.GpuError, match="did not load"):
        gpu.OnnxRuntime("cuda", 16)


def test_a_batch_that_does_not_fit_is_noted_and_another_error_ends_it(monkeypatch):
    runtime = gpu.OnnxRuntime("cpu", 1000)
    resident = runtime.resident

    def failing(message):
        def run(x):
            if len(x) == 100:
                raise RuntimeError(message)
            return resident(x)

        return run

    options = {"widths": [10], "batches": [64, 100], "least_seconds": 0.0, "say": lambda _: None}
    monkeypatch.setattr(runtime, "resident", failing("CUDA out of memory. Tried to allocate"))
    result = gpu.measure(runtime, "cpu", **options)
    assert result["widths"]["10"]["batches"]["100"] == {"error": "out of memory"}
    assert "| 10 | 100 | out of memory |" in gpu.gpu_table(result)
    monkeypatch.setattr(runtime, "resident", failing("CUBLAS failure"))
    with pytest.raises(gpu.GpuError, match=r"onnxruntime failed on 100 rows \(CUBLAS failure\)"):
        gpu.measure(runtime, "cpu", **options)


def test_torch_is_timed_by_events_around_all_streams():
    did = []

    class Stream:
        def __init__(self, name):
            self.name = name

        def wait_stream(self, other):
            did.append(f"{self.name} waits for {other.name}")

    class Event:
        def __init__(self, *, enable_timing):
            assert enable_timing

        def record(self):
            did.append("record")

        def synchronize(self):
            did.append("synchronize")

        def elapsed_time(self, _):
            return 1500.0  # milliseconds

    def stream(entered):
        did.append(f"on {entered.name}")
        return nullcontext()

    runtime = gpu.TorchRuntime("cpu", 16)
    cuda = SimpleNamespace(current_stream=lambda: Stream("main"), Event=Event, stream=stream)
    runtime._torch = SimpleNamespace(cuda=cuda, inference_mode=nullcontext)
    runtime._device = "cuda"
    seconds = runtime._timed(did.append, 3, streams=[Stream("a"), Stream("b")])
    assert seconds == 1.5
    assert did == [
        *("record", "a waits for main", "b waits for main"),
        *("on a", 0, "on b", 1, "on a", 2),
        *("main waits for a", "main waits for b", "record", "synchronize"),
    ]


def test_memory_is_page_locked_by_the_loaded_cuda_runtime(monkeypatch):
    array, asked = np.zeros(100, np.float32), []

    def register(address, size, flags):
        asked.append((address.value, size.value, flags.value))
        return len(asked) - 1  # 0 is success

    def loaded(path):
        assert path == "/opt/cuda/libcudart.so.13"
        return SimpleNamespace(cudaHostRegister=register)

    assert gpu._page_locked(array) is False  # no such library is loaded
    maps = "7f00-7f01 r-xp 00000000 08:01 12   /opt/cuda/libcudart.so.13\n"
    monkeypatch.setattr(gpu, "Path", lambda _: SimpleNamespace(read_text=lambda encoding: maps))
    monkeypatch.setattr(gpu.ctypes, "CDLL", loaded)
    assert gpu._page_locked(array) is True
    assert gpu._page_locked(array) is False
    assert asked[0] == (array.ctypes.data, 400, 1)


def test_the_card_is_as_nvidias_tool_says(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\necho "NVIDIA GeForce GTX 1660, 580.1, 7.5, 6144 MiB, 120 W, 2100 MHz, 3, 16"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    card = gpu.graphics_card()
    assert (card["name"], card["compute_capability"], card["bus_lanes"]) == ("NVIDIA GeForce GTX 1660", "7.5", "16")
    tool.write_text("#!/bin/sh\nexit 9\n")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert gpu.graphics_card()["name"].startswith("unknown")


def test_the_figures_are_on_the_page_and_their_absence_is_said():
    from netsieve.bench.performance import performance_page

    assert "Figures of GPUs are still missing" in performance_page({})
    runtime = gpu.OnnxRuntime("cpu", 640)
    result = gpu.measure(runtime, "cpu", widths=[10], batches=[64], least_seconds=0.0, say=lambda _: None)
    page = performance_page({"gpu": [{**result, "file": "gpu-card.json"}]})
    assert "## On a GPU" in page
    assert gpu.gpu_table(result) in page
    assert "still missing" not in page


def test_it_stands_where_the_documentation_says():
    root = Path(__file__).resolve().parents[2]
    assert Path(gpu.__file__).name == "gpu.py"
    assert (root / "bench/gpu.py").exists()
