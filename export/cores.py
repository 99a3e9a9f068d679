"""The score of each type of core as ONNX nodes: one function a type, and the model around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import onnx

from netsieve.engine.detectors.classifier import DenseScore
from netsieve.engine.detectors.conv_core import ConvolutionalAutoencoderCore
from netsieve.engine.detectors.core import Core
from netsieve.engine.detectors.dense_autoencoder import DenseAutoencoder
from netsieve.engine.detectors.dose_variational import VariationalDensity
from netsieve.engine.detectors.ensemble_core import EnsembleCore
from netsieve.engine.detectors.gaussian import Ellipsoid, Mixture
from netsieve.engine.detectors.hyperplane import FourierHyperplane, Hyperplane, WhitenedHyperplane
from netsieve.engine.detectors.lstm_cores import LstmAutoencoderCore, LstmClassifierCore, LstmPredictorCore
from netsieve.engine.detectors.stored_rows import StoredRows
from netsieve.engine.detectors.token_core import TokenCore
from netsieve.engine.detectors.tree_ensemble import ColumnTrees, TreeScore
from netsieve.engine.detectors.variational_core import VariationalCore
from netsieve.engine.errors import ExportError
from netsieve.engine.features.schema import FeatureSchema
from netsieve.export.autoencoder import add_autoencoder
from netsieve.export.classifier import add_dense_score
from netsieve.export.convolution import add_convolutional_autoencoder
from netsieve.export.ensemble import add_ensemble
from netsieve.export.gaussian import add_ellipsoid, add_mixture
from netsieve.export.graph import CoreOutputs, Graph
from netsieve.export.hyperplane import add_fourier_hyperplane, add_hyperplane, add_whitened_hyperplane
from netsieve.export.lstm import add_lstm_autoencoder, add_lstm_classifier, add_lstm_predictor
from netsieve.export.preprocessing import RecordColumns
from netsieve.export.stored_rows import add_stored_rows
from netsieve.export.tokens import add_tokens
from netsieve.export.trees import add_column_trees, add_tree_score
from netsieve.export.variational import add_variational, add_variational_density
from netsieve.export.windows import WindowColumns

CORE_WRITERS: Final[Mapping[type, Callable[[Graph, Any, Any], CoreOutputs]]] = MappingProxyType(
    {
        DenseAutoencoder: add_autoencoder,
        VariationalCore: add_variational,
        VariationalDensity: add_variational_density,
        EnsembleCore: add_ensemble,
        DenseScore: add_dense_score,
        TreeScore: add_tree_score,
        ColumnTrees: add_column_trees,
        Ellipsoid: add_ellipsoid,
        Mixture: add_mixture,
        FourierHyperplane: add_fourier_hyperplane,
        Hyperplane: add_hyperplane,
        WhitenedHyperplane: add_whitened_hyperplane,
        StoredRows: add_stored_rows,
        LstmAutoencoderCore: add_lstm_autoencoder,
        LstmPredictorCore: add_lstm_predictor,
        LstmClassifierCore: add_lstm_classifier,
        ConvolutionalAutoencoderCore: add_convolutional_autoencoder,
        TokenCore: add_tokens,
    }
)
"""How the nodes of each type of core are added: ``score``, and ``feature_error`` where the score is its sum.

A writer takes its columns from ``columns.view(core.view)`` and names its nodes as if it were alone: a core that
combines others adds each in a scope of its own (:meth:`netsieve.export.graph.Graph.scope`). A core with a ``window``
takes its columns from a :class:`netsieve.export.windows.WindowColumns`.
"""


def add_core(graph: Graph, columns: RecordColumns | WindowColumns, core: Core) -> CoreOutputs:
    """Add the nodes from the record's columns to the score of a core.

    Raises
    ------
    ExportError
        No graph can be written of this type of core.
    """
    writer = CORE_WRITERS.get(type(core))
    if writer is None:
        raise ExportError(
            f"a {type(core).__name__} cannot be exported; expected one of "
            f"{', '.join(kind.__name__ for kind in CORE_WRITERS)}"
        )
    return writer(graph, columns, core)


def core_model(core: Core, schema: FeatureSchema) -> onnx.ModelProto:
    """Return the model of a core and the preprocessing before it.

    Raises
    ------
    ExportError
        No graph can be written of this core and schema.
    """
    graph = Graph()
    window: int | None = getattr(core, "window", None)
    columns = RecordColumns(graph, schema) if window is None else WindowColumns(graph, schema, window)
    outputs = add_core(graph, columns, core)
    return graph.model(len(schema.features), feature_error=outputs.feature_error is not None, window=window)
