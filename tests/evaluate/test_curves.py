"""Measures of scores, against scikit-learn's and against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from fraudstream.evaluate.calibration import calibrate
from fraudstream.evaluate.curves import auc_roc, average_precision, curve_of
from fraudstream.evaluate.daily import precision_of_top_keys

SCORED = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=60)


@given(SCORED)
def test_areas_are_scikit_learns_with_ties_and_without(scored: list[tuple[int, bool]]) -> None:
    score = np.array([value / 12 for value, _ in scored])
    fraud = np.array([is_fraud for _, is_fraud in scored])
    curve = curve_of(score, fraud)
    if fraud.any():
        assert average_precision(curve) == pytest.approx(average_precision_score(fraud, score))
    else:
        assert np.isnan(average_precision(curve))
    if fraud.any() and not fraud.all():
        assert auc_roc(curve) == pytest.approx(roc_auc_score(fraud, score))
    else:
        assert np.isnan(auc_roc(curve))


def test_a_curve_counts_what_each_threshold_alerts_on() -> None:
    curve = curve_of(np.array([0.2, 0.9, 0.9, 0.5]), np.array([False, True, False, True]))
    assert curve.threshold.tolist() == [0.9, 0.5, 0.2]
    assert curve.right.tolist() == [1, 2, 2]
    assert curve.wrong.tolist() == [1, 1, 2]


def test_keys_found_out_leave_the_list_and_others_take_their_place() -> None:
    score = np.array([0.9, 0.1, 0.8, 0.7, 0.95, 0.6, 0.5])
    fraud = np.array([True, False, False, True, True, True, False])
    key = np.array([1, 1, 2, 3, 1, 3, 4], np.uint64)
    day = np.array([0, 0, 0, 0, 1, 1, 1])
    # Day 0: keys 1 (fraud) and 2 (not) are looked at. Day 1: key 1 is out, so 3 (fraud) and 4 (not) are.
    assert precision_of_top_keys(score, fraud, key, day, top=2).tolist() == [0.5, 0.5]
    # Enough hands for all: day 0 finds keys 1 and 3, and only key 4 is left for day 1.
    assert precision_of_top_keys(score, fraud, key, day, top=4).tolist() == [0.5, 0.0]


def test_probabilities_that_are_true_are_calibrated_and_false_ones_are_not() -> None:
    chance = np.random.default_rng(7)
    probability = chance.random(20_000) ** 3
    fraud = chance.random(20_000) < probability
    found = calibrate(probability, fraud)
    assert found.error < 0.01
    assert found.events.sum() == 20_000
    assert found.brier == pytest.approx(np.mean((probability - fraud) ** 2))
    assert (np.diff(found.predicted) >= 0).all()
    assert calibrate(np.sqrt(probability), fraud).error > 0.1
