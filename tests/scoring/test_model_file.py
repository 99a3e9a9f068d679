import json
import os
import random
import time

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_files import write_small_model
from onnx import TensorProto, helper, numpy_helper

from netsieve.engine.errors import ModelFileError
from netsieve.engine.scoring.model_file import ModelFile
from netsieve.engine.scoring.onnx_reader import read_model
from netsieve.engine.scoring.protobuf import ProtobufError


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    write_small_model(path)
    return path


@pytest.fixture(scope="module")
def data(path):
    return path.read_bytes()


def changed(data, change):
    model = onnx.load_from_string(data)
    change(model)
    return model.SerializeToString()


def set_metadata(key, value):
    def change(model):
        for entry in model.metadata_props:
            if entry.key == f"netsieve.{key}":
                entry.value = value

    return change


def test_everything_that_was_written_is_read_back(path, data):
    model = ModelFile.read(path)
    reference = onnx.load(path)
    assert model.detector == "autoencoder"
    assert model.schema.feature_names == ("n0", "n1", "n2", "c0")
    assert model.default_policy == "percentile:95"
    assert set(model.thresholds) == {"percentile:95", "f1"}
    assert model.provenance["rows"] == 1000
    assert model.calibration.n == 1000
    assert model.n_features == 4
    assert model.has_feature_error
    assert len(model.fingerprint) == 64
    assert model.opsets == {"": 18}
    assert model.metadata == {entry.key: entry.value for entry in reference.metadata_props}
    assert [i.name for i in model.inputs] == ["x"]
    assert model.inputs[0].shape == ("n", 4)
    assert {o.name for o in model.outputs} == {"score", "feature_error"}


def test_nodes_and_constants_equal_those_that_the_onnx_package_reads(path):
    model = ModelFile.read(path)
    reference = onnx.load(path).graph
    assert len(model.initializers) == len(reference.initializer)
    for tensor in reference.initializer:
        expected = numpy_helper.to_array(tensor)
        assert model.initializers[tensor.name].dtype == expected.dtype
        np.testing.assert_array_equal(model.initializers[tensor.name], expected)
    for ours, theirs in zip(model.nodes, reference.node, strict=True):
        assert (ours.op_type, ours.name, ours.domain) == (theirs.op_type, theirs.name, theirs.domain)
        assert (ours.inputs, ours.outputs) == (tuple(theirs.input), tuple(theirs.output))
        assert ours.attributes == {a.name: helper.get_attribute_value(a) for a in theirs.attribute}


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (np.float32, [0.5, -1e30, 3]),
        (np.float64, [0.1, -2, 1e300]),
        (np.float16, [0.5, -2, 100]),
        (np.int64, [-1, 2**62, 0]),
        (np.int32, [-1, 2**31 - 1, 0]),
        (np.int16, [-1, 5, 0]),
        (np.int8, [-1, 5, 0]),
        (np.uint8, [255, 5, 0]),
        (np.uint16, [65535, 5, 0]),
        (np.uint32, [2**32 - 1, 5, 0]),
        (np.uint64, [2**64 - 1, 5, 0]),
        (np.bool, [True, False, True]),
    ],
)
def test_tensors_of_every_type_raw_or_typed(dtype, values, raw):
    array = np.array(values, dtype=dtype)
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    tensor = helper.make_tensor("t", kind, [1, 3, 1], array.tobytes() if raw else array.tolist(), raw=raw)
    empty = helper.make_tensor("e", kind, [0, 2], b"" if raw else [], raw=raw)
    scalar = numpy_helper.from_array(array[0], "s")
    graph = helper.make_graph([], "g", [], [], [tensor, empty, scalar])
    constants = read_model(helper.make_model(graph).SerializeToString()).graph.initializers
    assert constants["t"].dtype == array.dtype
    np.testing.assert_array_equal(constants["t"], array.reshape(1, 3, 1))
    assert constants["e"].shape == (0, 2)
    assert constants["s"].shape == ()
    assert constants["s"] == array[0]


