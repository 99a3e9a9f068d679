import numpy as np
import pytest
import torch
from export_cases import KINDS, session
from sequence_cases import windowed_case

from netsieve.bench.sequence_windows import windows_of
from netsieve.engine.detectors.core import BASE_SCORE
from netsieve.engine.detectors.lstm_tokens import LstmTokens, LstmTokensParameters
from netsieve.engine.detectors.sequence_core import code_windows
from netsieve.engine.detectors.token_network import TokenNetwork
from netsieve.engine.errors import TrainingError
from netsieve.engine.features.preprocessing import fit_preprocessing
from netsieve.engine.features.schema import CategoricalFeature, FeatureSchema
from netsieve.export.cores import core_model

CALLS = ("open", "read", "write", "close")
SONG = (2, 3, 3, 4, 5)
"""Codes that come over and over."""


def song(rows=1000, window=8):
    """Return a schema and windows of an endless song of calls."""
    codes = np.resize(SONG, rows)
    counts = tuple(int((codes == code).sum()) for code in range(2, 6))
    feature = CategoricalFeature(name="call", vocabulary=CALLS, counts=counts, rows=rows)
    x = codes[:, None].astype(np.float32)
    return fit_preprocessing(FeatureSchema(features=(feature,)), x), windows_of(x, np.arange(rows) // 25, window)


@pytest.fixture(scope="module")
def singer():
    schema, x = song()
    detector = LstmTokens(LstmTokensParameters(units=32, max_draws=30_000, learning_rate=0.01))
    return detector.fit(schema, x[:500], x[500:], device="cpu"), x


def test_the_score_is_one_less_the_log_likelihood_of_training():
    schema, x = windowed_case(KINDS["mixed"])
    column, category = schema.categorical[0]
    codes = code_windows(schema, column, x)
    torch.manual_seed(0)
    network = TokenNetwork(category.code_count, 8, 16, replaced=0.0).eval()
    with torch.inference_mode():
        logits = network(torch.from_numpy(codes))[:, -1]
        expected = torch.log_softmax(logits, dim=1).numpy()
        loss = float(network.objective(network, *[torch.from_numpy(codes)] * 2))
    core = network.core(x.shape[1], column)
    np.testing.assert_allclose(core.log_likelihood(codes), expected, atol=1e-5)
    np.testing.assert_allclose(np.exp(core.log_likelihood(codes)).sum(axis=1), 1.0)
    np.testing.assert_allclose(core.score(codes), BASE_SCORE - expected[np.arange(len(codes)), codes[:, -1]], atol=1e-5)
    np.testing.assert_allclose(core.score(codes).mean(), BASE_SCORE + loss, rtol=1e-5)


def test_what_is_certain_scores_one_and_what_breaks_the_song_much_more(singer):
    detector, x = singer
    whole = x[~np.isnan(x).any(axis=(1, 2))]
    assert detector.score(whole).max() < 1.1
    for other in (0, 1, 2, 3, 4, 5):
        broken = whole[whole[:, -1, 0] != other].copy()
        broken[:, -1] = other
        assert detector.score(broken).min() > 3.0


def test_missing_and_unknown_are_codes(singer):
    detector, x = singer
    run = session(core_model(detector.core, detector.schema))
    whole = x[~np.isnan(x).any(axis=(1, 2))][:5]
    unknown = whole.copy()
    unknown[:, -1] = 1
    for value in (17, -3, 2.5, np.inf, -np.inf):
        other = whole.copy()
        other[:, -1] = value
        np.testing.assert_array_equal(detector.score(other), detector.score(unknown))
        np.testing.assert_array_equal(*(run.run(["score"], {"x": rows})[0] for rows in (other, unknown)))
    missing, none = whole.copy(), whole.copy()
    missing[:, -1], none[:, -1] = 0, np.nan
    np.testing.assert_array_equal(detector.score(none), detector.score(missing))


def test_scoring_goes_on_after_unknown_values(singer):
    # a model that never saw one would be lost
    detector, x = singer
    whole = x[~np.isnan(x).any(axis=(1, 2))][:200].copy()
    whole[:, 2] = 1
    assert np.median(detector.score(whole)) < 1.5


def test_a_trace_begins_as_traces_do(singer):
    # windows that are cut from the middle say nothing of how a trace begins
    detector, _ = singer
    beginnings = np.full((len(SONG), 8, 1), np.nan, dtype=np.float32)
    beginnings[:, -1, 0] = [*sorted(set(SONG)), 1]
    scores = detector.score(beginnings)
    # what comes first is only the output's bias, which all others lean on too
    assert scores[1:].min() > scores[0] + 1


def test_the_category_can_be_named():
    schema, x = windowed_case(KINDS["mixed"])
    quick = {"max_draws": 1_000}
    by_name = LstmTokens(LstmTokensParameters(token="category50", **quick)).fit(schema, x[:400], x[400:], device="cpu")
    assert schema.features[by_name.core.feature].name == "category50"
    first = LstmTokens(LstmTokensParameters(**quick)).fit(schema, x[:400], x[400:], device="cpu")
    assert schema.features[first.core.feature].name == "category4"
    with pytest.raises(TrainingError, match="the category 'plain'; the schema's categories: category4, category50"):
        LstmTokens(LstmTokensParameters(token="plain")).fit(schema, x[:400], x[400:], device="cpu")


def test_numbers_alone_are_refused():
    schema, x = windowed_case(KINDS["plain"])
    with pytest.raises(TrainingError, match="needs a category; the schema's categories: none"):
        LstmTokens().fit(schema, x[:400], x[400:], device="cpu")
