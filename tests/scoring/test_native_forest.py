"""Trees recognised in the graphs that export writes, and refused in all others."""

import time
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from export_cases import KINDS, calibrated, fitted_case, rows_at_thresholds, session
from naive_trees import random_trees
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidGraph
from sklearn.ensemble import IsolationForest as IsolationForestOfScikitLearn

from netsieve.engine.detectors.boosted_trees import BoostedTreesParameters, fit_boosted_trees
from netsieve.engine.detectors.ecod import EmpiricalTails, EmpiricalTailsParameters
from netsieve.engine.detectors.hbos import HistogramScore, HistogramScoreParameters
from netsieve.engine.detectors.isolation_forest import IsolationForest, IsolationForestParameters
from netsieve.engine.detectors.tree_ensemble import ColumnTrees, TreeScore
from netsieve.engine.features.preprocessing import fit_preprocessing, prepare, prepared_columns
from netsieve.engine.features.schema import FeatureSchema, NumericFeature
from netsieve.engine.features.unscaled import unscaled_columns
from netsieve.engine.scoring.native import native_plan
from netsieve.engine.scoring.native_columns import RecognisedColumns
from netsieve.engine.scoring.native_cores import recognise_core
from netsieve.engine.scoring.onnx_reader import read_model
from netsieve.engine.scoring.protobuf import ProtobufError
from netsieve.engine.scoring.recognition import NotRecognisedError, RecognisedGraph
from netsieve.engine.scoring.scorer import Scorer
from netsieve.export import sklearn as export_sklearn
from netsieve.export.cores import add_core, core_model
from netsieve.export.graph import Graph
from netsieve.export.model import write_model
from netsieve.export.parity import hard_rows
from netsieve.export.preprocessing import RecordColumns
from netsieve.kernels import _native

VARIANTS = _native.scoring_variants()


def plan(model, schema, variant=VARIANTS[0]):
    """Return the plan of a graph, as of a model file with this schema."""
    return native_plan(model_file(model if isinstance(model, bytes) else model.SerializeToString(), schema), variant)


def model_file(data, schema):
    graph = read_model(data)
    outputs = [output.name for output in graph.graph.outputs]
    return SimpleNamespace(
        nodes=graph.graph.nodes,
        initializers=graph.graph.initializers,
        opsets=graph.opsets,
        schema=schema,
        n_features=len(schema.features),
        has_feature_error="feature_error" in outputs,
    )


DETECTORS = {
    "isolation forest": lambda schema, x: IsolationForest(IsolationForestParameters(trees=30)).fit(schema, x, x[:50]),
    "a deep isolation forest": lambda schema, x: IsolationForest(IsolationForestParameters(trees=3, samples=1500)).fit(
        schema, x, x[:50]
    ),
    "histograms": lambda schema, x: HistogramScore(HistogramScoreParameters()).fit(schema, x, x[:50]),
    "tails": lambda schema, x: EmpiricalTails(EmpiricalTailsParameters()).fit(schema, x, x[:50]),
    "tails, sums": lambda schema, x: EmpiricalTails(EmpiricalTailsParameters(combination="sums")).fit(
        schema, x, x[:50]
    ),
}


@pytest.mark.parametrize("kinds", [KINDS[kind] for kind in ("plain", "missing", "mixed", "another order", "category")])
@pytest.mark.parametrize("make", DETECTORS.values(), ids=DETECTORS)
def test_scores_are_those_of_onnxruntime(make, kinds):
    schema, x = fitted_case(kinds, rows=1800)
    core = make(schema, x[:1500]).core
    rows = np.concatenate([x, hard_rows(schema, x)])
    if schema.numeric:
        rows = np.concatenate([rows, rows_at_thresholds(core.trees, schema, x)])
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    model = core_model(core, schema)
    outputs = [output.name for output in model.graph.output]
    expected = session(model).run(outputs, {"x": rows})
    for variant in VARIANTS:
        native = plan(model, schema, variant)
        assert native.has_feature_error == (outputs == ["score", "feature_error"])
        # leaf values are made to be added up exactly, so that only the exponential is rounded in two ways
        rtol = 3e-7 if isinstance(core, TreeScore) and core.combination == "exponential" else 0
        np.testing.assert_allclose(native.score(rows), expected[0], rtol=rtol)
        if native.has_feature_error:
            np.testing.assert_array_equal(native.feature_error(rows), expected[1])


