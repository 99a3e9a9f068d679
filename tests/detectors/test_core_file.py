import json
from dataclasses import replace

import numpy as np
import pytest
from export_cases import KINDS, fitted_case
from safetensors import safe_open
from safetensors.numpy import save_file

from netsieve.engine.detectors.autoencoder import Autoencoder, AutoencoderParameters
from netsieve.engine.detectors.core_file import save_core
from netsieve.engine.detectors.isolation_forest import IsolationForest, IsolationForestParameters
from netsieve.engine.errors import TrainingError


@pytest.fixture(scope="module")
def forest():
    schema, x = fitted_case(KINDS["mixed"], rows=300)
    return IsolationForest(IsolationForestParameters(trees=3)).fit(schema, x[:200], x[200:])


def changed(path, source, change):
    """Write a weights file anew with its metadata and arrays changed."""
    with safe_open(str(source), framework="numpy") as content:
        metadata, tensors = content.metadata(), {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    change(metadata, tensors)
    save_file(tensors, path, metadata=metadata)


def nested(metadata, tensors):
    metadata["core"] = '{"tuple": [' * 5000 + "{}" + "]}" * 5000


def without_view(metadata, tensors):
    metadata["core"] = json.dumps({"value": 5})


def another_class(metadata, tensors):
    core = json.loads(metadata["core"])
    metadata["core"] = json.dumps(
        core["fields"][next(name for name in core["fields"] if "class" in core["fields"][name])]
    )


def parameters_no_table(metadata, tensors):
    metadata["parameters"] = "5"


def parameters_of_another_type(metadata, tensors):
    metadata["parameters"] = json.dumps({"trees": "many"})


@pytest.mark.parametrize(
    "change", [nested, without_view, another_class, parameters_no_table, parameters_of_another_type]
)
def test_damaged_weights_are_refused(forest, tmp_path, change):
    forest.save_weights(tmp_path / "good")
    changed(tmp_path / "bad", tmp_path / "good", change)
    with pytest.raises(TrainingError):
        IsolationForest.load_weights(tmp_path / "bad")


@pytest.mark.parametrize(("array", "value"), [("left", 0), ("right", 100_000), ("column", 1_000), ("column", -5)])
def test_trees_that_lead_nowhere_are_refused(forest, tmp_path, array, value):
    trees = forest.core.trees
    wrong = getattr(trees, array).copy()
    wrong[np.flatnonzero(trees.column >= 0)[-1]] = value
    core = replace(forest.core, trees=replace(trees, **{array: wrong}))
    parameters = IsolationForestParameters(trees=3)
    save_core(tmp_path / "bad", core, detector="isolation_forest", parameters=parameters, schema=forest.schema)
    with pytest.raises(TrainingError, match="a tree"):
        IsolationForest.load_weights(tmp_path / "bad")


@pytest.mark.parametrize("missing", ["parameters", "schema", "score.error_weight"])
def test_an_incomplete_autoencoder_is_refused(tmp_path, missing):
    schema, x = fitted_case(KINDS["mixed"], rows=300)
    parameters = AutoencoderParameters(max_draws=1_000)
    Autoencoder(parameters).fit(schema, x[:200], x[200:], device="cpu").save_weights(tmp_path / "good")

    def drop(metadata, tensors):
        (tensors if missing in tensors else metadata).pop(missing)

    changed(tmp_path / "bad", tmp_path / "good", drop)
    with pytest.raises(TrainingError, match="damaged"):
        Autoencoder.load_weights(tmp_path / "bad")
    assert Autoencoder.load_weights(tmp_path / "good").parameters == parameters
