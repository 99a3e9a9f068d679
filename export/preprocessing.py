"""The prepared matrix as ONNX nodes: the arithmetic of :mod:`netsieve.engine.features.preprocessing`.

What each node costs decides how it is written. Measured with onnxruntime 1.31 on one core, float32
``[4096, 41]``, in nanoseconds an element: Log 1.9 to 2.5, Sign 1.5, Gather of columns 4, an operation with a
row of constants 0.5, with a scalar 0.1; at one row any node costs 0.3 microseconds. Hence:

- a sign is ``Clip(v * huge, -1, 1)`` or ``Clip(v, -1, 1)`` where only large values matter,
- columns are cut by Split, which the canonical feature order (plain numbers, numbers with a signed log,
  categories) makes possible, and only other orders pay for a Gather,
- one Where fills all missing numbers,
- a category's one-hot columns and its rarity are one row of a table, looked up by its code.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import View
from netsieve.engine.features.preprocessing import LARGEST_EXCESS, rarity_table
from netsieve.engine.features.schema import FIRST_CODE, MISSING_CODE, UNKNOWN_CODE, CategoricalFeature, FeatureSchema
from netsieve.export.graph import INPUT, Graph

STEEP: Final = 1e30
"""``clip(v * STEEP, -1, 1)`` is the sign of any ``v`` whose ``log(1 + |v|)`` is not zero in float32."""


class RecordColumns:
    """The columns of a record in a graph, in the views that cores take; each is added when it is first asked for.

    Parameters
    ----------
    graph
        Graph to add to.
    schema
        Fitted schema.
    records
        Name of the encoded records in it, float32 ``[n, n_features]``, raw units and codes.
    """

    def __init__(self, graph: Graph, schema: FeatureSchema, records: str = INPUT) -> None:
        self.graph = graph
        self.schema = schema
        self.records = records

    def view(self, view: View) -> str:
        """Return the name of the columns that a core with this view takes, float32 ``[n, prepared columns]``.

        The prepared matrix is finite for any ``x``; unscaled numbers are as they come, NaN where they are missing.
        """
        with self.graph.scope(""):
            return self.prepared if view == "prepared" else self.unscaled

    @cached_property
    def prepared(self) -> str:
        """Name of the matrix of :func:`netsieve.engine.features.preprocessing.prepare`."""
        numbers = []
        if self.schema.numeric:
            numbers.append(_standardised(self.graph, self.schema, self._numbers, self._missing))
        return self._joined([*numbers, *self._indicators, *self._categories], "prepared")

    @cached_property
    def unscaled(self) -> str:
        """Name of the matrix of :func:`netsieve.engine.features.unscaled.unscaled_columns`."""
        plain, logged, _ = self._groups
        numbers = [_in_schema_order(self.graph, self.schema, plain, logged, "raw")] if self.schema.numeric else []
        return self._joined([*numbers, *self._indicators, *self._categories], "unscaled")

    @cached_property
    def _groups(self) -> tuple[str, str, str]:
        return _split_input(self.graph, self.schema, self.records)

    @cached_property
    def _numbers(self) -> str:
        plain, logged, _ = self._groups
        return _signed_log_columns(self.graph, self.schema, plain, logged)

    @cached_property
    def _missing(self) -> str:
        return self.graph.node("IsNaN", self._numbers, name="missing")

    @cached_property
    def _indicators(self) -> list[str]:
        return _missing_indicators(self.graph, self.schema, self._missing) if self.schema.numeric else []

    @cached_property
    def _categories(self) -> list[str]:
        codes = self._groups[2]
        return [_category_columns(self.graph, self.schema, codes)] if codes else []

    def _joined(self, parts: list[str], name: str) -> str:
        return parts[0] if len(parts) == 1 else self.graph.node("Concat", *parts, name=name, axis=1)


def _split_input(graph: Graph, schema: FeatureSchema, x: str) -> tuple[str, str, str]:
    """Return the names of the plain numbers, the numbers that take a signed log and the codes; "" for none."""
    plain = [i for i, f in schema.numeric if not f.signed_log]
    logged = [i for i, f in schema.numeric if f.signed_log]
    codes = [i for i, _ in schema.categorical]
    order = [*plain, *logged, *codes]
    if order != list(range(len(order))):
        x = graph.node("Gather", x, graph.constant("feature_order", np.array(order)), name="ordered", axis=1)
    sizes = {"plain": len(plain), "logged": len(logged), "codes": len(codes)}
    present = [name for name, size in sizes.items() if size]
    if len(present) == 1:
        cut = dict.fromkeys(present, x)
    else:
        lengths = graph.constant("feature_groups", np.array([sizes[name] for name in present]))
        names = [f"x_{name}" for name in present]
        graph.split_node("Split", x, lengths, name="groups", outputs=names, axis=1)
        cut = dict(zip(present, names, strict=True))
    return cut.get("plain", ""), cut.get("logged", ""), cut.get("codes", "")


def _signed_log_columns(graph: Graph, schema: FeatureSchema, plain: str, logged: str) -> str:
    """Return all numbers in the order of ``schema.numeric``, after ``sign(v) * log(1 + |v|)`` where it is asked."""
    if not logged:
        return plain
    magnitude = graph.node("Abs", logged, name="magnitude")
    one_more = graph.node("Add", magnitude, graph.constant("one", 1.0), name="magnitude_plus_one")
    logarithm = graph.node("Log", one_more, name="log_magnitude")
    steep = graph.node("Mul", logged, graph.constant("steep", STEEP), name="steep_value")
    sign = graph.node("Clip", steep, *_unit_interval(graph), name="sign")
    signed = graph.node("Mul", logarithm, sign, name="signed_log")
    return _in_schema_order(graph, schema, plain, signed, "numbers")


def _in_schema_order(graph: Graph, schema: FeatureSchema, plain: str, logged: str, name: str) -> str:
    """Return all numbers in the order of ``schema.numeric``, given those without and with a signed log."""
    if not plain or not logged:
        return plain or logged
    together = graph.node("Concat", plain, logged, name=name, axis=1)
    flags = np.array([f.signed_log for _, f in schema.numeric])
    position = np.argsort(np.argsort(flags, kind="stable"), kind="stable")
    if (position == np.arange(len(flags))).all():
        return together
    order = graph.constant(f"{name}_order", position)
    return graph.node("Gather", together, order, name=f"ordered_{name}", axis=1)


def _unit_interval(graph: Graph) -> tuple[str, str]:
    if "minus_one" not in graph.constants:
        graph.constant("minus_one", -1.0)
        graph.constant("plus_one", 1.0)
    return "minus_one", "plus_one"


def _standardised(graph: Graph, schema: FeatureSchema, raw: str, missing: str) -> str:
    """Return ``soft_clip((raw - center) / scale)`` with the fill where it is missing.

    Division, not multiplication by the reciprocal: it costs the same here and rounds once less.
    """
    numeric = [f for _, f in schema.numeric]
    limit = np.float32(schema.soft_clip)
    centered = graph.node("Sub", raw, graph.constant("center", _row([f.center for f in numeric])), name="centered")
    scaled = graph.node("Div", centered, graph.constant("scale", _row([f.scale for f in numeric])), name="scaled")
    inner = graph.node(
        "Clip", scaled, graph.constant("low", -limit), graph.constant("high", limit), name="within_limit"
    )
    size = graph.node("Abs", scaled, name="scaled_size")
    excess = graph.node("Sub", size, graph.constant("limit_less_one", limit - np.float32(1)), name="excess_plus_one")
    bounded = graph.node(
        "Clip",
        excess,
        graph.constant("no_excess", 1.0),
        graph.constant("largest_excess", LARGEST_EXCESS),
        name="bounded_excess",
    )
    logarithm = graph.node("Log", bounded, name="log_excess")
    # within the limit the logarithm is 0, beyond it |scaled| > 1: the clip is the sign wherever it matters
    sign = graph.node("Clip", scaled, *_unit_interval(graph), name="scaled_sign")
    beyond = graph.node("Mul", logarithm, sign, name="beyond_limit")
    clipped = graph.node("Add", inner, beyond, name="soft_clipped")
    return graph.node(
        "Where", missing, graph.constant("fill", _row([f.fill for f in numeric])), clipped, name="numeric"
    )


def _missing_indicators(graph: Graph, schema: FeatureSchema, missing: str) -> list[str]:
    indicated = [column for column, (_, f) in enumerate(schema.numeric) if f.missing_indicator]
    if not indicated:
        return []
    if len(indicated) < len(schema.numeric):
        chosen = graph.constant("indicated", np.array(indicated))
        missing = graph.node("Gather", missing, chosen, name="indicated_missing", axis=1)
    return [graph.node("Cast", missing, name="missing_indicator", to=1)]


def _category_columns(graph: Graph, schema: FeatureSchema, codes: str) -> str:
    """Return the rarity and one-hot columns of all categories, a table row looked up by each code.

    The tables hold the row of unknown for what is no code (an index of -1 is the last row).
    """
    categories = [f for _, f in schema.categorical]
    largest = max(f.code_count for f in categories)
    index = add_code_index(graph, codes, largest)
    if len(categories) == 1:
        indices: tuple[str, ...] = (index,)
    else:
        lengths = graph.constant("one_each", np.ones(len(categories), dtype=np.int64))
        names = [f"code_index_{i}" for i in range(len(categories))]
        indices = graph.split_node("Split", index, lengths, name="code_indices", outputs=names, axis=1)
    blocks = []
    for number, (category, each) in enumerate(zip(categories, indices, strict=True)):
        table = graph.constant(f"category_{number}.table", _code_table(category, schema.soft_clip, largest))
        blocks.append(graph.node("Gather", table, each, name=f"category_{number}", axis=0))
    joined = blocks[0] if len(blocks) == 1 else graph.node("Concat", *blocks, name="category_blocks", axis=2)
    return graph.node("Flatten", joined, name="categories", axis=1)


def add_code_index(graph: Graph, codes: str, largest: int) -> str:
    """Return codes as indices of tables with ``largest + 1`` rows, int64 of the shape of ``codes``.

    A missing code is its own; a code that is no whole number becomes unknown; what lies outside is clipped to -1 and to
    ``largest``, the largest code count, so that the last row is for it.
    """
    absent = graph.node("IsNaN", codes, name="code_missing")
    unknown = graph.constant("unknown_code", np.float32(UNKNOWN_CODE))
    known = graph.node(
        "Where", absent, graph.constant("missing_code", np.float32(MISSING_CODE)), codes, name="code_or_missing"
    )
    whole = graph.node("Equal", known, graph.node("Floor", known, name="code_floor"), name="code_is_whole")
    valid = graph.node("Where", whole, known, unknown, name="whole_code")
    below = graph.constant("below_codes", -1.0)
    inside = graph.node("Clip", valid, below, graph.constant("beyond_codes", np.float32(largest)), name="code")
    return graph.node("Cast", inside, name="code_index", to=7)


def _code_table(feature: CategoricalFeature, limit: float, largest: int) -> NDArray[np.float32]:
    """Return the prepared columns of each code, float32 ``[largest + 1, columns of the feature]``."""
    columns = FIRST_CODE + feature.one_hot_count + feature.has_other
    codes = np.arange(feature.code_count)
    one_hot = np.minimum(codes, columns - 1)[:, None] == np.arange(columns)
    known = np.column_stack([rarity_table(feature, limit), one_hot.astype(np.float32)])
    table = np.tile(known[UNKNOWN_CODE], (largest + 1, 1))
    table[: feature.code_count] = known
    return table


def _row(values: list[float]) -> NDArray[np.float32]:
    return np.array([values], dtype=np.float32)
