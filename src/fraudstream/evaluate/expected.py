"""What to expect of thresholds, with its uncertainty: a bootstrap over periods (days)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fraudstream.evaluate.budget import EventCosts, Scored
from fraudstream.evaluate.outcomes import APPROVE, BLOCK, REVIEW

Floats = npt.NDArray[np.float64]

DRAWS = 2_000
LEVEL = 0.95


class Estimate(NamedTuple):
    """A figure and the interval that holds it with a probability of 95 %; NaN where nothing tells it."""

    value: float
    low: float
    high: float


class Expected(NamedTuple):
    """What to expect of a period (a day).

    Attributes:
        review_at, block_at: The thresholds.
        reviews: Reviews per period, on average over many.
        reviews_next: The same average, and the interval for one single period to come.
        blocks: Blocked events per period.
        precision: The share of frauds among reviewed and blocked events.
        recall: The share of frauds that are reviewed or blocked.
        fraud_caught: Money of these, per period.
        fraud_approved: Money of the frauds that pass, per period.
        genuine_blocked: Money of the genuine events that are blocked, per period.
        cost: Of a period; NaN without costs.
        backlog: Reviews that wait at the end of a period, on average, if so many can be done in each; the interval's
            upper end is the longest queue of 95 % of such histories. NaN without a budget.
    """

    review_at: float
    block_at: float
    reviews: Estimate
    reviews_next: Estimate
    blocks: Estimate
    precision: Estimate
    recall: Estimate
    fraud_caught: Estimate
    fraud_approved: Estimate
    genuine_blocked: Estimate
    cost: Estimate
    backlog: Estimate


def expect(
    scored: Scored,
    review_at: float,
    block_at: float,
    *,
    costs: EventCosts | None = None,
    reviews: float | None = None,
    seed: int = 1,
) -> Expected:
    """What thresholds would give, judged on events.

    The uncertainty is that of which periods happened to be seen (Efron 1979): figures are computed again on periods
    drawn with replacement. Periods are the unit because events of one are alike: a fraudster's come together.

    Args:
        scored: The events to judge on.
        review_at, block_at: The thresholds.
        costs: What they cost, if that is to be told.
        reviews: How many reviews can be done in a period, for the backlog.
        seed: The same seed gives the same intervals.
    """
    outcome = scored.outcomes(review_at, block_at)
    is_fraud, is_genuine = scored.known & scored.fraud, scored.known & ~scored.fraud
    alerted = outcome != APPROVE

    def sums(chosen: npt.NDArray[np.bool_], weight: Floats | None = None) -> Floats:
        weights = None if weight is None else weight[chosen]
        return np.bincount(scored.period[chosen], weights, scored.periods).astype(np.float64)

    reviewed = sums(outcome == REVIEW)
    found, right, frauds = sums(alerted & scored.known), sums(alerted & is_fraud), sums(is_fraud)
    spent = (
        np.full(scored.periods, np.nan) if costs is None else sums(np.ones(len(outcome), np.bool_), costs.of(outcome))
    )
    random = np.random.default_rng(seed)
    drawn = random.integers(0, scored.periods, (DRAWS, scored.periods))

    def mean(of_period: Floats) -> Estimate:
        return _estimate(float(of_period.mean()), of_period[drawn].mean(axis=1))

    def ratio(part: Floats, whole: Floats) -> Estimate:
        with np.errstate(invalid="ignore", divide="ignore"):
            return _estimate(float(part.sum() / whole.sum()), part[drawn].sum(axis=1) / whole[drawn].sum(axis=1))

    # One period to come differs by its own chance, and by what is not known of the mean.
    means = reviewed[drawn].mean(axis=1)
    next_one = np.maximum(reviewed[random.integers(0, scored.periods, DRAWS)] + reviewed.mean() - means, 0.0)
    return Expected(
        review_at,
        block_at,
        reviews=mean(reviewed),
        reviews_next=_estimate(float(reviewed.mean()), next_one),
        blocks=mean(sums(outcome == BLOCK)),
        precision=ratio(right, found),
        recall=ratio(right, frauds),
        fraud_caught=mean(sums(alerted & is_fraud, scored.amount)),
        fraud_approved=mean(sums(~alerted & is_fraud, scored.amount)),
        genuine_blocked=mean(sums((outcome == BLOCK) & is_genuine, scored.amount)),
        cost=mean(spent),
        backlog=_backlog(reviewed, drawn, reviews),
    )


def _estimate(value: float, draws: Floats) -> Estimate:
    if np.isnan(value) or np.isnan(draws).all():
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.nanquantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def _backlog(reviewed: Floats, drawn: npt.NDArray[np.int64], reviews: float | None) -> Estimate:
    """Reviews that wait, period after period; and the longest queue of histories drawn from these periods."""
    if reviews is None:
        return Estimate(float("nan"), float("nan"), float("nan"))
    waiting, total = 0.0, 0.0
    for count in reviewed.tolist():
        waiting = max(0.0, waiting + count - reviews)
        total += waiting
    queue, longest = np.zeros(len(drawn)), np.zeros(len(drawn))
    for column in drawn.T:
        queue = np.maximum(0.0, queue + reviewed[column] - reviews)
        longest = np.maximum(longest, queue)
    low, high = np.quantile(longest, [(1 - LEVEL) / 2, LEVEL])
    return Estimate(total / len(reviewed), float(low), float(high))