def test_attributes_of_every_kind():
    attributes = {
        "number": 1.5,
        "integer": -7,
        "text": "abc",
        "numbers": [1.0, -2.5],
        "integers": [1, -(2**40)],
        "texts": ["a", "bc"],
        "tensor": numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(2, 3), "t"),
        "strings": helper.make_tensor("s", TensorProto.STRING, [2], [b"x", b"yz"]),
    }
    node = helper.make_node("Op", ["a", ""], ["b"], name="n", domain="ai.onnx.ml", **attributes)
    content = helper.make_model(helper.make_graph([node], "g", [], [])).SerializeToString()
    (read,) = read_model(content).graph.nodes
    assert (read.op_type, read.domain, read.inputs, read.outputs) == ("Op", "ai.onnx.ml", ("a", ""), ("b",))
    assert (read.attributes["number"], read.attributes["integer"]) == (1.5, -7)
    assert read.attributes["text"] == b"abc"
    np.testing.assert_array_equal(read.attributes["numbers"], np.array([1, -2.5], dtype=np.float32))
    np.testing.assert_array_equal(read.attributes["integers"], [1, -(2**40)])
    assert read.attributes["texts"] == (b"a", b"bc")
    np.testing.assert_array_equal(read.attributes["tensor"], np.arange(6).reshape(2, 3))
    assert read.attributes["strings"].tolist() == [b"x", b"yz"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b,c\n1,2,3\n", "not an ONNX model but text"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "not an ONNX model but a PNG image"),
        (b"\x1f\x8b\x08" + bytes(50), "not an ONNX model but gzip"),
        (b"PK\x03\x04" + bytes(50), "not an ONNX model but a zip archive, perhaps a PyTorch checkpoint"),
        (b"\x80\x04\x95", "not an ONNX model but a Python pickle"),
        (bytes(100), "not an ONNX model"),
        (b"\xff" * 100, "not an ONNX model"),
        (b"", "is empty"),
    ],
)
def test_other_files_are_told_for_what_they_are(tmp_path, content, message):
    file = tmp_path / "other.onnx"
    file.write_bytes(content)
    with pytest.raises(ModelFileError, match=message) as caught:
        ModelFile.read(file)
    assert str(file) in str(caught.value)
    assert "is expected" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_an_absent_file_and_a_pipe_are_refused(tmp_path):
    with pytest.raises(ModelFileError, match="is a folder"):
        ModelFile.read(tmp_path)
    with pytest.raises(ModelFileError, match="does not exist"):
        ModelFile.read(tmp_path / "absent.onnx")
    with pytest.raises(ModelFileError, match="cannot be read"):
        ModelFile.read("a\0b")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="not a regular file"):
        ModelFile.read(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path):
    file = tmp_path / "m.onnx"
    file.write_bytes(b"x")
    file.chmod(0)
    with pytest.raises(ModelFileError, match="Permission denied"):
        ModelFile.read(file)


def test_a_truncated_file_is_said_to_be(data):
    for length in (1, 10, len(data) // 2, len(data) - 1):
        with pytest.raises(ModelFileError, match="truncated"):
            ModelFile(data[:length])


def test_an_onnx_model_without_netsieve_metadata_says_how_to_export_it(data):
    with pytest.raises(ModelFileError, match=r"is an ONNX model but not a netsieve model.*torch_module"):
        ModelFile(changed(data, lambda m: m.ClearField("metadata_props")))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", "2", "model format 2.*install a newer netsieve"),
        ("format", "one", "unknown model format"),
        ("schema", "{", "schema"),
        ("schema", "[]", "schema"),
        ("calibration", "{}", "calibration"),
        ("calibration", "[" * 100_000, "calibration"),
        ("thresholds", '{"fpr:0.001": 1.0}', "thresholds.*default"),
        ("thresholds", '{"fpr:0.001": NaN, "default": "fpr:0.001"}', "not finite"),
        ("thresholds", '{"fpr:0.001": [], "default": "fpr:0.001"}', "thresholds"),
        ("provenance", "3", "provenance"),
    ],
)
def test_damaged_or_newer_metadata_is_refused(data, key, value, message):
    with pytest.raises(ModelFileError, match=message):
        ModelFile(changed(data, set_metadata(key, value)))


