"""The dense autoencoder: trained on normal records, it rebuilds them well and anything else badly.

The network is trained in PyTorch and kept as :class:`~netsieve.engine.detectors.dense_autoencoder.DenseAutoencoder`,
which scores in plain NumPy. Importing this module does not import torch.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, cast

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.autoencoder_parameters import AutoencoderParameters
from netsieve.engine.detectors.core import base_score_for, chunked, prepared_float32, sampled_rows, view_columns
from netsieve.engine.detectors.core_detector import CoreDetector
from netsieve.engine.detectors.dense_autoencoder import Aggregation, DenseAutoencoder
from netsieve.engine.detectors.latent import latent_whitening
from netsieve.engine.detectors.parameters import DetectorParameters
from netsieve.engine.errors import TrainingError
from netsieve.engine.features.preprocessing import prepared_columns
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.sinks.atomic import write_atomically

if TYPE_CHECKING:
    from netsieve.engine.detectors.dense_network import DenseNetwork

__all__ = ["Autoencoder", "AutoencoderParameters", "read_weights", "residual_weight"]

RESIDUAL_FLOOR: Final = 0.01
"""Added to the held-back mean squared residual of a column before it divides: a column that is rebuilt
perfectly would else weigh without bound."""
LATENT_ROWS: Final = 100_000
"""The latent covariance is taken over at most so many training rows."""
WEIGHTS_FORMAT: Final = "netsieve autoencoder 1"
NETWORK_PREFIX: Final = "network."


class Autoencoder(CoreDetector):
    """A dense autoencoder over prepared records; ``core`` is the trained network as plain weights.

    References
    ----------
    Vincent et al., "Extracting and Composing Robust Features with Denoising Autoencoders", ICML 2008.
    """

    name: ClassVar[str] = "autoencoder"
    parameters_class: ClassVar[type[DetectorParameters]] = AutoencoderParameters

    def __init__(self, parameters: AutoencoderParameters | None = None) -> None:
        super().__init__(parameters)
        self._initial_weights: str | Path | None = None
        self._torch_network: DenseNetwork | None = None

    @property
    def network(self) -> DenseAutoencoder | None:
        """The trained network as plain weights, batch normalisation folded in; None before training."""
        return cast("DenseAutoencoder | None", self.core)

    def fit(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int = 0,
        device: str = "auto",
        progress: bool = False,
        initial_weights: str | Path | None = None,
    ) -> Self:
        """Train on ``x_train``; ``x_validation`` stops the training and scales the residuals.

        Parameters and errors as in :meth:`CoreDetector.fit`; ``initial_weights`` must be of the same shape.
        """
        self._initial_weights = initial_weights
        return super().fit(schema, x_train, x_validation, seed=seed, device=device, progress=progress)

    def fit_core(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int,
        device: str,
        progress: bool,
    ) -> tuple[DenseAutoencoder, dict[str, Any]]:
        """Return the trained network with what its residuals are weighted by, and the best losses."""
        from netsieve.engine.training.loop import LoopParameters, reproducible, resolve_device, train_network

        parameters: AutoencoderParameters = self.parameters
        loop_parameters = {field.name: getattr(parameters, field.name) for field in fields(LoopParameters)}
        x_train = sampled_rows(x_train, parameters.max_draws, seed)
        z_train, z_validation = prepared_float32(schema, x_train), prepared_float32(schema, x_validation)
        with reproducible(seed):
            network = self._new_network(schema)
            if self._initial_weights is not None:
                _load_state(network, read_weights(self._initial_weights)[1], self._initial_weights)
            history = train_network(
                network,
                z_train,
                z_validation,
                LoopParameters(**loop_parameters),
                device=resolve_device(device),
                progress=progress,
            )
        encoder, decoder = network.folded_layers()
        plain = DenseAutoencoder(encoder, decoder, np.ones(z_train.shape[1], dtype=np.float32))
        center = whitening = None
        if parameters.latent_distance:
            center, whitening = latent_whitening(chunked(plain.code, sampled_rows(z_train, LATENT_ROWS, seed)))
        error_weight = residual_weight(chunked(plain.residual, z_validation), parameters.aggregation)
        self._torch_network = network
        core = _scoring_network(network, parameters, error_weight, center, whitening)
        return replace(core, base_score=base_score_for(chunked(core.score, z_validation))), history.summary

    def save_weights(self, path: str | Path) -> None:
        """Write weights, schema and parameters to a safetensors file, from which training can go on.

        Raises
        ------
        TrainingError
            The autoencoder is not trained.
        OutputError
            The file cannot be written.
        """
        from safetensors.numpy import save

        schema, _ = self.trained()
        network = self.network
        if self._torch_network is None or network is None:
            raise TrainingError("the autoencoder has no weights to save; train it first")
        state = self._torch_network.state_dict()
        tensors = {NETWORK_PREFIX + name: np.ascontiguousarray(value.numpy()) for name, value in state.items()}
        tensors["score.error_weight"] = network.error_weight
        tensors["score.base_score"] = np.array(network.base_score, dtype=np.float32)
        if network.latent_center is not None and network.latent_whitening is not None:
            tensors["score.latent_center"] = network.latent_center
            tensors["score.latent_whitening"] = network.latent_whitening
        metadata = {
            "format": WEIGHTS_FORMAT,
            "detector": self.name,
            "parameters": json.dumps(asdict(self.parameters)),
            "schema": schema.to_json(),
        }
        write_atomically(os.fspath(path), save(tensors, metadata=metadata))

    @classmethod
    def load_weights(cls, path: str | Path) -> Self:
        """Return the trained autoencoder of a file that :meth:`save_weights` wrote.

        Raises
        ------
        TrainingError
            The file is absent, or holds no autoencoder.
        """
        metadata, tensors = read_weights(path)
        if metadata.get("detector", Autoencoder.name) != cls.name:
            raise TrainingError(f"{path} holds weights of a {metadata['detector']} detector, not of a {cls.name}")
        try:
            parameters = cls.parameters_class.from_dict(json.loads(metadata["parameters"]))
            schema = FeatureSchema.from_json(metadata["schema"])
            detector = cls(cast("AutoencoderParameters", parameters))
            network = detector._new_network(schema)
            _load_state(network, tensors, path)
            network.eval()
            core = _scoring_network(
                network,
                detector.parameters,
                tensors["score.error_weight"],
                tensors.get("score.latent_center"),
                tensors.get("score.latent_whitening"),
            )
            core = replace(core, base_score=float(tensors.get("score.base_score", np.float32(0))))
            core.score(view_columns(core.view, schema, np.zeros((1, len(schema.features)), dtype=np.float32)))
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise TrainingError(
                f"{path} is damaged ({type(error).__name__}: {error}); train the detector anew"
            ) from error
        detector.schema, detector.core, detector._torch_network = schema, core, network
        return detector

    def default_widths(self, width: int) -> tuple[tuple[int, ...], int]:
        """Return widths of the hidden layers and of the code for so many prepared columns."""
        widest = int(np.clip(2 * width, 32, 128))
        return (widest, widest // 2), int(np.clip(width // 3, 2, 16))

    def _new_network(self, schema: FeatureSchema) -> DenseNetwork:
        from netsieve.engine.detectors.dense_network import DenseNetwork

        parameters, width = self.parameters, len(prepared_columns(schema))
        hidden, latent = self.default_widths(width)
        if parameters.hidden_layers is not None:
            hidden = parameters.hidden_layers
        if parameters.latent_size is not None:
            latent = parameters.latent_size
        return DenseNetwork(
            width,
            hidden,
            latent,
            activation=parameters.activation,
            normalization=parameters.normalization,
            dropout=parameters.dropout,
        )


def read_weights(path: str | Path) -> tuple[dict[str, str], dict[str, NDArray[np.float32]]]:
    """Return metadata and arrays of a weights file that :meth:`Autoencoder.save_weights` wrote.

    Raises
    ------
    TrainingError
        The file is absent, or holds no autoencoder.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as content:
            metadata = content.metadata() or {}
            if metadata.get("format") != WEIGHTS_FORMAT:
                raise TrainingError(f"{path} holds no autoencoder weights; expected a file that training wrote")
            return metadata, {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"{path} cannot be read as a weights file ({error})") from error


