import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from model_files import random_matrix, write_small_model
from onnx import helper, numpy_helper

from netsieve.engine.errors import DeviceError, ModelFileError
from netsieve.engine.scoring import backend as backend_module
from netsieve.engine.scoring.backend import OnnxRuntimeBackend, check_probes
from netsieve.engine.scoring.model_file import ModelFile
from netsieve.engine.scoring.scorer import Scorer


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("model") / "small.onnx"


@pytest.fixture(scope="module")
def detector(path):
    return write_small_model(path)


@pytest.fixture(scope="module")
def model(path, detector):
    return ModelFile.read(path)


def changed(model, change):
    content = onnx.load_from_string(model.data)
    change(content)
    return ModelFile(content.SerializeToString(), "changed.onnx")


def test_scores_follow_the_float64_reference(model, detector):
    x = random_matrix(model.schema, 3000, seed=5)
    scores = OnnxRuntimeBackend(model).score(x)
    reference = detector.reference_score(x)
    assert scores.dtype == np.float32
    assert (np.abs(scores - reference) <= 1e-5 * (np.abs(reference) + model.calibration.median)).all()
    assert len(np.unique(scores)) > 2500


def test_feature_errors_add_up_to_the_score(model):
    x = random_matrix(model.schema, 100, seed=6)
    backend = OnnxRuntimeBackend(model)
    errors = backend.feature_error(x)
    assert errors.shape == x.shape
    np.testing.assert_allclose(errors.sum(axis=1), backend.score(x), rtol=1e-5)


def test_a_model_without_feature_errors_says_so(model):
    def drop(content):
        kept = [o for o in content.graph.output if o.name == "score"]
        del content.graph.output[:]
        content.graph.output.extend(kept)

    backend = OnnxRuntimeBackend(changed(model, drop))
    with pytest.raises(ModelFileError, match="feature's part"):
        backend.feature_error(np.zeros((1, 4), np.float32))


def test_no_rows_have_no_scores(model):
    assert OnnxRuntimeBackend(model).score(np.empty((0, 4), np.float32)).shape == (0,)


def test_damaged_weights_are_found_by_the_probe_rows(model, tmp_path):
    def damage(content):
        tensor = next(t for t in content.graph.initializer if t.name == "encoder_0.weight")
        weights = numpy_helper.to_array(tensor).copy()
        weights.flat[3] += 0.5
        tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))

    damaged = changed(model, damage)
    with pytest.raises(ModelFileError, match=r"changed.onnx gives .* to the probe row"):
        check_probes(OnnxRuntimeBackend(damaged), damaged)
    with pytest.raises(ModelFileError, match="probe row"):
        Scorer(damaged)


def test_a_graph_that_onnxruntime_refuses_is_a_model_file_error(model):
    def misname(content):
        content.graph.node[0].op_type = "NoSuchOperator"

    with pytest.raises(ModelFileError, match=r"changed.onnx is refused by onnxruntime") as caught:
        Scorer(changed(model, misname))
    assert "\n" not in str(caught.value)


def test_onnxruntime_prints_nothing_where_it_fails_on_bytes_that_are_no_text(model, capfd):
    damaged = bytearray(model.data)
    damaged[damaged.index(b"keepdims")] = 0xFF
    with pytest.raises(ModelFileError):
        Scorer(ModelFile(bytes(damaged)))
    assert capfd.readouterr().out == ""


def score_from(*nodes, **constants):
    def change(content):
        del content.graph.node[:]
        content.graph.node.extend(nodes)
        del content.graph.initializer[:]
        content.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
        kept = [o for o in content.graph.output if o.name == "score"]
        del content.graph.output[:]
        content.graph.output.extend(kept)

    return change


def test_scores_that_are_not_finite_or_not_one_a_row_are_refused(model):
    axis = np.array([1])
    logarithm = score_from(
        helper.make_node("Log", ["x"], ["l"]),
        helper.make_node("ReduceSum", ["l", "axis"], ["score"], keepdims=0),
        axis=axis,
    )
    with pytest.raises(ModelFileError, match="score -inf to a record"):
        OnnxRuntimeBackend(changed(model, logarithm)).score(np.zeros((2, 4), np.float32))
    total = score_from(helper.make_node("ReduceSum", ["x", "axis"], ["score"], keepdims=0), axis=np.array([0]))
    with pytest.raises(ModelFileError, match=r"shape \[4\] for 2 rows"):
        OnnxRuntimeBackend(changed(model, total)).score(np.zeros((2, 4), np.float32))
    failing = score_from(helper.make_node("Reshape", ["x", "shape"], ["score"]), shape=np.array([7]))
    with pytest.raises(ModelFileError, match="failed on 2 rows"):
        OnnxRuntimeBackend(changed(model, failing)).score(np.zeros((2, 4), np.float32))


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this onnxruntime has CUDA"
)
def test_cuda_without_its_provider_is_a_device_error(model):
    with pytest.raises(DeviceError, match=r"built for CPUs only.*netsieve\[gpu\].*device 'cpu'"):
        Scorer(model, device="cuda")


def test_a_silent_fall_back_to_the_cpu_is_a_device_error(model, monkeypatch):
    # As onnxruntime-gpu does on a machine without the driver: the provider is listed, the session runs on the CPU
    session = onnxruntime.InferenceSession
    monkeypatch.setattr(backend_module, "_check_cuda_is_built_in", lambda _: None)
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda data, options, providers, **rest: session(data, options, providers[1:], **rest),
    )
    with pytest.raises(DeviceError, match=r"did not load.*capability 7.5"):
        Scorer(model, device="cuda")


def test_unknown_devices_and_backends_are_refused(model):
    with pytest.raises(DeviceError, match="'tpu'"):
        Scorer(model, device="tpu")
    with pytest.raises(DeviceError, match="'torch'"):
        Scorer(model, backend="torch")


def test_without_onnxruntime_the_error_says_what_to_install(path, detector):
    script = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from netsieve.engine.errors import DeviceError\n"
        "from netsieve.engine.scoring.scorer import Scorer\n"
        f"try: Scorer({str(path)!r}, backend='onnxruntime')\n"
        "except DeviceError as error: print(error)"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install 'netsieve[cpu]'" in answer.stdout
