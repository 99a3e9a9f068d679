"""The columns of a record that kernels take, recognised in a graph: the reader of ``netsieve.export.preprocessing``."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import View
from netsieve.engine.features.preprocessing import LARGEST_EXCESS
from netsieve.engine.features.schema import MISSING_CODE, UNKNOWN_CODE
from netsieve.engine.scoring.model_file import INPUT
from netsieve.engine.scoring.recognition import NotRecognisedError, RecognisedGraph

if TYPE_CHECKING:
    from netsieve.kernels._native import ScoringPreparation

STEEP: Final = 1e30
"""Steepness of the clip that export writes for a sign."""
SMALLEST_SCALE: Final = 1e-37
LARGEST_SCALE: Final = 1e38
"""Scales between these have a reciprocal in float32, by which kernels multiply where the graph divides."""
GROUPS: Final = ("plain", "logged", "codes")


class _Numbers(NamedTuple):
    """Numbers in the order of their columns: name of the matrix, raw columns, whether logarithms are taken."""

    name: str
    feature: NDArray[np.int32]
    signed_log: NDArray[np.bool_]


class _Standardisation(NamedTuple):
    center: NDArray[np.float32]
    scale: NDArray[np.float32]
    fill: NDArray[np.float32]
    limit: float


class RecognisedColumns:
    """The columns of a record in a recognised graph; the nodes of a view are taken when it is first asked for.

    Parameters
    ----------
    graph
        Graph to take from.
    """

    def __init__(self, graph: RecognisedGraph) -> None:
        self.graph = graph
        self.n_features = graph.model.n_features
        self._standardisation: _Standardisation | None = None
        self._views: dict[View, str] = {}
        self._takes_records = False

    def view(self, view: View) -> str:
        """Return the name of a view's columns, as :meth:`netsieve.export.preprocessing.RecordColumns.view` does.

        Raises
        ------
        NotRecognisedError
            Records are prepared in another way.
        """
        if view not in self._views:
            with self.graph.scope(""):
                self._views[view] = self._prepared() if view == "prepared" else self._unscaled()
        return self._views[view]

    def unscaled_or_records(self, name: str) -> str:
        """Return the name of the unscaled view, or that of the records where ``name`` is it and nothing prepares them.

        Records as they come are then the unscaled view.
        """
        with self.graph.scope(""):
            is_prepared = bool(self._views) or self.graph.has_node("missing")
        if name != INPUT or is_prepared:
            return self.view("unscaled")
        self._takes_records = True
        self._views["unscaled"] = INPUT
        return INPUT

    @property
    def width(self) -> int:
        """Number of columns, which is the same in every view; one must have been asked for."""
        if self._takes_records:
            return self.n_features
        of_categories: int = sum(table.shape[1] for _, table in self._categories[1])
        return self._number_count + len(self._indicators[1]) + of_categories

    def one_hot(self) -> list[tuple[int, int]]:
        """Return first and number of the columns of each category of which one is 1 and the others 0 in every row."""
        found, first = [], self._number_count + len(self._indicators[1])
        for _, table in self._categories[1]:
            hot = table[:, 1:]
            if hot.shape[1] and ((hot == 1).sum(axis=1) == 1).all() and ((hot == 0) | (hot == 1)).all():
                found.append((first + 1, hot.shape[1]))
            first += table.shape[1]
        return found

    def preparation(self, view: View, variant: str) -> ScoringPreparation | None:
        """Return what prepares a view; None if no kernel asked for it."""
        if view not in self._views:
            return None
        from netsieve.kernels._native import preparation

        if self._takes_records:
            return _records(variant, self.n_features)
        feature, signed_log = (self._numbers.feature, self._numbers.signed_log) if self._number_count else _no_numbers()
        zeros = np.zeros(len(feature), dtype=np.float32)
        scaling = _Standardisation(zeros, zeros + np.float32(1), zeros, 1.0)
        if view == "prepared" and self._standardisation is not None:
            scaling = self._standardisation
        return preparation(
            variant,
            self.n_features,
            view,
            feature,
            signed_log,
            scaling.center,
            scaling.scale,
            scaling.fill,
            self._indicators[1],
            self._categories[1],
            scaling.limit,
            LARGEST_EXCESS,
        )

    def _prepared(self) -> str:
        numbers = [self._standardised()] if self._number_count else []
        return self._joined([*numbers, *self._indicators[0], *self._categories[0]], "prepared")

    def _unscaled(self) -> str:
        numbers = []
        if self._number_count:
            plain, logged, _ = self._groups[0]
            raw = self._in_schema_order(plain, logged, "raw")
            if not np.array_equal(raw.feature, self._numbers.feature):
                raise NotRecognisedError("the views of a record have different orders")
            numbers.append(raw.name)
        return self._joined([*numbers, *self._indicators[0], *self._categories[0]], "unscaled")

    def _joined(self, parts: list[str], name: str) -> str:
        return parts[0] if len(parts) == 1 else self.graph.node("Concat", *parts, name=name, axis=1)

    @cached_property
    def _groups(self) -> tuple[tuple[str, str, str], tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]]:
        """Names ("" for none) and raw columns of the plain numbers, those with a signed log and the codes."""
        graph, x = self.graph, INPUT
        order = np.arange(self.n_features)
        if graph.has_node("ordered"):
            order = graph.integers("feature_order")
            x = graph.node("Gather", x, "feature_order", name="ordered", axis=1)
            if sorted(order.tolist()) != list(range(self.n_features)):
                raise NotRecognisedError("the order of the features is none")
        if graph.has_node("groups"):
            outputs = graph.outputs_of("groups")
            present = [group for group in GROUPS if f"x_{group}" in outputs]
            names = [f"x_{group}" for group in present]
            graph.split_node("Split", x, "feature_groups", name="groups", outputs=names, axis=1)
            sizes = graph.integers("feature_groups").tolist()
        else:
            present = [
                "codes" if graph.has_node("code_missing") else "logged" if graph.has_node("magnitude") else "plain"
            ]
            names, sizes = [x], [self.n_features]
        if len(sizes) != len(names) or min(sizes) < 1 or sum(sizes) != self.n_features:
            raise NotRecognisedError("the groups of features have other sizes")
        parts = dict(zip(present, np.split(order.astype(np.int32), np.cumsum(sizes)[:-1]), strict=True))
        name_of = dict(zip(present, names, strict=True))
        none = np.zeros(0, dtype=np.int32)
        plain, logged, codes = GROUPS
        return (
            (name_of.get(plain, ""), name_of.get(logged, ""), name_of.get(codes, "")),
            (parts.get(plain, none), parts.get(logged, none), parts.get(codes, none)),
        )

    @cached_property
    def _number_count(self) -> int:
        return len(self._groups[1][0]) + len(self._groups[1][1])

    @cached_property
    def _numbers(self) -> _Numbers:
        """All numbers in the order of the schema, after the signed log where it is taken."""
        graph = self.graph
        plain, logged, _ = self._groups[0]
        if logged:
            magnitude = graph.node("Abs", logged, name="magnitude")
            graph.number("one", 1.0)
            logarithm = graph.node(
                "Log", graph.node("Add", magnitude, "one", name="magnitude_plus_one"), name="log_magnitude"
            )
            graph.number("steep", STEEP)
            steep = graph.node("Mul", logged, "steep", name="steep_value")
            sign = graph.node("Clip", steep, *self._unit_interval(), name="sign")
            logged = graph.node("Mul", logarithm, sign, name="signed_log")
        return self._in_schema_order(plain, logged, "numbers")

    def _in_schema_order(self, plain: str, logged: str, name: str) -> _Numbers:
        features, logged_features, _ = self._groups[1]
        feature = np.concatenate([features, logged_features])
        signed_log = np.arange(len(feature)) >= len(features)
        if not plain or not logged:
            return _Numbers(plain or logged, feature, signed_log)
        joined = self.graph.node("Concat", plain, logged, name=name, axis=1)
        if not self.graph.has_node(f"ordered_{name}"):
            return _Numbers(joined, feature, signed_log)
        order = self.graph.integers(f"{name}_order")
        if sorted(order.tolist()) != list(range(len(feature))):
            raise NotRecognisedError("the order of the numbers is none")
        joined = self.graph.node("Gather", joined, f"{name}_order", name=f"ordered_{name}", axis=1)
        return _Numbers(joined, feature[order], signed_log[order])

    def _unit_interval(self) -> tuple[str, str]:
        self.graph.number("minus_one", -1.0)
        self.graph.number("plus_one", 1.0)
        return "minus_one", "plus_one"

    @cached_property
    def _missing(self) -> str:
        return self.graph.node("IsNaN", self._numbers.name, name="missing")

    def _standardised(self) -> str:
        graph, raw = self.graph, self._numbers.name
        center, scale, fill = (graph.constant(name, (1, self._number_count)) for name in ("center", "scale", "fill"))
        if not ((scale > SMALLEST_SCALE) & (scale < LARGEST_SCALE)).all():
            raise NotRecognisedError("the scale of a number has no reciprocal")
        limit = graph.number("high")
        if not limit >= 1:
            raise NotRecognisedError("the soft clip has no limit")
        graph.number("low", -limit)
        graph.number("limit_less_one", float(np.float32(limit) - np.float32(1)))
        graph.number("no_excess", 1.0)
        graph.number("largest_excess", LARGEST_EXCESS)
        self._standardisation = _Standardisation(center[0], scale[0], fill[0], limit)
        centered = graph.node("Sub", raw, "center", name="centered")
        scaled = graph.node("Div", centered, "scale", name="scaled")
        inner = graph.node("Clip", scaled, "low", "high", name="within_limit")
        size = graph.node("Abs", scaled, name="scaled_size")
        excess = graph.node("Sub", size, "limit_less_one", name="excess_plus_one")
        bounded = graph.node("Clip", excess, "no_excess", "largest_excess", name="bounded_excess")
        logarithm = graph.node("Log", bounded, name="log_excess")
        sign = graph.node("Clip", scaled, *self._unit_interval(), name="scaled_sign")
        beyond = graph.node("Mul", logarithm, sign, name="beyond_limit")
        clipped = graph.node("Add", inner, beyond, name="soft_clipped")
        return graph.node("Where", self._missing, "fill", clipped, name="numeric")

    @cached_property
    def _indicators(self) -> tuple[list[str], NDArray[np.int32]]:
        """Name of the indicators of missing numbers, if any, and the numbers that have one."""
        graph = self.graph
        if not self._number_count:
            return [], np.zeros(0, dtype=np.int32)
        missing = self._missing  # is there even where nothing looks at it
        if not graph.has_node("missing_indicator"):
            return [], np.zeros(0, dtype=np.int32)
        indicated = np.arange(self._number_count)
        if graph.has_node("indicated_missing"):
            indicated = graph.integers("indicated")
            missing = graph.node("Gather", missing, "indicated", name="indicated_missing", axis=1)
            if not len(indicated) or indicated.min() < 0 or indicated.max() >= self._number_count:
                raise NotRecognisedError("an indicator is of no number")
        return [graph.node("Cast", missing, name="missing_indicator", to=1)], indicated.astype(np.int32)

    @cached_property
    def _categories(self) -> tuple[list[str], list[tuple[int, NDArray[Any]]]]:
        """Name of the columns of categories, if any; raw column and table of each."""
        graph, codes, features = self.graph, self._groups[0][2], self._groups[1][2]
        if not codes:
            return [], []
        index, largest = self._code_index(codes)
        indices: tuple[str, ...] = (index,)
        if len(features) > 1:
            graph.integers("one_each", [1] * len(features))
            names = [f"code_index_{i}" for i in range(len(features))]
            indices = graph.split_node("Split", index, "one_each", name="code_indices", outputs=names, axis=1)
        tables, blocks = [], []
        for number, (feature, each) in enumerate(zip(features.tolist(), indices, strict=True)):
            tables.append((feature, graph.constant(f"category_{number}.table", (largest + 1, None))))
            blocks.append(graph.node("Gather", f"category_{number}.table", each, name=f"category_{number}", axis=0))
        joined = blocks[0] if len(blocks) == 1 else graph.node("Concat", *blocks, name="category_blocks", axis=2)
        return [graph.node("Flatten", joined, name="categories", axis=1)], tables

    def _code_index(self, codes: str) -> tuple[str, int]:
        """Return the name of the codes as indices of tables, and the largest index."""
        graph = self.graph
        graph.number("missing_code", MISSING_CODE)
        graph.number("unknown_code", UNKNOWN_CODE)
        graph.number("below_codes", -1.0)
        largest = graph.number("beyond_codes")
        if not (1 <= largest < 2**22 and largest == int(largest)):
            raise NotRecognisedError("the tables of categories have no size")
        absent = graph.node("IsNaN", codes, name="code_missing")
        known = graph.node("Where", absent, "missing_code", codes, name="code_or_missing")
        whole = graph.node("Equal", known, graph.node("Floor", known, name="code_floor"), name="code_is_whole")
        valid = graph.node("Where", whole, known, "unknown_code", name="whole_code")
        inside = graph.node("Clip", valid, "below_codes", "beyond_codes", name="code")
        return graph.node("Cast", inside, name="code_index", to=7), int(largest)


def _no_numbers() -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    return np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.bool_)


def _records(variant: str, n_features: int) -> ScoringPreparation:
    """Return what prepares nothing: all features are numbers, taken as they come."""
    from netsieve.kernels._native import preparation

    zeros, every = np.zeros(n_features, dtype=np.float32), np.arange(n_features, dtype=np.int32)
    return preparation(
        variant,
        n_features,
        "unscaled",
        every,
        np.zeros(n_features, dtype=np.bool_),
        zeros,
        zeros + np.float32(1),
        zeros,
        every[:0],
        [],
        1.0,
        LARGEST_EXCESS,
    )
