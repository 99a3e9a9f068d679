"""Native plans of exported model files against float64 and onnxruntime, and graphs that are not of our writing."""

import copy
import functools
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
from export_cases import AGGREGATIONS, KINDS, UntrainedDetector, calibrated, fitted_case, session
from hypothesis import given, settings
from hypothesis import strategies as st
from model_files import write_small_model
from onnx import helper, numpy_helper

from netsieve.engine.errors import DeviceError, ModelFileError
from netsieve.engine.features.preprocessing import prepare
from netsieve.engine.scoring import backend_choice, native
from netsieve.engine.scoring.backend_choice import chosen_backend, native_backend
from netsieve.engine.scoring.model_file import ModelFile
from netsieve.engine.scoring.native import NativeBackend, native_plan
from netsieve.engine.scoring.onnx_reader import read_model
from netsieve.engine.scoring.protobuf import ProtobufError
from netsieve.engine.scoring.recognition import NotRecognisedError
from netsieve.engine.scoring.scorer import Scorer
from netsieve.export.cores import core_model
from netsieve.export.metadata import add_metadata
from netsieve.export.parity import hard_rows
from netsieve.kernels._native import scoring_variants

VARIANTS = scoring_variants()
FEATURE_KINDS = sorted({kind for kinds in KINDS.values() for kind in kinds})


def exported(detector, x):
    """Return the model file of a detector."""
    model = core_model(detector.core, detector.schema)
    calibration, thresholds = calibrated(detector, x)
    add_metadata(
        model,
        detector=detector.name,
        schema=detector.schema,
        calibration=calibration,
        thresholds=thresholds,
        provenance={},
    )
    return ModelFile(model.SerializeToString())


@functools.cache
def small_case(kinds="mixed"):
    """Return a detector, rows and the model file."""
    schema, x = fitted_case(KINDS[kinds])
    detector = UntrainedDetector(schema, "log_mean")
    return detector, x, exported(detector, x)


def changed(model, change):
    """Return the model file after a change of its graph, without reading its metadata again."""
    content = onnx.load_from_string(model.data)
    change(content.graph)
    other = copy.copy(model)
    other.data = content.SerializeToString()
    read = read_model(other.data)
    other.nodes, other.initializers, other.opsets = read.graph.nodes, read.graph.initializers, read.opsets
    return other


def assert_follows(plan, detector, model, x, onnx_outputs):
    median = model.calibration.median
    reference = detector.reference_score(x)
    scores = plan.score(x)
    assert (np.abs(scores - reference) <= 1e-5 * (np.abs(reference) + median)).all()
    assert (np.abs(scores - onnx_outputs[0]) <= 1e-5 * (np.abs(reference) + median)).all()
    if plan.has_feature_error:
        errors = np.abs(plan.feature_error(x) - onnx_outputs[1]).max(axis=1)
        assert (errors <= 1e-5 * (np.abs(reference) + median)).all()


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("kinds", KINDS)
def test_plans_follow_the_float64_reference_and_onnxruntime(kinds, aggregation):
    schema, x = fitted_case(KINDS[kinds], rows=600)
    rows = np.concatenate([x, hard_rows(schema, x)])
    for latent in (True, False):
        detector = UntrainedDetector(schema, aggregation, latent=latent, activation="leaky_relu" if latent else "relu")
        detector.core = replace(detector.core, base_score=float(aggregation == "sum"))
        model = exported(detector, x)
        outputs = session(model.data).run(["score", "feature_error"], {"x": rows})
        for variant in VARIANTS:
            plan = native_plan(model, variant)
            assert plan.variant == variant
            assert_follows(plan, detector, model, rows, outputs)
            z = prepare(schema, rows)
            assert (np.abs(plan.columns(rows, "prepared") - z) <= 2e-6 * (1 + np.abs(z))).all()


@settings(max_examples=40, deadline=None)
@given(kinds=st.lists(st.sampled_from(FEATURE_KINDS), min_size=1, max_size=12), seed=st.integers(0, 2**20))
def test_plans_of_any_schema_follow_onnxruntime(kinds, seed):
    kinds = list(dict.fromkeys(kinds))
    schema, x = fitted_case(kinds, rows=300, seed=seed)
    detector = UntrainedDetector(schema, AGGREGATIONS[seed % 3], latent=bool(seed % 2), seed=seed)
    model = exported(detector, x)
    rows = np.concatenate([x, hard_rows(schema, x)])
    outputs = session(model.data).run(["score", "feature_error"], {"x": rows})
    for variant in VARIANTS:
        assert_follows(native_plan(model, variant), detector, model, rows, outputs)


@settings(max_examples=150, deadline=None)
@given(values=st.lists(st.floats(width=32), min_size=6, max_size=6))
def test_any_row_has_the_score_of_onnxruntime(values):
    model, plans, run = any_row_case()
    x = np.array([values], dtype=np.float32)
    expected = run(x)
    for plan in plans:
        np.testing.assert_allclose(plan.score(x), expected, rtol=1e-5, atol=1e-5 * model.calibration.median)


