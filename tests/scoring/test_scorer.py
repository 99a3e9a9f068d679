import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_files import PROTOCOLS, random_matrix, write_small_model

from netsieve.engine.errors import EncodeError, ForkError, MissingColumnError, SchemaError, ThresholdError
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.scoring import scorer as scorer_module
from netsieve.engine.scoring.model_file import ModelFile
from netsieve.engine.scoring.scorer import OneScore, Scorer

ROUNDING = 1e-6
"""Of a score: vectorised sums round by a row's place in the batch."""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    write_small_model(path, numeric=5, categorical=2)
    return path


@pytest.fixture(scope="module")
def scorer(path):
    return Scorer(path, threads=1)


@pytest.fixture(scope="module")
def frame(scorer):
    return frame_of(scorer, 5000)


def frame_of(scorer, rows, seed=3):
    x = random_matrix(scorer.schema, rows, seed)
    columns = {f.name: pl.Series(x[:, i]).fill_nan(None) for i, f in scorer.schema.numeric}
    for i, f in scorer.schema.categorical:
        texts = np.array([None, "other", *PROTOCOLS], dtype=object)
        columns[f.name] = pl.Series(texts[x[:, i].astype(int)], dtype=pl.String)
    return pl.DataFrame(columns)


def close(scores, expected):
    np.testing.assert_allclose(scores, expected, rtol=ROUNDING)


def test_score_returns_scores_and_decisions_in_order(scorer, frame):
    result = scorer.score(frame)
    assert result.schema == {"anomaly_score": pl.Float32, "is_anomaly": pl.Boolean}
    assert result.height == frame.height
    expected = scorer.score_matrix(Encoder(scorer.schema).encode(frame))
    np.testing.assert_array_equal(result["anomaly_score"].to_numpy(), expected)
    np.testing.assert_array_equal(result["is_anomaly"].to_numpy(), expected.astype(np.float64) > scorer.threshold)
    assert 0.02 < result["is_anomaly"].mean() < 0.1


def test_properties_come_from_the_file(scorer, path):
    assert scorer.detector == "autoencoder"
    assert scorer.threshold_policy == "percentile:95"
    assert scorer.threshold == ModelFile.read(path).thresholds["percentile:95"]
    assert scorer.calibration.n == scorer.provenance["rows"] == 1000
    assert scorer.schema.feature_names[0] == "n0"
    assert "percentile:95" in repr(scorer)


def test_every_kind_of_frame_gives_the_same_scores(scorer, frame, tmp_path):
    pandas = pytest.importorskip("pandas")
    expected = scorer.score(frame)
    arrow_rows = frame.to_arrow()
    shuffled = frame.select(pl.lit("x").alias("extra"), *reversed(frame.columns))
    frame.write_parquet(tmp_path / "rows.parquet")
    kinds = {
        "pyarrow table": arrow_rows,
        "pyarrow reader": arrow_rows.to_reader(max_chunksize=700),
        "pandas": arrow_rows.to_pandas(),
        "pandas with an index": arrow_rows.to_pandas().set_index(pandas.Index(range(7, 7 + frame.height))),
        "pandas with pandas strings": pandas.DataFrame({n: frame[n].to_list() for n in frame.columns}),
        "lazy": frame.lazy(),
        "lazy file": pl.scan_parquet(tmp_path / "rows.parquet"),
        "shuffled": shuffled,
        "chunked": pl.concat([frame[:3], frame[3:1000], frame[1000:]], rechunk=False),
    }
    for kind, other in kinds.items():
        assert scorer.score(other).equals(expected), kind


def test_a_duckdb_relation_is_scored(scorer, path, frame, tmp_path):
    frame.write_parquet(tmp_path / "rows.parquet")
    # In a process of its own: duckdb complains of leaks when pytest's process ends
    script = (
        "import duckdb\n"
        "from netsieve.engine.scoring.scorer import Scorer\n"
        f"rows = duckdb.read_parquet({str(tmp_path / 'rows.parquet')!r})\n"
        f"Scorer({str(path)!r}).score(rows).write_parquet({str(tmp_path / 'scores.parquet')!r})"
    )
    subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert pl.read_parquet(tmp_path / "scores.parquet").equals(scorer.score(frame))


def test_a_lazy_frame_is_scored_piece_by_piece_in_order(scorer, frame, monkeypatch):
    monkeypatch.setattr(scorer_module, "LAZY_CHUNK_ROWS", 512)
    close(scorer.score(frame.lazy())["anomaly_score"], scorer.score(frame)["anomaly_score"])
    assert scorer.score(frame.lazy().limit(0)).height == 0


def test_what_is_no_frame_is_a_type_error(scorer):
    with pytest.raises(TypeError, match=r"numpy.ndarray; score_matrix takes arrays"):
        scorer.score(np.zeros((2, 7), np.float32))
    with pytest.raises(TypeError, match=r"builtins.dict; score_one"):
        scorer.score({"n0": 1.0})
    with pytest.raises(TypeError, match=r"got builtins.str"):
        scorer.score("file.csv")


