"""Costs of thresholds, parts of the traffic and partial dependence, by hand."""

from __future__ import annotations

import numpy as np

from fraudstream.evaluate.cost import cost_curve
from fraudstream.evaluate.dependence import partial_dependence, telling_values
from fraudstream.evaluate.segments import count_segments


def test_a_threshold_costs_its_reviews_and_what_it_misses() -> None:
    score = np.array([0.9, 0.5, 0.5, 0.1])
    fraud = np.array([True, False, True, True])
    found = cost_curve(score, fraud, np.array([100.0, 7.0, 30.0, 4.0]), investigation=10.0)
    assert found.reviews.tolist() == [0, 1, 3, 4]
    assert found.missed.tolist() == [134.0, 34.0, 4.0, 0.0]
    assert found.cost.tolist() == [134.0, 44.0, 34.0, 40.0]
    assert found.threshold[found.cheapest] == 0.5
    assert found.threshold[0] > 0.9


def test_nothing_to_review_costs_nothing() -> None:
    found = cost_curve(np.empty(0), np.empty(0, np.bool_), np.empty(0), 10.0)
    assert found.cost.tolist() == [0.0]


def test_segments_are_counted_and_what_is_in_none_is_left_out() -> None:
    found = count_segments(
        np.array([0, 0, 2, -1, 2]),
        3,
        np.array([True, False, True, True, True]),
        np.array([True, True, False, True, True]),
    )
    assert [each.tolist() for each in found] == [[2, 0, 2], [1, 0, 2], [2, 0, 1], [1, 0, 1]]


def test_partial_dependence_is_the_mean_over_the_events_with_the_input_set() -> None:
    rows = np.array([[1, 10], [3, 20]], np.float32)
    found = partial_dependence(lambda m: (m[:, 0] * m[:, 1]).astype(np.float64), rows, 0, np.array([0.0, 2.0]))
    assert found.mean.tolist() == [0.0, 30.0]
    assert rows[0, 0] == 1


def test_telling_values_reach_both_ends_and_are_values_that_occur() -> None:
    seen = np.append(np.arange(1_000.0), np.nan)
    values = telling_values(seen)
    assert (values[0], values[-1]) == (0.0, 999.0) and np.isin(values, seen).all()
    assert telling_values(np.array([np.nan])).tolist() == []
