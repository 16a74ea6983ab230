"""What outcomes were worth, where it is known what events really were: alerts, frauds and money."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Int8s = npt.NDArray[np.int8]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

APPROVE, REVIEW, BLOCK = range(3)
OUTCOMES = ("approve", "review", "block")


class Tally(NamedTuple):
    """Outcomes of n events.

    Money is in minor units. `fraud_…` counts known frauds, `genuine_…` events known to be none.

    Attributes:
        events: How many.
        known: Of how many the truth is known; precision and recall are about these.
        approved, reviewed, blocked: How many had each outcome.
        fraud_approved, fraud_reviewed, fraud_blocked: Known frauds by outcome.
        genuine_reviewed, genuine_blocked: Known genuine events by outcome.
        fraud_approved_minor: Money of the frauds that passed.
        fraud_caught_minor: Money of the frauds reviewed or blocked.
        genuine_reviewed_minor, genuine_blocked_minor: Money of genuine events that were.
    """

    events: int
    known: int
    approved: int
    reviewed: int
    blocked: int
    fraud_approved: int
    fraud_reviewed: int
    fraud_blocked: int
    genuine_reviewed: int
    genuine_blocked: int
    fraud_approved_minor: int
    fraud_caught_minor: int
    genuine_reviewed_minor: int
    genuine_blocked_minor: int

    @property
    def alerts(self) -> int:
        """How many were reviewed or blocked."""
        return self.reviewed + self.blocked

    @property
    def precision(self) -> float:
        """The share of frauds among the alerts whose truth is known; NaN without any."""
        right = self.fraud_reviewed + self.fraud_blocked
        alerts = right + self.genuine_reviewed + self.genuine_blocked
        return right / alerts if alerts else float("nan")

    @property
    def recall(self) -> float:
        """The share of known frauds that were alerted; NaN without any."""
        right = self.fraud_reviewed + self.fraud_blocked
        return right / (right + self.fraud_approved) if right + self.fraud_approved else float("nan")


def tally(outcome: Int8s, fraud: Bools, known: Bools, amount_minor: Int64s) -> Tally:
    """Counts outcomes.

    Args:
        outcome: int8[n]: 0 approve, 1 review, 2 block.
        fraud: bool[n], the truth where it is known.
        known: bool[n], where it is.
        amount_minor: int64[n].
    """
    counts = np.bincount(outcome, minlength=3)
    cases = {
        (kind, name): known & truth & (outcome == code)
        for kind, truth in (("fraud", fraud), ("genuine", ~fraud))
        for code, name in enumerate(OUTCOMES)
    }

    def count(kind: str, name: str) -> int:
        return int(np.count_nonzero(cases[kind, name]))

    def money(kind: str, name: str) -> int:
        return int(amount_minor[cases[kind, name]].sum())

    return Tally(
        events=len(outcome),
        known=int(np.count_nonzero(known)),
        approved=int(counts[APPROVE]),
        reviewed=int(counts[REVIEW]),
        blocked=int(counts[BLOCK]),
        fraud_approved=count("fraud", "approve"),
        fraud_reviewed=count("fraud", "review"),
        fraud_blocked=count("fraud", "block"),
        genuine_reviewed=count("genuine", "review"),
        genuine_blocked=count("genuine", "block"),
        fraud_approved_minor=money("fraud", "approve"),
        fraud_caught_minor=money("fraud", "review") + money("fraud", "block"),
        genuine_reviewed_minor=money("genuine", "review"),
        genuine_blocked_minor=money("genuine", "block"),
    )


def changes(before: Int8s, after: Int8s) -> Int64s:
    """int64[3, 3]: how many events went from each outcome (row) to each (column)."""
    pairs = np.bincount(before.astype(np.int64) * 3 + after, minlength=9)
    return pairs.reshape(3, 3).astype(np.int64)