def test_a_newer_schema_version_is_refused(data):
    content = json.loads(ModelFile(data).metadata["netsieve.schema"])
    content["version"] = 99
    with pytest.raises(ModelFileError, match="schema version 99"):
        ModelFile(changed(data, set_metadata("schema", json.dumps(content))))


def float_value(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def replace_input(value):
    def change(model):
        del model.graph.input[:]
        model.graph.input.append(value)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replace_input(float_value("input", ["n", 4])), "inputs"),
        (replace_input(float_value("x", ["n", 5])), r"'x' has the shape \['n', 5\], where \['n', 4\]"),
        (replace_input(float_value("x", [1, 4])), "'x' has the shape"),
        (replace_input(float_value("x", ["n", 1, 4])), "'x' has the shape"),
        (replace_input(helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["n", 4])), "not float32"),
        (lambda m: m.graph.input.append(float_value("y", ["n", 4])), "inputs"),
        (lambda m: m.graph.output.append(float_value("extra", ["n"])), "outputs"),
        (lambda m: m.graph.ClearField("output"), "outputs"),
        (lambda m: setattr(m.graph.node[0], "domain", "com.microsoft"), "operators of 'com.microsoft'"),
        (lambda m: m.functions.add(), "functions"),
        (lambda m: setattr(m.graph.initializer[0], "data_location", TensorProto.EXTERNAL), "another file"),
        (lambda m: m.graph.initializer[0].external_data.add(key="location", value="/etc/passwd"), "another file"),
        (lambda m: m.graph.initializer.append(m.graph.initializer[0]), "twice"),
        (lambda m: m.graph.initializer[0].dims.append(1 << 40), "shape"),
        (lambda m: setattr(m.graph.initializer[0], "data_type", 99), "element type 99"),
    ],
)
def test_graphs_that_break_the_contract_are_refused(data, change, message):
    with pytest.raises(ModelFileError, match=message):
        ModelFile(changed(data, change))


def test_shapes_that_lie_about_their_size_allocate_nothing():
    huge = helper.make_tensor("t", TensorProto.FLOAT, [0], [])
    huge.dims[:] = [1 << 62, 1 << 62, 0, 1 << 62]
    graph = helper.make_graph([], "g", [], [], [huge])
    with pytest.raises(ProtobufError, match="impossible shape"):
        read_model(helper.make_model(graph).SerializeToString())


def assert_is_read_or_refused(content):
    start = time.process_time()
    try:
        for node in ModelFile(content).nodes:
            assert isinstance(node.attributes, dict)
        message = ""
    except (ModelFileError, ProtobufError) as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 1000
    assert time.process_time() - start < 2


def test_no_mutation_raises_anything_else(data):
    generator = random.Random(0)
    for _ in range(1500):
        content = bytearray(data)
        for _ in range(generator.choice((1, 1, 2, 8))):
            content[generator.randrange(len(content))] = generator.randrange(256)
        assert_is_read_or_refused(bytes(content))


def test_no_mutation_of_the_graph_raises_anything_else(data):
    # Without the metadata nearly every byte is structure
    bare = changed(data, lambda m: [m.ClearField("metadata_props"), m.graph.ClearField("initializer")])
    generator = random.Random(1)
    for _ in range(3000):
        content = bytearray(bare)
        for _ in range(generator.choice((1, 2, 3))):
            content[generator.randrange(len(content))] = generator.randrange(256)
        try:
            for node in read_model(bytes(content)).graph.nodes:
                assert isinstance(node.attributes, dict)
        except ProtobufError:
            pass


def test_no_truncation_raises_anything_else(data):
    generator = random.Random(2)
    for length in generator.sample(range(len(data)), 400):
        with pytest.raises(ModelFileError):
            ModelFile(data[:length])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.integers(0, 20_000), st.integers(0, 50))
def test_no_insertion_or_deletion_raises_anything_else(data, inserted, position, deleted):
    position %= len(data)
    assert_is_read_or_refused(data[:position] + inserted + data[position + deleted :])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(content):
    for prefix in (b"", b"\x08\x0a", b"\x08\x0a\x3a"):
        with pytest.raises(ModelFileError):
            ModelFile(prefix + content)
