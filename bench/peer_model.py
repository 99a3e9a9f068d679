"""The trained network of a model file in the plain form that the peer pipelines read.

``python -m netsieve.bench.peer_model MODEL.onnx FOLDER`` writes ``preparation.json``, ``network.npz`` and a copy of
the model file, so that every contender of a benchmark scores the same network.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from netsieve.engine.detectors.autoencoder import Autoencoder
from netsieve.engine.errors import TrainingError
from netsieve.engine.features.preprocessing import rarity_table
from netsieve.engine.features.schema import FIRST_CODE, FeatureSchema
from netsieve.engine.scoring.model_file import ModelFile


def write_peer_model(model: str | Path, folder: str | Path) -> None:
    """Write what the peers need of the autoencoder in ``model``, whose weights lie beside it.

    Raises
    ------
    ModelFileError, TrainingError
        The model, or the ``.safetensors`` file beside it, cannot be read, or scores otherwise than by default,
        by the mean logarithm of squared residuals and latent distance, which is all that the peers can do.
    """
    model, folder = Path(model), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model_file = ModelFile.read(model)
    network = Autoencoder.load_weights(model.with_suffix(".safetensors")).network
    if network is None or network.aggregation != "log_mean" or network.latent_center is None:
        raise TrainingError(f"{model} is no autoencoder with the default score; train one without other parameters")
    assert network.latent_whitening is not None
    arrays: dict[str, Any] = {
        "error_weight": network.error_weight,
        "latent_center": network.latent_center,
        "latent_whitening": network.latent_whitening,
    }
    for part, layers in (("encoder", network.encoder), ("decoder", network.decoder)):
        for i, layer in enumerate(layers):
            arrays[f"{part}.{i}.weight"], arrays[f"{part}.{i}.bias"] = layer.weight, layer.bias
    np.savez(folder / "network.npz", **arrays)
    preparation = {
        **_preparation(model_file.schema),
        "encoder": [layer.activation for layer in network.encoder],
        "decoder": [layer.activation for layer in network.decoder],
        "threshold": model_file.thresholds[model_file.default_policy],
    }
    (folder / "preparation.json").write_text(json.dumps(preparation, indent=1), encoding="utf-8")
    shutil.copyfile(model, folder / "model.onnx")


def _preparation(schema: FeatureSchema) -> dict[str, Any]:
    kinds = {column.name: column.column_kind for column in (*schema.features, *schema.ignored)}
    return {
        "features": schema.feature_names,
        "columns": kinds,
        "soft_clip": schema.soft_clip,
        "numeric": [
            {name: getattr(feature, name) for name in ("name", "signed_log", "center", "scale", "fill",
                                                       "missing_indicator")}
            for _, feature in schema.numeric
        ],
        "categorical": [
            {
                "name": feature.name,
                "codes": {text: code for code, text in enumerate(feature.vocabulary, start=FIRST_CODE)},
                "width": FIRST_CODE + feature.one_hot_count + feature.has_other,
                "rarity": rarity_table(feature, schema.soft_clip).tolist(),
            }
            for _, feature in schema.categorical
        ],
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Write the peers' folder, as the command line asks."""
    parser = argparse.ArgumentParser(
        prog="python -m netsieve.bench.peer_model", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("model", help="model file, with its .safetensors beside it")
    parser.add_argument("folder", help="where to write")
    options = parser.parse_args(arguments)
    write_peer_model(options.model, options.folder)


if __name__ == "__main__":
    main()
