"""The way to a GPU as far as it goes without one: bound inputs and outputs on the CPU provider, and stand-ins."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from model_files import random_matrix, write_small_model

from netsieve.bench.traffic import generate_traffic, write_traffic
from netsieve.engine.cli.main import main
from netsieve.engine.errors import DeviceError, ModelFileError
from netsieve.engine.scoring import backend_choice, cuda_backend
from netsieve.engine.scoring.backend import OnnxRuntimeBackend, check_probes
from netsieve.engine.scoring.cuda_backend import GPU_BATCH, LANES, CudaBackend
from netsieve.engine.scoring.model_file import ModelFile
from netsieve.engine.scoring.scorer import Scorer
from netsieve.engine.training.job import train_detector


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    write_small_model(path)
    return ModelFile.read(path)


@pytest.fixture(scope="module")
def forest(tmp_path_factory):
    path = tmp_path_factory.mktemp("forest") / "forest.onnx"
    train_detector(
        generate_traffic(6000, seed=1), detector="isolation_forest", label="IsAnomaly", normal="0", progress=False
    ).export(path)
    return path


@pytest.fixture
def on_stand_in(monkeypatch):
    """Let Scorer(device="cuda") make a CudaBackend whose device is the CPU."""
    monkeypatch.setattr(backend_choice, "CudaBackend", lambda model, batch_size: CudaBackend(model, batch_size, "cpu"))


def test_bound_inputs_and_outputs_give_the_same_scores(model):
    backend = CudaBackend(model, 256, device="cpu")
    check_probes(backend, model)
    reference = OnnxRuntimeBackend(model)
    for seed, rows in enumerate((256, 256, 100, 1, 0, 256, 1000)):  # full, part of one, none, more than one
        x = random_matrix(model.schema, rows, seed)
        before = x.copy()
        np.testing.assert_array_equal(backend.score(x), reference.score(x))
        np.testing.assert_array_equal(backend.feature_error(x), reference.feature_error(x))
        np.testing.assert_array_equal(x, before)


def test_scores_of_a_batch_outlive_the_next(model):
    backend = CudaBackend(model, 64, device="cpu")
    first, second = (random_matrix(model.schema, 64, seed) for seed in (1, 2))
    scores = [backend.score(x) for x in (first, first, first, second, second, second)]
    np.testing.assert_array_equal(scores[0], OnnxRuntimeBackend(model).score(first))
    assert (scores[0] != scores[-1]).any()


def test_lanes_are_as_many_as_run_at_once_and_each_is_given_back(model):
    backend = CudaBackend(model, 64, device="cpu")
    x = random_matrix(model.schema, 64, 3)
    expected = backend.score(x)
    at_work, most, guard, together = [0], [0], threading.Lock(), threading.Barrier(LANES, timeout=10)
    run = cuda_backend._Lane.run

    def counted(lane, output, rows):
        with guard:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
        together.wait()  # breaks if fewer than LANES ever run at once
        scores = run(lane, output, rows)
        together.wait()
        with guard:
            at_work[0] -= 1
        return scores

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(8) as pool:
        patch.setattr(cuda_backend._Lane, "run", counted)
        for scores in pool.map(backend.score, [x] * 16):
            np.testing.assert_array_equal(scores, expected)
    assert most[0] == LANES
    assert backend._free.qsize() == LANES


def test_a_failing_run_gives_its_lane_back_and_says_what_to_do(model, monkeypatch):
    backend = CudaBackend(model, 64, device="cpu")
    x = random_matrix(model.schema, 64, 3)

    def failing(message):
        def run(*_):
            raise RuntimeError(message)

        return run

    for _ in range(LANES + 1):  # would hang if a lane were lost
        monkeypatch.setattr(cuda_backend._Lane, "run", failing("Failed to allocate memory for requested buffer"))
        with pytest.raises(DeviceError, match=r"too small for 64 rows of .*small.onnx.*smaller batch size"):
            backend.score(x)
        monkeypatch.setattr(cuda_backend._Lane, "run", failing("CUBLAS failure 13\nmore"))
        with pytest.raises(ModelFileError, match=r"failed on 64 rows \(CUBLAS failure 13\)$"):
            backend.score(x)
    monkeypatch.undo()
    assert len(backend.score(x)) == 64


def test_page_locked_memory_is_the_way_in_where_it_is_given(model, monkeypatch):
    backend = CudaBackend(model, 64, device="cpu")
    assert not backend.pinned
    staging = np.full((64, 4), -7.0, np.float32)
    monkeypatch.setattr(cuda_backend, "_page_locked", lambda shape: staging if shape == (64, 4) else None)
    lane = cuda_backend._Lane(backend._session, (64, 4), "cuda")
    lane._device = "cpu"
    reference = OnnxRuntimeBackend(model)
    x = random_matrix(model.schema, 50, 4)
    np.testing.assert_array_equal(lane.run("score", x), reference.score(x))
    np.testing.assert_array_equal(staging[:50], x)
    assert (staging[50:] == -7.0).all()
    many = random_matrix(model.schema, 65, 5)  # more than it holds
    np.testing.assert_array_equal(lane.run("score", many), reference.score(many))
    np.testing.assert_array_equal(staging[:50], x)


def test_memory_is_locked_by_the_loaded_cuda_runtime_until_it_is_freed(monkeypatch):
    assert cuda_backend._page_locked((8, 2)) is None  # no such library is loaded
    locked, answers = {}, [0, 35]

    def register(address, size, flags):
        if (answer := answers.pop(0)) == 0:
            locked[address.value] = (size.value, flags.value)
        return answer

    def loaded(path):
        assert path == "/opt/my cuda/libcudart.so.13"
        return SimpleNamespace(cudaHostRegister=register, cudaHostUnregister=lambda address: locked.pop(address.value))

    maps = "7f00-7f01 r-xp 0 08:01 12   /usr/lib/libc.so.6\n7f02-7f03 r-xp 0 08:01 13 /opt/my cuda/libcudart.so.13\n"
    monkeypatch.setattr(cuda_backend, "Path", lambda _: SimpleNamespace(read_text=lambda **_: maps))
    monkeypatch.setattr(cuda_backend.ctypes, "CDLL", loaded)
    array = cuda_backend._page_locked((8, 2))
    part = array[:3]
    assert (array.shape, array.dtype) == ((8, 2), np.float32)
    assert locked == {array.ctypes.data: (64, 1)}
    assert cuda_backend._page_locked((8, 2)) is None  # the runtime refuses
    del array
    assert locked
    del part
    assert not locked


def test_a_scorer_on_a_gpu_takes_large_batches_on_all_threads(model, on_stand_in):
    on_gpu, on_cpu = Scorer(model, device="cuda", threads=3), Scorer(model)
    assert (on_gpu.device, on_gpu.device_note, on_gpu.batch_size, on_gpu.threads) == ("cuda", None, GPU_BATCH, 3)
    assert (on_gpu.backend_name, on_gpu.backend_description) == ("onnxruntime", "onnxruntime on CUDA")
    x = random_matrix(model.schema, 150_000, 6)
    np.testing.assert_allclose(on_gpu.score_matrix(x), on_cpu.score_matrix(x), rtol=1e-6)
    record = {"n0": 0.1, "n1": None, "n2": 3.0, "c0": "tcp"}
    assert on_gpu.score_one(record).anomaly_score == pytest.approx(on_cpu.score_one(record).anomaly_score)


def test_forests_stay_on_the_cpu_and_say_so(forest, tmp_path, capsys):
    on_cpu, asked = Scorer(forest), Scorer(forest, device="cuda")
    assert (on_cpu.device_note, asked.device, asked.batch_size) == (None, "cpu", on_cpu.batch_size)
    assert asked.with_threshold("fpr:0.1").device_note == asked.device_note
    records, out = tmp_path / "flows.csv", tmp_path / "scored.parquet"
    write_traffic(records, 500)
    summary = asked.score_file(str(records), str(out))
    assert summary.notes == [asked.device_note]
    assert asked.score_folder(str(records), f"{tmp_path / 'parts'}/").notes == [asked.device_note]
    for said in (str(forest), "decision trees", "on the CPU"):
        assert said in asked.device_note
    assert not on_cpu.score_file(str(records), str(out)).notes
    assert main(["score", str(forest), str(records), "-o", str(out), "--device", "cuda"]) == 0
    assert f"note: {asked.device_note}" in capsys.readouterr().err
