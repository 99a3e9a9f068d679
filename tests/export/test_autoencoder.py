import numpy as np
import onnx
import pytest
from export_cases import AGGREGATIONS, KINDS, UntrainedDetector, fitted_case, random_autoencoder, session

from netsieve.engine.errors import ExportError
from netsieve.engine.features.preprocessing import feature_selection, prepare, prepared_columns
from netsieve.export.autoencoder import add_autoencoder
from netsieve.export.cores import core_model
from netsieve.export.graph import HIGHEST_OPSET, Graph
from netsieve.export.parity import hard_rows
from netsieve.export.preprocessing import RecordColumns


def exported(detector):
    model = core_model(detector.core, detector.schema)
    onnx.checker.check_model(model, full_check=True)
    return model


def assert_parity(scores, reference, typical):
    assert np.isfinite(scores).all()
    assert (np.abs(scores - reference) <= 1e-5 * (np.abs(reference) + typical)).all()


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_scores_equal_the_reference(kinds, aggregation):
    schema, x = fitted_case(kinds)
    detector = UntrainedDetector(schema, aggregation)
    model = session(exported(detector))
    rows = np.concatenate([x, hard_rows(schema, x)])
    reference = detector.reference_score(rows)
    typical = np.median(reference[: len(x)])
    assert_parity(model.run(["score"], {"x": rows})[0], reference, typical)
    alone = np.concatenate([model.run(["score"], {"x": row[None]})[0] for row in rows[-40:]])
    assert_parity(alone, reference[-40:], typical)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_hundred_thousand_rows_are_scored_row_by_row_alike(aggregation):
    schema, x = fitted_case(KINDS["mixed"], rows=100_000)
    detector = UntrainedDetector(schema, aggregation)
    model = session(exported(detector))
    scores = model.run(["score"], {"x": x})[0]
    reference = detector.reference_score(x)
    typical = np.median(reference)
    assert_parity(scores, reference, typical)
    # a detector whose scores are nearly all the same passes many a test, and is worthless
    assert len(np.unique(scores)) > 90_000
    shuffled = np.random.default_rng(0).permutation(len(x))
    assert_parity(model.run(["score"], {"x": x[shuffled]})[0], scores[shuffled].astype(np.float64), typical)
    cut = np.concatenate([model.run(["score"], {"x": part})[0] for part in np.split(x, [1, 8, 1000, 5096, 70_001])])
    assert_parity(cut, scores.astype(np.float64), typical)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("kinds", [KINDS["mixed"], KINDS["plain"]], ids=["summed", "one to one"])
@pytest.mark.parametrize("latent", [False, True])
def test_feature_errors_are_the_parts_of_the_score(kinds, aggregation, latent):
    schema, x = fitted_case(kinds, rows=300)
    detector = UntrainedDetector(schema, aggregation, latent=latent)
    scores, errors = session(exported(detector)).run(["score", "feature_error"], {"x": x})
    z = prepare(schema, x)
    expected = detector.core.column_errors(z) @ feature_selection(schema)
    assert errors.shape == (300, len(schema.features))
    np.testing.assert_allclose(errors, expected, rtol=1e-4, atol=1e-5 * expected.mean())
    if not latent:
        np.testing.assert_allclose(scores, errors.sum(axis=1), rtol=1e-5)


@pytest.mark.parametrize("activation", ["linear", "relu", "leaky_relu"])
def test_every_activation_is_written(activation):
    schema, x = fitted_case(KINDS["plain"])
    detector = UntrainedDetector(schema, activation=activation)
    reference = detector.reference_score(x)
    assert_parity(session(exported(detector)).run(["score"], {"x": x})[0], reference, np.median(reference))


def test_the_graph_keeps_the_contract():
    schema, _ = fitted_case(KINDS["mixed"])
    model = exported(UntrainedDetector(schema))
    assert [(entry.domain, 17 <= entry.version <= HIGHEST_OPSET) for entry in model.opset_import] == [("", True)]
    assert not {node.op_type for node in model.graph.node} & {"OneHot", "If", "Loop"}
    assert [value.name for value in model.graph.input] == ["x"]
    assert [value.name for value in model.graph.output] == ["score", "feature_error"]
    names = {node.name: node.op_type for node in model.graph.node}
    assert all(names[f"encoder_{i}"] == names[f"decoder_{i}"] == "Gemm" for i in range(3))
    constants = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    assert constants["encoder_0.weight"] == [len(prepared_columns(schema)), 32]
    assert constants["decoder_2.bias"] == [len(prepared_columns(schema))]
    assert not any(tensor.external_data for tensor in model.graph.initializer)


def test_a_network_of_another_width_than_the_schema_prepares_is_refused():
    schema, _ = fitted_case(KINDS["plain"])
    graph = Graph()
    columns = RecordColumns(graph, schema)
    with pytest.raises(ExportError, match="do not fit together"):
        add_autoencoder(graph, columns, random_autoencoder(5))
