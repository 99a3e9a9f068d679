"""The native backend: scores by netsieve's own kernels, where the graph is one that netsieve wrote.

It is built from the nodes and constants of the model file alone (:mod:`netsieve.engine.scoring.native_cores` says how
kinds of detectors are added), and never imports onnxruntime.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.errors import DeviceError
from netsieve.engine.features.schema import LARGEST_NUMBER
from netsieve.engine.scoring.backend import check_finite, no_feature_error
from netsieve.engine.scoring.model_file import FEATURE_ERROR, SCORE, ModelFile
from netsieve.engine.scoring.native_columns import RecognisedColumns
from netsieve.engine.scoring.native_cores import recognise_core
from netsieve.engine.scoring.recognition import NotRecognisedError, RecognisedGraph
from netsieve.kernels._native import ScoringPlan, chosen_variant


def native_plan(model: ModelFile, variant: str) -> ScoringPlan:
    """Return what scores raw rows as the model file's graph does.

    Parameters
    ----------
    model
        The model file.
    variant
        One of ``netsieve.kernels._native.scoring_variants()``.

    Raises
    ------
    NotRecognisedError
        The graph is not one that export writes, or there are no native kernels for its kind.
    """
    if len(model.schema.row_shape) != 1:
        raise NotRecognisedError("there are no native kernels for windows of records")
    graph = RecognisedGraph(model)
    columns = RecognisedColumns(graph)
    try:
        core = recognise_core(graph, columns, variant)
    except ValueError as error:  # kernels refuse sizes that the graph may well have
        raise NotRecognisedError(str(error)) from error
    graph.check_all_taken()
    if core.score != SCORE or core.feature_error != (FEATURE_ERROR if model.has_feature_error else None):
        raise NotRecognisedError("the outputs of the graph are others")
    try:
        return ScoringPlan(
            variant,
            prepared=columns.preparation("prepared", variant),
            unscaled=columns.preparation("unscaled", variant),
            kernels=list(core.kernels),
            combination=core.combination,
            explained=-1 if core.feature_error is None else core.explained,
        )
    except ValueError as error:
        raise NotRecognisedError(str(error)) from error


class NativeBackend:
    """Scores with native kernels, which any number of threads may run at once, each on its own thread.

    Parameters
    ----------
    model
        The model file.

    Raises
    ------
    NotRecognisedError
        The graph is not one that export writes, or there are no native kernels for its kind.
    DeviceError
        The environment variable ``NETSIEVE_CPU`` names kernels that this machine does not have.

    Attributes
    ----------
    variant
        Instruction set that the kernels are compiled for.
    description
        Name and variant, for people.
    """

    name = "native"

    def __init__(self, model: ModelFile) -> None:
        self._model_name = model.name
        try:
            self.variant = chosen_variant()
        except ValueError as error:
            raise DeviceError(str(error)) from error
        self.description = f"native ({self.variant})"
        self._plan = native_plan(model, self.variant)

    def score(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores of one batch.

        Parameters
        ----------
        x
            float32 ``[n, n_features]``, C-contiguous.

        Returns
        -------
        float32 ``[n]``, finite.

        Raises
        ------
        ModelFileError
            A score is not finite.
        """
        scores = self._plan.score(x)
        check_finite(scores, self._model_name)
        return scores

    def column_scores(
        self, columns: Sequence[NDArray[Any]], batch_size: int
    ) -> Callable[[int, int], NDArray[np.float32]]:
        """Return what scores rows of a table; as of :class:`~netsieve.engine.scoring.backend.OnnxRuntimeBackend`.

        The columns are read where they lie, without a matrix in between.
        """
        cells = [np.require(column, requirements=["C", "A"]) for column in columns]

        def score(start: int, stop: int) -> NDArray[np.float32]:
            scores = self._plan.score_columns(cells, start, stop, LARGEST_NUMBER)
            check_finite(scores, self._model_name)
            return scores

        return score

    def feature_error(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return each feature's part of the scores, float32, shaped as ``x``; parameters as in :meth:`score`.

        Raises
        ------
        ModelFileError
            The model does not tell them.
        """
        if not self._plan.has_feature_error:
            raise no_feature_error(self._model_name)
        return self._plan.feature_error(x)
