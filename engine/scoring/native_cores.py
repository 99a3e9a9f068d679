"""Which kernels compute a core's score: the registry of recognisers, one for each kind of core.

A recogniser is the reader of one function of ``netsieve.export.cores.CORE_WRITERS``. It lives in a module of its own
(``netsieve.engine.scoring.native_NAME``), is a function ``recognise(graph, columns, variant) -> RecognisedCore``, and
has a row in :data:`RECOGNISERS`: the name of a node that only this kind of core has, in the scope of the core, and the
module. It takes its nodes from the graph as its writer adds them, and ``columns.view(...)`` for the columns of the
record, checks the shape of every constant, and makes its kernel with ``netsieve.kernels._native``. A core that combines
others calls :func:`recognise_core` within ``graph.scope("member_0")`` and so on, and returns their kernels together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from netsieve.engine.scoring.native_columns import RecognisedColumns
from netsieve.engine.scoring.recognition import NotRecognisedError, RecognisedGraph

if TYPE_CHECKING:
    from netsieve.kernels._native import ScoringCombination, ScoringKernel

RECOGNISERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "log_variance_0": "native_variational",
        "encoder_0": "native_autoencoder",
        "neighbour_rows": "native_nearest",
        "combined_surprise": "native_ensemble",
        "trees": "native_forest",
        "layer_0": "native_classifier",
        "projection": "native_hyperplane",
        "whitened": "native_gaussian",
        "feature_error": "native_column_trees",
    }
)
"""Module of the recogniser by the name of a node that its kind of core has. The first that is there is taken.

Many kinds of cores have a node ``feature_error``, and trees for each feature no other: their row is the last one.
"""


class RecognisedCore(NamedTuple):
    """What computes a core's score.

    Attributes
    ----------
    kernels
        One, or those of the members of an ensemble.
    score
        Name of the score in the graph, float32 ``[n]``.
    feature_error
        Name of the features' parts of the score; None if the graph does not tell them.
    combination
        Makes one score of several kernels'; None for one.
    explained
        Number of the kernel that tells the features' parts.
    """

    kernels: tuple[ScoringKernel, ...]
    score: str
    feature_error: str | None = None
    combination: ScoringCombination | None = None
    explained: int = 0


def recognise_core(graph: RecognisedGraph, columns: RecognisedColumns, variant: str) -> RecognisedCore:
    """Return the kernels of the core whose nodes are in the scope of the graph.

    Parameters
    ----------
    graph
        Graph to take the nodes from.
    columns
        Columns of the record in it.
    variant
        Instruction set of the kernels, one of ``netsieve.kernels._native.scoring_variants()``.

    Raises
    ------
    NotRecognisedError
        There are no kernels for this kind of core, or the graph is not as export writes it.
    """
    for node, module in RECOGNISERS.items():
        if graph.has_node(node):
            recognise: Callable[[RecognisedGraph, RecognisedColumns, str], RecognisedCore]
            recognise = import_module(f"netsieve.engine.scoring.{module}").recognise
            return recognise(graph, columns, variant)
    raise NotRecognisedError("there are no native kernels for this kind of detector")
