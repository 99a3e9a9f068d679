"""An ensemble's score recognised in a graph: the reader of ``netsieve.export.ensemble``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from netsieve.engine.detectors.core import BASE_SCORE
from netsieve.engine.detectors.ensemble_core import Combination
from netsieve.engine.scoring.model_file import FEATURE_ERROR, SCORE
from netsieve.engine.scoring.native_columns import RecognisedColumns
from netsieve.engine.scoring.native_cores import RecognisedCore, recognise_core
from netsieve.engine.scoring.recognition import NotRecognisedError, RecognisedGraph

if TYPE_CHECKING:
    from netsieve.kernels._native import ScoringKernel

FLOAT: Final = 1
INT64: Final = 7
"""ONNX's numbers of these types."""
MOST_MEMBERS: Final = 64
Rank = tuple[Any, Any, Any, float, float, float]
"""Knots, base, slope, median, reach and decay of a :class:`netsieve.engine.detectors.tail_rank.TailRank`."""


def recognise(graph: RecognisedGraph, columns: RecognisedColumns, variant: str) -> RecognisedCore:
    """Return the members' kernels and what combines them; parameters and errors as in ``native_cores``."""
    from netsieve.kernels._native import tail_ranks

    kernels: list[ScoringKernel] = []
    ranks: list[Rank] = []
    surprises: list[str] = []
    feature_error, explained = None, 0
    while graph.has_node(f"member_{len(kernels)}.surprise") and len(kernels) < MOST_MEMBERS:
        with graph.scope(f"member_{len(kernels)}"):
            if graph.has_node("combined_surprise"):
                raise NotRecognisedError("an ensemble is a member of another")
            member = recognise_core(graph, columns, variant)
            if len(member.kernels) != 1:
                raise NotRecognisedError("a member of the ensemble takes several kernels")
            rank, surprise = _recognise_surprise(graph, member.score)
        if feature_error is None and member.feature_error is not None:
            feature_error = graph.node("Identity", member.feature_error, name=FEATURE_ERROR)
            explained = len(kernels)
        kernels += member.kernels
        ranks.append(rank)
        surprises.append(surprise)
    if not kernels:
        raise NotRecognisedError("the ensemble has no member")
    joined = surprises[0]
    if len(surprises) > 1:
        joined = graph.node("Concat", *surprises, name="surprises", axis=1)
    combination, combined = _recognise_combination(graph, joined, len(surprises))
    graph.number("base_score", BASE_SCORE)
    score = graph.node("Add", combined, graph.name("base_score"), name=SCORE)
    try:
        made = tail_ranks(variant, ranks, combination)
    except ValueError as error:
        raise NotRecognisedError(str(error)) from error
    return RecognisedCore(tuple(kernels), score, feature_error, made, explained)


def _recognise_surprise(graph: RecognisedGraph, score: str) -> tuple[Rank, str]:
    """Return the rank function of a member, and the name of its surprise ``[n, 1]``."""
    lines = graph.constant("lines", (None, 3))
    start, base, slope = (np.ascontiguousarray(lines[:, column]) for column in range(3))
    inner = graph.constant("knots", (1, len(lines) - 1))[0]
    low, high = graph.number("lowest_knot"), graph.number("last_knot")
    knots = np.concatenate([[low], inner, [high]]).astype(np.float32)
    if not np.array_equal(knots[:-1], start):
        raise NotRecognisedError("the lines of a rank function begin elsewhere than at its knots")
    median, reach, decay = (graph.number(name) for name in ("score_median", "score_reach", "tail_decay"))
    graph.integers("column_axis", [1])
    graph.integers("knot_axis", [1])
    graph.integers("line_parts", [1, 1, 1])
    graph.number("tail_start", 1.0)
    name = graph.name
    column = graph.node("Unsqueeze", score, name("column_axis"), name="score_column")
    inside = graph.node("Clip", column, name("lowest_knot"), name("last_knot"), name="score_inside")
    above = graph.node("Greater", inside, name("knots"), name="above_knot")
    as_number = graph.node("Cast", above, name="above_knot_number", to=FLOAT)
    count = graph.node("ReduceSum", as_number, name("knot_axis"), name="knots_below", keepdims=0)
    interval = graph.node("Cast", count, name="interval", to=INT64)
    line = graph.node("Gather", name("lines"), interval, name="line", axis=0)
    line_start, line_base, line_slope = graph.split_node(
        "Split",
        line,
        name("line_parts"),
        name="line_split",
        outputs=("line_start", "line_base", "line_slope"),
        axis=1,
    )
    beyond_start = graph.node("Sub", inside, line_start, name="score_beyond_start")
    rise = graph.node("Mul", beyond_start, line_slope, name="surprise_rise")
    below = graph.node("Add", line_base, rise, name="surprise_below")
    centered = graph.node("Sub", column, name("score_median"), name="score_centered")
    ratio = graph.node("Div", centered, name("score_reach"), name="tail_ratio")
    in_tail = graph.node("Max", ratio, name("tail_start"), name="tail_ratio_or_1")
    logarithm = graph.node("Log", in_tail, name="tail_logarithm")
    tail = graph.node("Div", logarithm, name("tail_decay"), name="tail_surprise")
    return (knots, base, slope, median, reach, decay), graph.node("Add", below, tail, name="surprise")


def _recognise_combination(graph: RecognisedGraph, surprises: str, members: int) -> tuple[Combination, str]:
    """Return how the surprises ``[n, members]`` are combined, and the name of what comes of it."""
    graph.integers("member_axis", [1])
    axis = graph.name("member_axis")
    operator = graph.operator("combined_surprise")
    if operator == "ReduceMax":
        return "max", graph.node(operator, surprises, axis, name="combined_surprise", keepdims=0)
    if not graph.has_node("middle_surprises"):
        return "mean", graph.node("ReduceMean", surprises, axis, name="combined_surprise", keepdims=0)
    graph.integers("members", [members])
    graph.integers("middle", sorted({(members - 1) // 2, members // 2}))
    ordered, _ = graph.split_node(
        "TopK",
        surprises,
        graph.name("members"),
        name="order",
        outputs=("ordered_surprises", "member_order"),
        axis=1,
    )
    chosen = graph.node("Gather", ordered, graph.name("middle"), name="middle_surprises", axis=1)
    return "median", graph.node("ReduceMean", chosen, axis, name="combined_surprise", keepdims=0)
