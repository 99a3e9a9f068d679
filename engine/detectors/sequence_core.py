"""Windows of records: what sequence detectors take, which of their steps are padding, and what they share.

A window ``[window, n_features]`` ends at the record it belongs to and is padded on the left with records that are NaN
throughout where the entity has no more. Leading records without any value are therefore padding, but for the last one,
which is always a record. Encoded categories are never NaN, so that only in a schema of numbers alone a record whose
cells are all missing can be taken for padding, and only where nothing but such records comes before it. Between
records of which any has a value it is a record whose numbers are missing.

A core over windows is a :class:`~netsieve.engine.detectors.core.Core` with one more attribute, ``window``, the number
of records in a window as it was trained; its methods take what :func:`window_columns` returns.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, cast

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import Core, explained_part, sampled_rows
from netsieve.engine.detectors.core_detector import CoreDetector
from netsieve.engine.detectors.dense_autoencoder import Aggregation, weighted_errors
from netsieve.engine.errors import TrainingError
from netsieve.engine.features.preprocessing import feature_selection, prepare, prepared_columns, valid_codes
from netsieve.engine.features.schema import CategoricalFeature, FeatureSchema

CHUNK_WINDOWS: Final = 1024
"""Windows scored at a time in float64."""
LARGEST_TRAINING_VALUES: Final = 100_000_000
"""Training windows hold at most so many prepared values, drawn at random where there are more: 400 MB."""
VALIDATION_WINDOWS: Final = 4_000
"""Training is stopped, and residuals are scaled, by at most so many held-back windows."""
LARGEST_INPUT: Final = 16.0
"""Networks are shown prepared values within plus and minus this, so that one extreme record neither drowns all that
came before it nor costs float32 its digits. Residuals are taken from the values as they are."""
PADDING: Final = -1
"""Code of a step of padding in a window of codes."""


def recorded_steps(x: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which steps of windows ``[n, window, n_features]`` are records, bool ``[n, window]``."""
    recorded = np.logical_or.accumulate(~np.isnan(x).all(axis=2), axis=1)
    recorded[:, -1:] = True
    return np.asarray(recorded, dtype=np.bool_)


def prepared_windows(schema: FeatureSchema, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return prepared windows, float64 ``[n, window, prepared columns]``; padded steps are NaN throughout.

    Parameters
    ----------
    schema
        Fitted schema.
    x
        float32 ``[n, window, n_features]``, encoded records in raw units.
    """
    n, window, features = x.shape
    z = prepare(schema, x.reshape(n * window, features)).reshape(n, window, -1)
    z[~recorded_steps(x)] = np.nan
    return z


def prepared_windows_float32(schema: FeatureSchema, x: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Return prepared windows in float32, as training takes them; at most :data:`LARGEST_TRAINING_VALUES` values."""
    width = len(prepared_columns(schema))
    x = sampled_rows(x, max(VALIDATION_WINDOWS, LARGEST_TRAINING_VALUES // (x.shape[1] * width)), seed)
    z = np.empty((*x.shape[:2], width), dtype=np.float32)
    for start in range(0, len(x), CHUNK_WINDOWS):
        z[start : start + CHUNK_WINDOWS] = prepared_windows(schema, x[start : start + CHUNK_WINDOWS])
    return z


def code_windows(schema: FeatureSchema, feature: int, x: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the codes of a categorical feature in windows, int64 ``[n, window]``; padding is :data:`PADDING`."""
    codes = valid_codes(x[:, :, feature], cast(CategoricalFeature, schema.features[feature]))
    return np.where(recorded_steps(x), codes, PADDING)


def window_columns(core: Core, schema: FeatureSchema, x: NDArray[np.float32]) -> NDArray[Any]:
    """Return what a core over windows takes: prepared windows, or the codes of its feature."""
    if core.view == "codes":
        return code_windows(schema, cast(Any, core).feature, x)
    return prepared_windows(schema, x)


def shown(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what networks are shown of prepared windows: within :data:`LARGEST_INPUT`, 0 for padding."""
    return np.nan_to_num(np.clip(z, -LARGEST_INPUT, LARGEST_INPUT))


def step_weight(recorded: NDArray[np.bool_], last_share: float) -> NDArray[np.float64]:
    """Return what each step's error weighs in the window's score, float64 ``[n, window]``; they sum to 1.

    Parameters
    ----------
    recorded
        bool ``[n, window]``, which steps are records.
    last_share
        Weight of the last record, to which the score belongs; the rest is shared by all records alike.
    """
    weight = (1 - last_share) * recorded / recorded.sum(axis=1, keepdims=True)
    weight[:, -1] += last_share
    return np.asarray(weight, dtype=np.float64)


def window_errors(
    rebuilt: NDArray[np.float64],
    z: NDArray[np.float64],
    error_weight: NDArray[np.float32],
    aggregation: Aggregation,
    last_share: float,
) -> NDArray[np.float64]:
    """Return each step's and prepared column's part of the score of rebuilt windows, float64 ``[n, window, d]``."""
    recorded = ~np.isnan(z[:, :, 0])
    n, window, width = z.shape
    residual = np.where(recorded[:, :, None], rebuilt - z, 0.0).reshape(n * window, width)
    errors = weighted_errors(residual, error_weight, aggregation).reshape(z.shape)
    return errors * step_weight(recorded, last_share)[:, :, None]


class SequenceDetector(CoreDetector):
    """A detector over windows of records, float32 ``[n, window, n_features]``, wherever others take single records.

    Attributes
    ----------
    smallest_window
        Shorter windows than this are refused.
    """

    smallest_window: ClassVar[int] = 1

    def reference_score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the scores of windows in float64 arithmetic, ``[n]``: what exported graphs are checked against."""
        schema, core = self.trained()
        parts = [core.score(window_columns(core, schema, part)) for part in _chunks(x)]
        return np.concatenate(parts)

    def feature_error(self, x: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return each step's and feature's part of the score, float32 ``[n, window, n_features]``; None without."""
        schema, core = self.trained()
        explained = explained_part(core)
        if explained is None:
            return None
        selection = feature_selection(schema)
        parts = [explained.column_errors(prepared_windows(schema, part)) @ selection for part in _chunks(x)]
        return np.concatenate(parts).astype(np.float32)

    def probe_shape(self, schema: FeatureSchema) -> tuple[int, ...]:
        """Return the shape of what the detector scores of one record: a window that ends with it."""
        return (1, max(2, self.smallest_window), len(schema.features))

    def check_rows(
        self, schema: FeatureSchema, x_train: NDArray[np.float32], x_validation: NDArray[np.float32]
    ) -> None:
        """Raise TrainingError where there is too little to train on, or what is given are no windows."""
        for x in (x_train, x_validation):
            if x.ndim != 3 or x.shape[1] < self.smallest_window or x.shape[1:] != x_train.shape[1:]:
                raise TrainingError(
                    f"{self.name} got training data of shape {x_train.shape} and validation data of shape "
                    f"{x_validation.shape}; expected windows [n, window, n_features] of at least "
                    f"{self.smallest_window} records"
                )
        super().check_rows(schema, x_train, x_validation)


def _chunks(x: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [x[start : start + CHUNK_WINDOWS] for start in range(0, max(len(x), 1), CHUNK_WINDOWS)]
