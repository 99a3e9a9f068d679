"""What is said of each record's top features, the slow and obvious way."""

import numpy as np
import polars as pl
from flows import flow_frame

import naive
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.scoring.scorer import Scorer


def odd_flow_frame(rows: int) -> pl.DataFrame:
    """Return flows with missing values and with protocols that training never saw."""
    generator = np.random.default_rng(3)
    missing = [pl.Series(generator.random(rows) < 0.1) for _ in range(3)]
    return flow_frame(rows).with_columns(
        Bytes=pl.when(missing[0]).then(None).otherwise(pl.col("Bytes")),
        Proto=pl.when(missing[1]).then(pl.lit("sctp; (new)")).otherwise(pl.col("Proto")),
        Dport=pl.when(missing[2]).then(None).otherwise(pl.col("Dport")),
    )


def expected_of(scorer: Scorer, frame: pl.DataFrame, count: int) -> list:
    """Return what the definition says of each record, anomaly or not."""
    errors = scorer.feature_error(Encoder(scorer.schema).encode(frame))
    calibrated = scorer.calibration.features
    means = [feature.error_mean for feature in calibrated]
    deviations = [feature.error_deviation for feature in calibrated]
    typical = []
    for feature, entry in zip(scorer.schema.features, calibrated, strict=True):
        if entry.missing_rate > 0.5:
            typical.append(None)
        elif entry.counts is None:
            median = float(entry.quantiles[50])
            typical.append(naive.shown_value(median) if median.is_integer() else f"{median:.6g}")
        else:
            known = [int(rows) for rows in entry.counts[2:]]
            typical.append(feature.vocabulary[known.index(max(known))])
    named = []
    for row, order in enumerate(naive.top_features(errors, means, deviations, count)):
        record = frame.row(row, named=True)
        names = [scorer.schema.feature_names[position] for position, _ in order]
        values = [naive.shown_value(record[name]) for name in names]
        usual = [typical[position] for position, _ in order]
        named.append(list(zip(names, values, usual, [z for _, z in order], strict=True)))
    return named


def as_tuples(top: pl.Series) -> list:
    return [None if entry is None else [tuple(one.values()) for one in entry] for entry in top]


def assert_named_alike(got: list, expected: list) -> None:
    assert [entry and [one[:3] for one in entry] for entry in got] == [
        entry and [one[:3] for one in entry] for entry in expected
    ]
    for ours, theirs in zip(got, expected, strict=True):
        if ours is not None:
            np.testing.assert_allclose([one[3] for one in ours], [one[3] for one in theirs], rtol=1e-4, atol=1e-4)


def rounded(named: list) -> list:
    """Return entries with values that are numbers as float32: computed columns are."""

    def value(text):
        try:
            return None if text is None else np.float32(text)
        except ValueError:
            return text

    return [entry and [(name, value(text), *rest) for name, text, *rest in entry] for entry in named]