def test_scores_of_boosted_trees_are_those_of_onnxruntime():
    schema, x = fitted_case(KINDS["missing"], rows=1200)
    is_attack = np.nan_to_num(x[:, 0]) > np.nanquantile(x[:, 0], 0.8)
    core, _ = fit_boosted_trees(schema, x, is_attack ^ (np.arange(len(x)) % 7 == 0), BoostedTreesParameters(trees=30))
    model = core_model(core, schema)
    rows = np.concatenate([x, hard_rows(schema, x), rows_at_thresholds(core.trees, schema, x)])
    expected = session(model).run(["score"], {"x": rows})[0]
    for variant in VARIANTS:
        np.testing.assert_array_equal(plan(model, schema, variant).score(rows), expected)


def test_a_scorer_takes_the_native_kernels(tmp_path):
    schema, x = fitted_case(KINDS["mixed"], rows=1500)
    detector = IsolationForest(IsolationForestParameters(trees=20)).fit(schema, x[:1000], x[:50])
    calibration, thresholds = calibrated(detector, x)
    path = tmp_path / "forest.onnx"
    write_model(
        detector,
        path,
        schema=schema,
        calibration=calibration,
        thresholds=thresholds,
        provenance={},
        parity_rows=x[:100],
    )
    native, reference = (Scorer(path, backend=backend) for backend in ("auto", "onnxruntime"))
    assert native.backend_name.startswith("native")
    np.testing.assert_allclose(native.score_matrix(x), reference.score_matrix(x), rtol=3e-7)


@pytest.mark.parametrize("preprocess", [True, False])
@pytest.mark.parametrize("kinds", ["plain", "missing", "mixed", "category"])
def test_forests_that_were_fitted_elsewhere(tmp_path, preprocess, kinds):
    schema, x = fitted_case(KINDS[kinds], rows=1200)
    fitted = IsolationForestOfScikitLearn(n_estimators=20, random_state=0).fit(prepare(schema, x) if preprocess else x)
    path = tmp_path / "forest.onnx"
    export_sklearn(fitted, schema, path, calibration_rows=x, preprocess=preprocess)
    native, reference = (Scorer(path, backend=backend) for backend in ("native", "onnxruntime"))
    np.testing.assert_allclose(native.score_matrix(x), reference.score_matrix(x), rtol=3e-7)


def test_members_of_an_ensemble_have_scopes_of_their_own():
    schema, x = fitted_case(KINDS["missing"], rows=300)
    rng = np.random.default_rng(0)
    width = len(prepared_columns(schema))
    members = [
        TreeScore(random_trees(rng, columns=width, leaves=[20, 30]), "exponential"),
        ColumnTrees(random_trees(rng, columns=width, leaves=[9] * 5, targets=len(schema.features))),
    ]
    writing = Graph()
    columns = RecordColumns(writing, schema)
    for number, member in enumerate(members):
        with writing.scope(f"member_{number}"):
            add_core(writing, columns, member)
    model = writing.model(len(schema.features), feature_error=False)
    graph = RecognisedGraph(model_file(model.SerializeToString(), schema))
    recognised = RecognisedColumns(graph)
    cores = []
    for number in range(len(members)):
        with graph.scope(f"member_{number}"):
            cores.append(recognise_core(graph, recognised, VARIANTS[0]))
    graph.check_all_taken()
    assert [core.score for core in cores] == ["member_0.score", "member_1.score"]
    assert [core.feature_error for core in cores] == [None, "member_1.feature_error"]
    for core, member in zip(cores, members, strict=True):
        native = _native.ScoringPlan(
            VARIANTS[0],
            prepared=None,
            unscaled=recognised.preparation("unscaled", VARIANTS[0]),
            kernels=list(core.kernels),
        )
        np.testing.assert_allclose(native.score(x), member.score(unscaled_columns(schema, x)), rtol=3e-7)


