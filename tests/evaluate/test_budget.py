"""Thresholds from budgets and costs: against looking at all of them, and kept on days that were not looked at."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudstream.evaluate.budget import Scored, cheapest, costs_of, review_threshold, shortest_between
from fraudstream.evaluate.expected import expect

CODES = (0, 1, 2)


def scored(rows: list[tuple[float, int, bool, float]], periods: int = 4) -> Scored:
    """Events of (score, outcome by rules, fraud, amount); the model raises what rules leave lower."""
    score, rules, fraud, amount = (np.array(column) for column in zip(*rows, strict=True))
    rules = rules.astype(np.int8)
    silent = np.isinf(score.astype(np.float64))  # without a score no threshold changes anything
    return Scored(
        score.astype(np.float64),
        rules,
        np.where(silent, rules, np.maximum(rules, 1)).astype(np.int8),
        np.where(silent, rules, 2).astype(np.int8),
        fraud.astype(np.bool_),
        np.ones(len(rows), np.bool_),
        amount.astype(np.float64),
        np.sort(np.arange(len(rows)) % periods).astype(np.int64),
        periods,
    )


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([-np.inf, 0.0, 0.1, 0.2, 0.25, 0.5, 0.625, 0.9, 1.0]),
        st.sampled_from([0, 0, 0, 1, 2]),
        st.booleans(),
        st.sampled_from([1.0, 20.0, 300.0]),
    ),
    min_size=1,
    max_size=40,
)


def reviews(events: Scored, review_at: float, block_at: float) -> float:
    return float(np.count_nonzero(events.outcomes(review_at, block_at) == 1)) / events.periods


@given(EVENTS, st.sampled_from([0, 0.5, 1, 2, 5, 100]), st.sampled_from([0.3, 0.9]))
@settings(max_examples=120, deadline=None)
def test_the_threshold_is_the_lowest_that_keeps_the_budget(
    rows: list[tuple[float, int, bool, float]], budget: float, block_at: float
) -> None:
    events = scored(rows)
    found = review_threshold(events, budget, block_at)
    assert 0 <= found <= block_at
    every = sorted({0.0, block_at, *(row[0] for row in rows if 0 <= row[0] < block_at)})
    kept = [each for each in every if reviews(events, each, block_at) <= budget]
    if kept:
        assert reviews(events, found, block_at) == reviews(events, min(kept), block_at)
    else:
        assert reviews(events, found, block_at) == min(reviews(events, each, block_at) for each in every)


@given(
    EVENTS,
    st.none() | st.sampled_from([1, 3]),
    st.sampled_from([(5.0, None, 30.0), (5.0, 80.0, None), (0.0, 9.0, 9.0)]),
)
@settings(max_examples=80, deadline=None)
def test_no_other_thresholds_cost_less(
    rows: list[tuple[float, int, bool, float]], budget: float | None, prices: tuple[float, float | None, float | None]
) -> None:
    events = scored(rows)
    costs = costs_of(events, *prices)
    review_at, block_at = cheapest(events, costs, budget)
    assert 0 <= review_at <= block_at <= 1
    steps = sorted({1.0, *(row[0] for row in rows if np.isfinite(row[0]))})

    def cost(review: float, block: float) -> float:
        return float(costs.of(events.outcomes(review, block)).sum())

    pairs = [
        pair
        for pair in itertools.combinations_with_replacement(steps, 2)
        if budget is None or reviews(events, *pair) <= budget
    ]
    if pairs:
        assert cost(review_at, block_at) <= min(cost(*pair) for pair in pairs) + 1e-9
        assert budget is None or reviews(events, review_at, block_at) <= budget


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_threshold_has_few_digits_and_tells_the_same_events_apart(one: float, other: float) -> None:
    low, high = sorted((one, other))
    if low < high:
        assert low < shortest_between(low, high) <= high
    assert shortest_between(0.123456, 0.13) == 0.13 and shortest_between(0.6, 0.7123) == 0.7


def days_of(count: int, seed: int) -> Scored:
    """Days of some 2,000 events whose number and frauds vary from day to day as real ones do."""
    random = np.random.default_rng(seed)
    sizes = random.poisson(2_000 * random.gamma(25, 1 / 25, count))
    total = int(sizes.sum())
    fraud = random.random(total) < 0.01
    score = np.where(fraud, random.beta(4, 3, total), random.beta(1, 9, total))
    nothing = np.zeros(total, np.int8)
    return Scored(
        score, nothing, nothing + np.int8(1), nothing + np.int8(2), fraud, np.ones(total, np.bool_),
        random.gamma(1, 50, total), np.repeat(np.arange(count), sizes), count,
    )  # fmt: skip


def test_the_budget_is_kept_on_held_out_days_within_the_stated_uncertainty() -> None:
    """Thresholds of 30 days, on 30 others, twenty times: single days and means lie where they were said to lie."""
    inside, means = [], []
    for seed in range(20):
        known, held_out = days_of(30, seed), days_of(30, 1_000 + seed)
        review_at = review_threshold(known, 60, 0.95)
        said = expect(known, review_at, 0.95, reviews=60)
        assert 59 < said.reviews.value <= 60, "the budget is used, and not exceeded"
        outcome = held_out.outcomes(review_at, 0.95)
        counts = np.bincount(held_out.period[outcome == 1], minlength=30)
        inside.append(((counts >= said.reviews_next.low) & (counts <= said.reviews_next.high)).mean())
        # Two means of thirty days differ by what both do not know: the interval of one, times the root of two.
        reach = np.sqrt(2) * (said.reviews.high - said.reviews.low) / 2
        means.append(abs(counts.mean() - said.reviews.value) <= reach)
    assert 0.90 <= np.mean(inside) <= 0.985
    assert np.mean(means) >= 0.85


def test_expected_figures_are_those_of_the_events() -> None:
    """Precision, recall, money and cost at a threshold, counted by hand; the same every day has no uncertainty."""
    day = [
        (0.9, 0, True, 100.0),
        (0.9, 0, False, 40.0),
        (0.5, 0, True, 10.0),
        (0.1, 0, True, 7.0),
        (0.1, 1, False, 3.0),
    ]
    events = scored([row for row in day for _ in range(4)], 4)
    events = events._replace(period=np.tile(np.arange(4), 5)[np.argsort(np.tile(np.arange(4), 5), kind="stable")])
    order = np.argsort(np.tile(np.arange(4), 5), kind="stable")
    events = Scored(*(part[order] for part in events[:7]), events.period, 4)
    found = expect(events, 0.4, 0.8, costs=costs_of(events, 5, None, 30), reviews=1)
    assert (found.reviews.value, found.blocks.value) == (2, 2)
    assert found.precision.value == pytest.approx(2 / 4) and found.recall.value == pytest.approx(2 / 3)
    assert (found.fraud_caught.value, found.fraud_approved.value, found.genuine_blocked.value) == (110, 7, 40)
    assert found.cost.value == 2 * 5 + 7 + 30
    assert found.reviews.low == found.reviews.high == 2
    assert found.backlog.value == (1 + 2 + 3 + 4) / 4 and found.backlog.high == 4
