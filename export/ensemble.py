"""An ensemble's score as ONNX nodes: each member in a scope of its own, its rank function, and the combination."""

from __future__ import annotations

import numpy as np

from netsieve.engine.detectors.core import BASE_SCORE
from netsieve.engine.detectors.ensemble_core import EnsembleCore
from netsieve.engine.detectors.tail_rank import TailRank
from netsieve.export.graph import FEATURE_ERROR, SCORE, CoreOutputs, Graph
from netsieve.export.preprocessing import RecordColumns


def add_ensemble(graph: Graph, columns: RecordColumns, core: EnsembleCore) -> CoreOutputs:
    """Add the nodes from the record's columns to ``score``; ``feature_error`` is that of the explained member."""
    from netsieve.export.cores import add_core

    surprises, feature_error = [], None
    for number, (member, rank) in enumerate(zip(core.members, core.ranks, strict=True)):
        with graph.scope(f"member_{number}"):
            outputs = add_core(graph, columns, member)
            surprises.append(_add_surprise(graph, rank, outputs.score))
        if feature_error is None and outputs.feature_error is not None:
            feature_error = graph.node("Identity", outputs.feature_error, name=FEATURE_ERROR)
    joined = surprises[0]
    if len(surprises) > 1:
        joined = graph.node("Concat", *surprises, name="surprises", axis=1)
    combined = _combined(graph, joined, len(surprises), core)
    score = graph.node("Add", combined, graph.constant("base_score", BASE_SCORE), name=SCORE)
    return CoreOutputs(score, feature_error)


def _add_surprise(graph: Graph, rank: TailRank, score: str) -> str:
    """Return the surprise of a score ``[n]``, ``[n, 1]``."""
    low, high = (graph.constant(name, rank.knots[end]) for name, end in (("lowest_knot", 0), ("last_knot", -1)))
    column = graph.node("Unsqueeze", score, graph.constant("column_axis", np.array([1])), name="score_column")
    inside = graph.node("Clip", column, low, high, name="score_inside")
    above = graph.node("Greater", inside, graph.constant("knots", rank.knots[1:-1][None]), name="above_knot")
    as_number = graph.node("Cast", above, name="above_knot_number", to=1)
    axis = graph.constant("knot_axis", np.array([1]))
    count = graph.node("ReduceSum", as_number, axis, name="knots_below", keepdims=0)
    interval = graph.node("Cast", count, name="interval", to=7)
    lines = graph.constant("lines", np.column_stack([rank.knots[:-1], rank.base, rank.slope]))
    line = graph.node("Gather", lines, interval, name="line", axis=0)
    thirds = graph.constant("line_parts", np.array([1, 1, 1]))
    start, base, slope = graph.split_node(
        "Split", line, thirds, name="line_split", outputs=("line_start", "line_base", "line_slope"), axis=1
    )
    beyond_start = graph.node("Sub", inside, start, name="score_beyond_start")
    rise = graph.node("Mul", beyond_start, slope, name="surprise_rise")
    below = graph.node("Add", base, rise, name="surprise_below")
    centered = graph.node("Sub", column, graph.constant("score_median", rank.median), name="score_centered")
    reach = graph.constant("score_reach", np.float32(float(rank.knots[-1]) - rank.median))
    ratio = graph.node("Div", centered, reach, name="tail_ratio")
    in_tail = graph.node("Max", ratio, graph.constant("tail_start", 1.0), name="tail_ratio_or_1")
    logarithm = graph.node("Log", in_tail, name="tail_logarithm")
    tail = graph.node("Div", logarithm, graph.constant("tail_decay", rank.decay), name="tail_surprise")
    return graph.node("Add", below, tail, name="surprise")


def _combined(graph: Graph, surprises: str, members: int, core: EnsembleCore) -> str:
    axis = graph.constant("member_axis", np.array([1]))
    if core.combination == "mean":
        return graph.node("ReduceMean", surprises, axis, name="combined_surprise", keepdims=0)
    if core.combination == "max":
        return graph.node("ReduceMax", surprises, axis, name="combined_surprise", keepdims=0)
    all_members = graph.constant("members", np.array([members]))
    ordered, _ = graph.split_node(
        "TopK", surprises, all_members, name="order", outputs=("ordered_surprises", "member_order"), axis=1
    )
    middle = np.unique([(members - 1) // 2, members // 2])
    chosen = graph.node("Gather", ordered, graph.constant("middle", middle), name="middle_surprises", axis=1)
    return graph.node("ReduceMean", chosen, axis, name="combined_surprise", keepdims=0)