def small_case(rng=None):
    rng = rng or np.random.default_rng(0)
    x = rng.normal(size=(200, 3)).astype(np.float32)
    features = tuple(NumericFeature(name=f"f{i}") for i in range(3))
    schema = fit_preprocessing(FeatureSchema(features=features), x)
    trees = random_trees(rng, columns=3, leaves=[6, 1, 40], missing=True)
    return core_model(TreeScore(trees, "exponential"), schema), schema, x


def test_a_tree_that_is_a_leaf_and_missing_values_to_either_side():
    model, schema, x = small_case()
    x[::3, 1] = np.nan
    expected = session(model).run(["score"], {"x": x})[0]
    for variant in VARIANTS:
        np.testing.assert_allclose(plan(model, schema, variant).score(x), expected, rtol=3e-7)


def node_of(model):
    (node,) = [node for node in model.graph.node if node.op_type == "TreeEnsembleRegressor"]
    return node


def values_of(node, name):
    (attribute,) = [attribute for attribute in node.attribute if attribute.name == name]
    return onnx.helper.get_attribute_value(attribute), attribute


def replaced(name, position, value):
    """Return what changes one value of an attribute."""

    def change(node):
        values, attribute = values_of(node, name)
        values = list(values)
        values[position] = value
        attribute.CopyFrom(onnx.helper.make_attribute(name, values))

    return change


def cut(name):
    def change(node):
        values, attribute = values_of(node, name)
        attribute.CopyFrom(onnx.helper.make_attribute(name, list(values)[:-1]))

    return change


def without(name):
    def change(node):
        kept = [attribute for attribute in node.attribute if attribute.name != name]
        del node.attribute[:]
        node.attribute.extend(kept)

    return change


def with_attribute(name, value):
    def change(node):
        without(name)(node)
        node.attribute.append(onnx.helper.make_attribute(name, value))

    return change


def rewired(node):
    node.input[0] = "row_axis"


def without_nodes(node):
    for attribute in [each.name for each in node.attribute if each.name != "n_targets"]:
        without(attribute)(node)