def residual_weight(residual: NDArray[np.float64], aggregation: str) -> NDArray[np.float32]:
    """Return what each prepared column's residual is multiplied by in the score, float32 ``[d]``.

    Parameters
    ----------
    residual
        float64 ``[n, d]``, residuals of held-back normal rows.
    aggregation
        As in :class:`AutoencoderParameters`.
    """
    if aggregation in ("mean_squared", "mean_absolute"):
        weight = np.full(residual.shape[1], 1.0 / residual.shape[1])
    elif aggregation == "absolute":
        weight = 1.0 / (np.abs(residual).mean(axis=0) + np.sqrt(RESIDUAL_FLOOR))
    else:
        weight = 1.0 / (np.square(residual).mean(axis=0) + RESIDUAL_FLOOR)
    return weight.astype(np.float32)


def _scoring_network(
    network: DenseNetwork,
    parameters: AutoencoderParameters,
    error_weight: NDArray[np.float32],
    latent_center: NDArray[np.float32] | None,
    latent_whitening: NDArray[np.float32] | None,
) -> DenseAutoencoder:
    encoder, decoder = network.folded_layers()
    aggregations: dict[str, Aggregation] = {"mean_squared": "sum", "mean_absolute": "absolute"}
    return DenseAutoencoder(
        encoder,
        decoder,
        error_weight,
        aggregations.get(parameters.aggregation, cast("Aggregation", parameters.aggregation)),
        latent_center,
        latent_whitening,
    )


def _load_state(network: DenseNetwork, tensors: dict[str, NDArray[np.float32]], path: str | Path) -> None:
    import torch

    state = {
        name.removeprefix(NETWORK_PREFIX): torch.from_numpy(value)
        for name, value in tensors.items()
        if name.startswith(NETWORK_PREFIX)
    }
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise TrainingError(
            f"the weights in {path} do not fit this network; "
            "go on with the schema and the layers they were trained with"
        ) from error