def test_a_pandas_column_of_mixed_objects_is_an_encode_error(scorer, frame):
    pytest.importorskip("pandas")
    mixed = frame.to_pandas()
    mixed["n0"] = [object() for _ in range(len(mixed))]
    with pytest.raises(EncodeError, match="cannot be read through the Arrow interface"):
        scorer.score(mixed)


def test_missing_columns_are_named(scorer, frame):
    for bad in (frame.drop("n1", "c0"), frame.lazy().drop("n1", "c0")):
        with pytest.raises(MissingColumnError, match=r"'n1'.*'c0'"):
            scorer.score(bad)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("batch_size", [1, 64, 100, 1024, 100_000])
def test_scores_do_not_depend_on_batches_or_threads(path, scorer, frame, monkeypatch, threads, batch_size):
    monkeypatch.setattr(scorer_module, "THREADED_ROWS", 1)
    other = Scorer(path, threads=threads, batch_size=batch_size)
    x = Encoder(scorer.schema).encode(frame)
    expected = scorer.score_matrix(x)
    assert other.batch_size % 64 == 0
    np.testing.assert_array_equal(other.score_matrix(x), expected)
    np.testing.assert_array_equal(other.anomaly_scores(frame), expected)


def test_any_cut_of_the_rows_gives_the_same_scores_but_for_rounding(scorer, frame):
    expected = scorer.score(frame)["anomaly_score"].to_numpy()
    for cut in (1, 7, 999, 2048, 4999):
        parts = [scorer.anomaly_scores(frame[:cut]), scorer.anomaly_scores(frame[cut:])]
        close(np.concatenate(parts), expected)


def test_an_error_on_a_worker_thread_reaches_the_caller(path, frame, monkeypatch):
    """And ends the scoring: the other threads finish the batches at hand."""
    monkeypatch.setattr(scorer_module, "THREADED_ROWS", 1)
    scorer = Scorer(path, threads=3, batch_size=64)
    x = np.tile(scorer.encode(frame), (100, 1))
    calls = []

    def fail(x):
        calls.append(threading.current_thread().name)
        if len(calls) == 4:
            raise RuntimeError("out of order")
        time.sleep(0.002)
        return np.zeros(len(x), np.float32)

    monkeypatch.setattr(scorer._backend, "score", fail)
    with pytest.raises(RuntimeError, match="out of order"):
        scorer.score_matrix(x)
    assert all(name.startswith("netsieve-worker") for name in calls)
    assert len(calls) < 500 < len(x) // 64


