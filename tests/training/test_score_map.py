"""The map from raw scores to scores puts the review threshold where it should be and changes no order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudstream.errors import DataError
from fraudstream.training.metrics import measure
from fraudstream.training.score_map import POINTS, anchored, best_threshold, ranked
from fraudstream.training.split import split_by_time


def mapped(raw: np.ndarray, quantiles: tuple[float, ...]) -> np.ndarray:
    return np.interp(raw, quantiles, np.linspace(0, 1, len(quantiles)))


@given(threshold=st.floats(1e-6, 1 - 1e-6), review_at=st.sampled_from([0.05, 0.3, 0.5, 0.6, 0.8, 0.999]))
def test_the_threshold_comes_to_lie_at_the_review_threshold(threshold: float, review_at: float) -> None:
    curve = anchored(threshold, review_at)
    assert len(curve) == POINTS and curve[0] == 0 and curve[-1] == 1
    assert (np.diff(curve) > 0).all()
    assert mapped(np.array([threshold]), curve)[0] == pytest.approx(review_at, abs=1e-9)


def test_the_best_threshold_separates_what_can_be_separated() -> None:
    fraud = np.arange(1_000) >= 980
    raw = np.where(fraud, 0.2, 0.1) + np.arange(1_000) * 1e-6
    threshold = best_threshold(raw, fraud)
    assert threshold is not None and raw[~fraud].max() < threshold < raw[fraud].min()
    assert best_threshold(raw, np.arange(1_000) >= 995) is None  # five frauds say nothing
    assert best_threshold(np.full(1_000, 0.5), fraud) is None


def test_ranked_scores_send_the_share_asked_for_to_review() -> None:
    raw = np.random.default_rng(1).beta(8, 8, 50_000)
    score = mapped(raw, ranked(raw, 0.01, 0.6))
    assert np.mean(score >= 0.6) == pytest.approx(0.01, abs=0.0005)
    assert np.mean(score >= 0.85) == pytest.approx(0.01 * 0.15 / 0.4, abs=0.0005)
    order = np.argsort(raw)
    assert (np.diff(score[order]) >= 0).all()


def test_measures_are_the_textbooks() -> None:
    score = np.array([0.9, 0.8, 0.7, 0.1, 0.2])
    fraud = np.array([True, False, True, True, False])
    found = measure(score, fraud, 0.6, 0.85)
    assert found["alert_share"] == 0.6 and found["block_share"] == 0.2
    assert found["precision"] == pytest.approx(2 / 3) and found["recall"] == pytest.approx(2 / 3)
    assert found["auc_roc"] == pytest.approx(3 / 6)
    assert set(measure(score, None, 0.6, 0.85)) == {"events", "alert_share", "block_share"}


@given(st.integers(1, 200), st.integers(0, 5), st.integers(0, 2**32))
def test_no_instant_is_both_learned_from_and_tested_on(span_ms: int, gap: int, seed: int) -> None:
    at = np.sort(np.random.default_rng(seed).integers(0, span_ms, 400))
    try:
        split = split_by_time(at, 0.3, gap)
    except DataError:
        assert span_ms < 30  # so many events at one instant that nothing is left on one side
        return
    assert at[split.stop.stop - 1] < at[split.test.start] - gap
    assert split.learn.stop == split.stop.start and split.test.stop == 400