@functools.cache
def any_row_case():
    model = small_case()[2]
    runtime = session(model.data)
    return model, [native_plan(model, v) for v in VARIANTS], lambda rows: runtime.run(["score"], {"x": rows})[0]


def initializer(graph, name):
    return next(tensor for tensor in graph.initializer if tensor.name == name)


def replaced(graph, name, array):
    initializer(graph, name).CopyFrom(numpy_helper.from_array(np.asarray(array), name))


def is_recognised(model):
    try:
        native_plan(model, VARIANTS[0])
    except NotRecognisedError:
        return False
    return True


def changed_constants(graph):
    """Yield changes of each constant that no longer fit the graph, or that kernels cannot compute with."""
    for tensor in graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.ndim:
            yield tensor.name, "longer", np.concatenate([array, array], axis=-1)
            yield tensor.name, "shorter", array[..., :-1]
            yield tensor.name, "nested", array[None]
        yield tensor.name, "double", array.astype(np.float64)
        if array.dtype == np.float32 and array.size:
            damaged = array.copy()
            damaged.flat[0] = np.nan
            yield tensor.name, "nan", damaged
            yield tensor.name, "infinite", np.full_like(array, np.inf)
        elif array.size:
            yield tensor.name, "out of range", array + 1000
            yield tensor.name, "negative", -array - 1


@pytest.mark.parametrize("kinds", ["mixed", "another order", "categories"])
def test_constants_that_do_not_fit_are_not_recognised(kinds):
    model = small_case(kinds)[2]
    tried = 0
    for name, how, array in changed_constants(onnx.load_from_string(model.data).graph):
        other = changed(model, lambda graph, name=name, array=array: replaced(graph, name, array))
        assert not is_recognised(other), (name, how)
        tried += 1
    assert tried > 100


def test_swapped_constants_are_not_recognised_or_scored_as_they_stand():
    _, x, model = small_case()
    arrays = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load_from_string(model.data).graph.initializer
    }
    rng = np.random.default_rng(0)
    recognised = 0
    for _ in range(200):
        first, second = rng.choice(list(arrays), 2, replace=False)

        def swap(graph, first=first, second=second):
            replaced(graph, first, arrays[second])
            replaced(graph, second, arrays[first])

        other = changed(model, swap)
        if is_recognised(other):
            recognised += 1
            expected = session(other.data).run(["score"], {"x": x[:100]})[0]
            scores = native_plan(other, VARIANTS[0]).score(x[:100])
            np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    assert recognised < 20


def changed_nodes(graph):
    """Yield a description of each change of the graph, and the function that makes it."""
    for number, node in enumerate(graph.node):

        def operator(graph, number=number):
            node = graph.node[number]
            node.op_type = "Sub" if node.op_type != "Sub" else "Add"

        def domain(graph, number=number):
            graph.node[number].domain = "ai.onnx.ml"

        def rename(graph, number=number):
            graph.node[number].name += "_"

        def no_inputs(graph, number=number):
            del graph.node[number].input[:]

        def reverse_inputs(graph, number=number):
            inputs = list(graph.node[number].input)[::-1]
            del graph.node[number].input[:]
            graph.node[number].input.extend(inputs)

        def attribute(graph, number=number):
            graph.node[number].attribute.append(helper.make_attribute("beta", 2.0))

        def remove(graph, number=number):
            del graph.node[number]

        def repeat(graph, number=number):
            graph.node.append(graph.node[number])

        def move(graph, number=number):
            node = onnx.NodeProto()
            node.CopyFrom(graph.node[number])
            del graph.node[number]
            graph.node.insert(0, node)

        changes = [operator, domain, rename, no_inputs, attribute, remove, repeat]
        if len(set(node.input)) > 1:
            changes.append(reverse_inputs)
        if number and "x" not in node.input:
            changes.append(move)
        for change in changes:
            yield f"{node.name}: {change.__name__}", change

    def further(graph):
        graph.node.append(helper.make_node("Identity", ["score"], ["other"], name="other"))

    yield "a further node", further


@pytest.mark.parametrize("kinds", ["mixed", "another order"])
def test_other_graphs_are_not_recognised(kinds):
    model = small_case(kinds)[2]
    for what, change in changed_nodes(onnx.load_from_string(model.data).graph):
        assert not is_recognised(changed(model, change)), what
    assert is_recognised(changed(model, lambda graph: None))


@settings(max_examples=300, deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), length=st.integers(1, 4))
def test_damaged_bytes_crash_nothing(position, value, length):
    model = copy.copy(small_case()[2])
    data = bytearray(model.data)
    start = int(position * len(data))
    data[start : start + length] = bytes([value]) * min(length, len(data) - start)
    try:
        read = read_model(bytes(data))
    except ProtobufError:
        return
    model.nodes, model.initializers, model.opsets = read.graph.nodes, read.graph.initializers, read.opsets
    x = np.array([[50, np.nan, 3, -1e38, 2, 7]] * 50, dtype=np.float32)
    for variant in VARIANTS:
        try:
            plan = native_plan(model, variant)
        except NotRecognisedError as error:
            message = str(error)
        else:
            message = "recognised"
            assert plan.score(x).shape == (50,)
        assert message.isprintable()