INTERRUPTED = """
import _thread, signal, sys, threading
import numpy as np
from netsieve import Scorer
scorer = Scorer(sys.argv[1], threads=2)
x = np.zeros((4_000_000, len(scorer.schema.feature_names)), np.float32)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in a shell's background ignores interrupts
try:
    threading.Timer(0.1, _thread.interrupt_main).start()
    while True:
        scorer.score_matrix(x)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_leaves_the_process_sound(path):
    """A thread that computes without the interpreter must not be there when it ends."""
    for _ in range(3):
        ended = subprocess.run(
            [sys.executable, "-c", INTERRUPTED, path], capture_output=True, text=True, timeout=60, check=False
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "interrupted\n", "")


def test_matrices_of_other_types_and_orders_are_taken(scorer, frame):
    x = Encoder(scorer.schema).encode(frame)
    expected = scorer.score_matrix(x)
    for other in (x.astype(np.float64), np.asfortranarray(x), x[::-1][::-1], x.astype(">f4")):
        np.testing.assert_array_equal(scorer.score_matrix(other), expected)
    whole = np.nan_to_num(x).astype(np.int32)
    np.testing.assert_array_equal(scorer.score_matrix(whole), scorer.score_matrix(whole.astype(np.float32)))
    np.testing.assert_array_equal(scorer.score_matrix(whole.tolist()), scorer.score_matrix(whole.astype(np.float32)))
    assert scorer.score_matrix(np.empty((0, 7))).shape == (0,)
    assert np.isfinite(scorer.score_matrix(np.full((3, 7), 1e308))).all()


def test_matrices_that_do_not_fit_are_refused(scorer):
    with pytest.raises(SchemaError, match=r"shape \[2, 6\], where \[n, 7\]"):
        scorer.score_matrix(np.zeros((2, 6), np.float32))
    with pytest.raises(SchemaError, match=r"shape \[7\]"):
        scorer.score_matrix(np.zeros(7, np.float32))
    with pytest.raises(SchemaError, match="object"):
        scorer.score_matrix(np.full((2, 7), None))


@pytest.mark.parametrize("backend", ["native", "onnxruntime"])
def test_feature_errors_are_of_matrices_that_fit(path, backend):
    scorer = Scorer(path, backend=backend)
    x = random_matrix(scorer.schema, 100).astype(np.float64)
    errors = scorer.feature_error(x.astype(np.float32))
    np.testing.assert_array_equal(scorer.feature_error(np.asfortranarray(x)), errors)
    assert scorer.feature_error(x[:0]).shape == (0, 7)
    for wrong in (np.zeros((2, 6)), np.zeros(7), np.zeros((1, 2, 7)), np.full((2, 7), None)):
        with pytest.raises(SchemaError, match="the matrix"):
            scorer.feature_error(wrong)


def test_one_record_is_scored_as_in_a_frame(scorer, frame):
    expected = scorer.score(frame)
    for row in (*range(20), int(expected["anomaly_score"].arg_max())):
        one = scorer.score_one(frame.row(row, named=True))
        assert isinstance(one, OneScore)
        assert type(one.anomaly_score) is float
        assert type(one.is_anomaly) is bool
        close(one.anomaly_score, expected["anomaly_score"][row])
        assert one.is_anomaly == expected["is_anomaly"][row]
    with pytest.raises(MissingColumnError, match="'c1'"):
        scorer.score_one(frame.drop("c1").row(0, named=True))
    with pytest.raises(EncodeError, match="'n2' is 'abc'"):
        scorer.score_one({**frame.row(0, named=True), "n2": "abc"})


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.one_of(st.none(), st.floats(), st.integers(-(2**70), 2**70)), min_size=5, max_size=5))
def test_every_record_has_a_finite_score(scorer, values):
    record = {f"n{i}": value for i, value in enumerate(values)} | {"c0": "tcp", "c1": None}
    assert np.isfinite(scorer.score_one(record).anomaly_score)


def test_thresholds_by_policy_name_and_score(scorer, frame):
    scores = scorer.anomaly_scores(frame)
    percentile = scorer.with_threshold("percentile:90")
    assert percentile.threshold < scorer.threshold
    assert percentile.threshold_policy == "percentile:90"
    assert scorer.with_threshold("percentile(95)").threshold_policy == "percentile:95"
    assert scorer.with_threshold("f1").threshold == 1.5
    assert percentile._backend is scorer._backend
    # A score between two float32 numbers: what lies above it lies above the threshold, in either precision
    exact = float(np.sort(scores)[-10]) + 1e-12
    given_score = scorer.with_threshold(exact)
    assert given_score.threshold == float(np.float32(given_score.threshold))
    assert given_score.score(frame)["is_anomaly"].sum() == (scores.astype(np.float64) > exact).sum() == 9
    below = scorer.with_threshold(float(np.sort(scores)[-10]) - 1e-12)
    assert below.score(frame)["is_anomaly"].sum() == 10
    assert scorer.threshold_policy == "percentile:95"
    for wrong in ("nonsense", "fpr:0.0000001", float("nan"), float("inf")):
        with pytest.raises(ThresholdError):
            scorer.with_threshold(wrong)


def test_options_are_checked(path):
    for options in ({"threads": -1}, {"batch_size": 0}, {"max_queued_batches": -1}):
        with pytest.raises(ValueError, match="at least"):
            Scorer(path, **options)


def test_many_threads_may_share_a_scorer(scorer, frame):
    expected = scorer.score(frame)
    record = frame.row(3, named=True)
    one = scorer.score_one(record)

    def work(number):
        assert scorer.score(frame).equals(expected)
        for _ in range(50):
            assert scorer.score_one(record) == one
        return number

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(24))) == list(range(24))


def test_a_pickled_scorer_scores_alike_with_its_own_threshold(scorer, frame):
    copy = pickle.loads(pickle.dumps(scorer.with_threshold("percentile:80")))
    assert copy.threshold_policy == "percentile:80"
    assert copy.score(frame).equals(scorer.with_threshold("percentile:80").score(frame))


def test_a_scorer_survives_spawn(scorer, frame):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(scorer.score, frame[:100]).result(60).equals(scorer.score(frame[:100]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_gets_a_clear_error(scorer, frame, monkeypatch):
    # The scorer compares process ids; forking a test process that has threads would be a hazard of its own
    monkeypatch.setattr(os, "getpid", lambda: scorer._process + 1)
    x = np.zeros((1, 7), np.float32)
    calls = (
        lambda: scorer.score(frame),
        lambda: scorer.score_matrix(x),
        lambda: scorer.score_one(frame.row(0, named=True)),
        lambda: scorer.feature_error(x),
        lambda: scorer.score_file("in.csv", "out.csv"),
    )
    for call in calls:
        with pytest.raises(ForkError, match="spawn"):
            call()


def test_importing_the_scorer_imports_nothing_heavy():
    script = "import sys, netsieve.engine.scoring.scorer; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "sklearn", "onnx", "pandas", "matplotlib", "pyarrow", "numba"}
    assert not heavy & set(modules)
