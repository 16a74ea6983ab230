"""Thresholds from a budget of reviews or from costs, and what to expect of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fraudstream.evaluate.outcomes import REVIEW

Int8s = npt.NDArray[np.int8]
Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MOST_STEPS = 800
"""Thresholds tried for costs, the closer the higher the score."""


class Scored(NamedTuple):
    """n events in time order, with what the policy makes of them on each side of the thresholds.

    Attributes:
        score: float64[n], what is compared with the thresholds; -inf where nothing is.
        silent: int8[n], the outcome where the score reaches no threshold: that of rules alone.
        reviewed: int8[n], the outcome where it reaches the review threshold only.
        blocked: int8[n], the outcome where it reaches the block threshold.
        fraud: bool[n], the truth where it is known.
        known: bool[n], where it is.
        amount: float64[n], in the major unit.
        period: int64[n], ascending: the number of each event's period (day), from 0.
        periods: How many periods there are, empty ones too.
    """

    score: Floats
    silent: Int8s
    reviewed: Int8s
    blocked: Int8s
    fraud: Bools
    known: Bools
    amount: Floats
    period: Int64s
    periods: int

    def outcomes(self, review_at: float, block_at: float) -> Int8s:
        """int8[n], the outcomes at two thresholds."""
        raised = np.where(self.score >= review_at, self.reviewed, self.silent)
        return np.where(self.score >= block_at, self.blocked, raised)


class EventCosts(NamedTuple):
    """What each event costs by outcome, float64[n] each: approved, reviewed, blocked."""

    approved: Floats
    reviewed: Floats
    blocked: Floats

    def of(self, outcome: Int8s) -> Floats:
        """float64[n], the costs of outcomes."""
        return np.choose(outcome, self)


def costs_of(scored: Scored, investigation: float, missed: float | None, blocked: float | None) -> EventCosts:
    """The costs of events; a cost of None is the amount. A reviewed fraud is taken to be found."""
    is_fraud, is_genuine = scored.known & scored.fraud, scored.known & ~scored.fraud
    return EventCosts(
        np.where(is_fraud, scored.amount if missed is None else missed, 0.0),
        np.full(len(scored.score), investigation),
        np.where(is_genuine, scored.amount if blocked is None else blocked, 0.0),
    )


def review_threshold(scored: Scored, reviews: float, block_at: float) -> float:
    """The lowest threshold with which reviews per period are, on average, no more than so many.

    Args:
        scored: The events to find it on.
        reviews: How many reviews a period has time for.
        block_at: Where blocking begins; the result is never above it. There the score reviews nothing, and if even
            this is too much, rules alone exceed the budget.
    """
    below = scored.score < block_at
    by_score = below & np.isfinite(scored.score) & (scored.reviewed == REVIEW) & (scored.silent != REVIEW)
    fixed = np.count_nonzero(below & (scored.silent == REVIEW))
    fixed += np.count_nonzero(~below & (scored.blocked == REVIEW))
    allowed = int(np.floor(reviews * scored.periods)) - fixed
    scores = np.sort(scored.score[by_score])[::-1]
    if allowed <= 0:
        return block_at if not len(scores) or allowed < 0 else _just_above(float(scores[0]), block_at)
    if allowed >= len(scores):
        return max(0.0, float(scores[-1])) if len(scores) else block_at
    first_out = float(scores[allowed])  # of equal scores all are reviewed or none
    kept = scores[scores > first_out]
    return shortest_between(first_out, float(kept[-1])) if len(kept) else _just_above(first_out, block_at)


def cheapest(scored: Scored, costs: EventCosts, reviews: float | None = None) -> tuple[float, float]:
    """The review and block thresholds that cost least, with a budget of reviews per period if there is one.

    The cost of two thresholds is a sum of what each step of the score adds below, between and above them; every pair of
    up to `MOST_STEPS` thresholds is looked at.
    """
    scores = np.unique(scored.score[np.isfinite(scored.score)])
    steps = scores
    if len(steps) > MOST_STEPS:
        # Fine where alerts are: the thresholds stand at equal distances of the logarithm of the rank from the top.
        ranks = np.unique(np.geomspace(1, len(scores), MOST_STEPS).astype(np.int64)) - 1
        steps = scores[::-1][ranks][::-1]
    if not len(steps) or steps[-1] < 1.0:
        steps = np.append(steps, 1.0)  # never; there is no threshold above a score of 1
    place = np.searchsorted(steps, scored.score, side="right")  # how many thresholds an event reaches
    count = len(steps) + 1

    def sums(values: Floats) -> Floats:
        return np.concatenate([[0.0], np.cumsum(np.bincount(place, values, count))])

    low, middle, high = (sums(costs.of(outcome)) for outcome in (scored.silent, scored.reviewed, scored.blocked))
    # An event reaches the threshold steps[i] if it reaches more than i: below it are those with a place up to i.
    i = np.arange(1, count)
    total = low[i][:, None] + (middle[i][None, :] - middle[i][:, None]) + (high[-1] - high[i])[None, :]
    total[np.tril_indices(len(steps), -1)] = np.inf  # blocking begins where reviewing does, or above
    if reviews is not None:
        low, middle, high = (
            sums((outcome == REVIEW).astype(np.float64)) for outcome in (scored.silent, scored.reviewed, scored.blocked)
        )
        counts = low[i][:, None] + (middle[i][None, :] - middle[i][:, None]) + (high[-1] - high[i])[None, :]
        within = counts <= reviews * scored.periods
        if (within & np.isfinite(total)).any():
            total = np.where(within, total, np.inf)
        else:
            total = np.where(counts == counts[np.isfinite(total)].min(), total, np.inf)
    # Of thresholds that cost the same the highest: fewer events are disturbed.
    flat = len(total.ravel()) - 1 - int(np.argmin(total.ravel()[::-1]))
    review, block = np.unravel_index(flat, total.shape)
    return _rounded(float(steps[review]), scores), _rounded(float(steps[block]), scores)


def shortest_between(low: float, high: float) -> float:
    """The number with the fewest decimals that is above `low` and at most `high`."""
    for digits in range(1, 17):
        found = np.floor(high * 10.0**digits) / 10.0**digits
        if low < found <= high:
            return float(found)
    return high


def _rounded(step: float, scores: Floats) -> float:
    """A threshold as the shortest number that tells the same events apart; `scores` are distinct and rise."""
    place = int(np.searchsorted(scores, step))
    return shortest_between(float(scores[place - 1]) if place else -1.0, step)


def _just_above(score: float, limit: float) -> float:
    return min(shortest_between(score, min(limit, score + 1e-3)), limit) if score < limit else limit