def test_models_of_windows_and_unknown_opsets_are_not_recognised():
    model = small_case()[2]
    content = onnx.load_from_string(model.data)
    for version in (17, 21):
        content.opset_import[0].version = version
        with pytest.raises(NotRecognisedError, match=r"operators of ai\.onnx"):
            native_plan(ModelFile(content.SerializeToString()), VARIANTS[0])


def test_the_backend_is_native_where_the_probe_rows_agree(monkeypatch):
    model = small_case()[2]
    assert chosen_backend(model, "cpu", "auto").name == "native"
    assert chosen_backend(model, "cpu", "native").description == f"native ({VARIANTS[0]})"
    assert chosen_backend(model, "cpu", "onnxruntime").description == "onnxruntime"
    monkeypatch.setattr(NativeBackend, "score", lambda self, x: self._plan.score(x) * np.float32(1.001))
    assert chosen_backend(model, "cpu", "auto").name == "onnxruntime"
    with pytest.raises(ModelFileError, match=r"cannot be scored by native kernels: .*probe rows.*use backend 'auto'"):
        chosen_backend(model, "cpu", "native")


def test_graphs_without_kernels_are_scored_by_onnxruntime():
    def rename(graph):
        graph.node[0].name = "another"

    model = changed(small_case()[2], rename)
    assert Scorer(model).backend_name == "onnxruntime"
    backend, reason = native_backend(model)
    assert backend is None
    assert reason
    with pytest.raises(ModelFileError, match="cannot be scored by native kernels") as caught:
        Scorer(model, backend="native")
    assert "\n" not in str(caught.value)


def test_layers_wider_than_kernels_take_are_scored_by_onnxruntime(tmp_path):
    write_small_model(tmp_path / "wide.onnx", hidden=(70_000,))
    scorer = Scorer(tmp_path / "wide.onnx")
    assert scorer.backend_name == "onnxruntime"
    with pytest.raises(ModelFileError, match="the weights of a layer have another size; use backend 'auto'"):
        Scorer(scorer.model_file, backend="native")


def test_native_kernels_are_not_trusted_without_probe_rows():
    _, x, model = small_case()
    model = copy.copy(model)
    model.calibration = replace(model.calibration, probe_rows=x[:0], probe_scores=x[:0, 0])
    assert native_backend(model)[0] is None
    assert chosen_backend(model, "cpu", "auto").name == "onnxruntime"


def test_the_environment_and_the_device_choose(monkeypatch):
    _, x, model = small_case()
    scores = []
    for variant in VARIANTS:
        monkeypatch.setenv("NETSIEVE_CPU", variant)
        scorer = Scorer(model, backend="native")
        assert scorer.backend_description == f"native ({variant})"
        scores.append(scorer.score_matrix(x))
    for other in scores[1:]:
        np.testing.assert_allclose(other, scores[0], rtol=1e-5)
    monkeypatch.setenv("NETSIEVE_CPU", "mmx")
    with pytest.raises(DeviceError, match="NETSIEVE_CPU is 'mmx'"):
        Scorer(model)
    assert Scorer(model, backend="onnxruntime").backend_name == "onnxruntime"
    monkeypatch.delenv("NETSIEVE_CPU")
    with pytest.raises(DeviceError, match=r"'native' scores on device 'cpu' only, not on 'cuda'"):
        Scorer(model, device="cuda", backend="native")


def test_scores_that_are_not_finite_are_refused():
    detector, x, _ = small_case()

    def grow(graph):
        replaced(graph, "decoder_2.bias", np.full(len(detector.core.error_weight), 3e38, np.float32))

    backend = NativeBackend(changed(exported(UntrainedDetector(detector.schema, "sum"), x), grow))
    with pytest.raises(ModelFileError, match="score inf to a record"):
        backend.score(x)


def test_the_native_backend_imports_no_other_runtime(tmp_path):
    model = small_case()[2]
    path = tmp_path / "model.onnx"
    path.write_bytes(model.data)
    script = (
        "import sys; from netsieve import Scorer\n"
        f"scorer = Scorer({str(path)!r}, backend='native'); scorer.score_matrix([[1.0] * 6] * 3)\n"
        f"assert Scorer({str(path)!r}).backend_name == 'native'\n"
        "print(*{'onnxruntime', 'onnx', 'torch', 'numba'}.intersection(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not answer.stdout.strip()


def test_every_recogniser_has_its_module():
    from netsieve.engine.scoring.native_cores import RECOGNISERS

    for module in RECOGNISERS.values():
        __import__(f"netsieve.engine.scoring.{module}")
    assert backend_choice.BACKENDS == ("auto", "onnxruntime", "native")
    assert native.NativeBackend.name in backend_choice.BACKENDS
