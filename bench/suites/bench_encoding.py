"""Encoding flows with categories, as part of what scoring a frame costs."""

from typing import Any

import polars as pl
import pytest

from netsieve.bench.traffic import generate_traffic
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.inference import fit_schema, infer_schema
from netsieve.engine.features.schema import FeatureSchema

ROWS = 200_000


@pytest.fixture(scope="module")
def flows() -> pl.DataFrame:
    """Return a day of flows."""
    return generate_traffic(ROWS)


@pytest.fixture(scope="module")
def schema(flows: pl.DataFrame) -> FeatureSchema:
    """Return the schema inferred from the flows."""
    return fit_schema(infer_schema(flows, ignore=["Attack"], label="IsAnomaly"), flows)


def test_encoding_flows(benchmark: Any, flows: pl.DataFrame, schema: FeatureSchema) -> None:
    """Encode a frame into the raw matrix."""
    benchmark.group = "encoding"
    x = benchmark(Encoder(schema).encode, flows)
    assert x.shape == (ROWS, len(schema.features))


def test_encoding_by_hand(benchmark: Any, flows: pl.DataFrame, schema: FeatureSchema) -> None:
    """Encode it with Polars expressions, as an expert writes them."""
    columns = [pl.col(feature.name).cast(pl.Float32) for _, feature in schema.numeric]
    for _, feature in schema.categorical:
        text, codes = pl.col(feature.name).cast(pl.String), range(2, feature.code_count)
        codes_of = text.replace_strict(list(feature.vocabulary), list(codes), default=1, return_dtype=pl.Float32)
        columns.append(codes_of.alias(feature.name))
    benchmark.group = "encoding"
    x = benchmark(lambda: flows.select(columns).select(schema.feature_names).to_numpy(order="c"))
    assert (x == Encoder(schema).encode(flows)).all()