HOSTILE = {
    "a circle": replaced("nodes_truenodeids", 1, 0),
    "a node after itself": replaced("nodes_falsenodeids", 0, 0),
    "a child behind the tree": replaced("nodes_truenodeids", 0, 11),
    "a child before all": replaced("nodes_truenodeids", 0, -1),
    "a child far away": replaced("nodes_truenodeids", 0, 2**62),
    "two parents": lambda node: (
        replaced("nodes_truenodeids", 0, 1)(node),
        replaced("nodes_falsenodeids", 0, 1)(node),
    ),
    "a column that is not there": replaced("nodes_featureids", 0, 3),
    "a column before all": replaced("nodes_featureids", 0, -1),
    "a column far away": replaced("nodes_featureids", 0, 2**40),
    "another comparison": replaced("nodes_modes", 0, "BRANCH_LT"),
    "an unknown comparison": replaced("nodes_modes", 0, "x" * 300),
    "no leaf": with_attribute("nodes_modes", ["BRANCH_LEQ"] * 91),
    "a split is a leaf": replaced("nodes_modes", 0, "LEAF"),
    "trees out of order": replaced("nodes_treeids", 0, 1),
    "a tree before all": with_attribute("nodes_treeids", [-1] * 91),
    "a tree left out": replaced("nodes_treeids", -1, 3),
    "nodes out of order": replaced("nodes_nodeids", 0, 1),
    "a threshold that is not a number": replaced("nodes_values", 0, float("nan")),
    "an infinite leaf": replaced("target_weights", 0, float("inf")),
    "a target that is not there": replaced("target_ids", 0, 1),
    "a target before all": replaced("target_ids", 0, -1),
    "a leaf of another tree": replaced("target_treeids", 0, 2),
    "a leaf that is a split": replaced("target_nodeids", 0, 0),
    "missing values to a third side": replaced("nodes_missing_value_tracks_true", 0, 2),
    "no nodes": without_nodes,
    "other leaves": cut("target_weights"),
    "fewer thresholds": cut("nodes_values"),
    "fewer columns": cut("nodes_featureids"),
    "fewer children": cut("nodes_falsenodeids"),
    "no thresholds": without("nodes_values"),
    "a number for a list": with_attribute("nodes_values", 1.0),
    "integers for thresholds": with_attribute("nodes_values", [1, 2, 3]),
    "two targets": with_attribute("n_targets", 2),
    "very many targets": with_attribute("n_targets", 2**40),
    "targets below zero": with_attribute("n_targets", -1),
    "targets of text": with_attribute("n_targets", "1"),
    "another aggregation": with_attribute("aggregate_function", "AVERAGE"),
    "a base value": with_attribute("base_values", [1.0]),
    "a transform": with_attribute("post_transform", "LOGISTIC"),
    "other columns": rewired,
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_other_trees_are_not_recognised(change):
    model, schema, _ = small_case()
    change(node_of(model))
    with pytest.raises(NotRecognisedError):
        plan(model, schema)


def test_few_leaves_of_many_values_take_no_memory_for_all_nodes():
    nodes, values = 400_000, 60_000
    model, schema, _ = small_case()
    node = node_of(model)
    lists = {
        "nodes_modes": [b"LEAF"] + [b"BRANCH_LEQ"] * (nodes - 1),
        "nodes_nodeids": np.arange(nodes),
        "nodes_values": np.zeros(nodes, np.float32),
        **{f"nodes_{each}": np.zeros(nodes, int) for each in ("treeids", "featureids", "truenodeids", "falsenodeids")},
        "target_ids": np.arange(values),
        "target_weights": np.zeros(values, np.float32),
        **{f"target_{each}": np.zeros(values, int) for each in ("treeids", "nodeids")},
    }
    del node.attribute[:]
    node.attribute.extend(onnx.helper.make_attribute(key, list(each)) for key, each in lists.items())
    node.attribute.append(onnx.helper.make_attribute("n_targets", values))
    with pytest.raises(NotRecognisedError, match="leaves"):
        plan(model, schema)


def test_damaged_trees_are_not_recognised_or_score_as_with_onnxruntime():
    model, schema, x = small_case()
    data = model.SerializeToString()
    trees = node_of(model).SerializeToString()
    start = data.index(trees)
    rng = np.random.default_rng(0)
    recognised = 0
    for _ in range(400):
        damaged = bytearray(data)
        damaged[start + int(rng.integers(len(trees)))] ^= 1 << int(rng.integers(8))
        try:
            native = plan(bytes(damaged), schema)
        except (NotRecognisedError, ProtobufError):
            continue
        scores = native.score(x)
        try:
            runtime = onnxruntime.InferenceSession(bytes(damaged))
        except InvalidGraph:  # it also looks at what says which kind a list is
            continue
        recognised += 1
        # leaf values that were not made for it add up in their own order; so may one that was changed to a large one
        np.testing.assert_allclose(scores, runtime.run(["score"], {"x": x})[0], rtol=2e-5)
    assert 20 < recognised < 380


def test_what_follows_the_trees_is_checked():
    for name, change in (
        ("exponential", lambda node: setattr(node, "op_type", "Log")),
        ("score", lambda node: setattr(node, "op_type", "ReduceSum")),
    ):
        model, schema, _ = small_case()
        (node,) = [node for node in model.graph.node if node.name == name]
        change(node)
        with pytest.raises(NotRecognisedError):
            plan(model, schema)


def test_trees_for_each_feature_must_have_a_target_for_each():
    _, schema, _ = small_case()
    trees = random_trees(np.random.default_rng(0), columns=3, leaves=[5, 5, 5], targets=3)
    model = core_model(ColumnTrees(trees), schema)
    assert plan(model, schema).has_feature_error
    with_attribute("n_targets", 4)(node_of(model))
    with pytest.raises(NotRecognisedError, match="4 targets for 3 features"):
        plan(model, schema)


def test_a_million_nodes_are_laid_out_in_time():
    _, schema, x = small_case()
    rng = np.random.default_rng(0)
    one = random_trees(rng, columns=3, leaves=[250_000], chain=0.5)
    model = core_model(TreeScore(one, "value"), schema)
    start = time.process_time()
    native = plan(model, schema)
    assert time.process_time() - start < 10
    np.testing.assert_array_equal(native.score(x), one.sums(x)[:, 0])
