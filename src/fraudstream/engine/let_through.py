"""The let-through sample: which blocked events are approved all the same, so that their truth becomes known."""

from __future__ import annotations

import numpy as np

from fraudstream.engine.column import Bools, Column, Int64s, UInt64s
from fraudstream.engine.spent import Spent
from fraudstream.plan.plan import Plan
from fraudstream.schema.types import Kind
from fraudstream.units import parse_duration

_DRAW_BITS = 53


def in_sample(fingerprint: UInt64s, share: float) -> Bools:
    """bool[n], which events are drawn, by the low halves of the fingerprints of their ids: the same at every run."""
    drawn: Bools = (fingerprint >> np.uint64(64 - _DRAW_BITS)).astype(np.float64) * 2.0**-_DRAW_BITS < share
    return drawn


class LetThroughSample:
    """The sample of a plan that declares one.

    Args:
        plan: The plan.
    """

    def __init__(self, plan: Plan) -> None:
        declared, amount = plan.pipeline.policy.let_through, plan.pipeline.event.amount
        assert declared is not None and amount is not None
        kind = plan.types[amount]
        scale = kind.scale if kind.kind is Kind.DECIMAL else 0
        self._share = declared.share
        self._at_most_minor = int(declared.at_most * 10**scale + 1e-6)
        self._per_ms = parse_duration(declared.per)

    def choose(self, blocked: Bools, fingerprint: UInt64s, event_at_ms: Int64s, amount: Column, spent: Spent) -> Bools:
        """bool[n], the events that are let through.

        Args:
            blocked: bool[n], the events that would be blocked, duplicates left out.
            fingerprint: uint64[n], of the events' ids.
            event_at_ms: int64[n].
            amount: The money at stake; what has no amount, or less than none, cannot be bounded and stays blocked.
            spent: What was let through before; it is moved on.
        """
        chosen = np.zeros(len(blocked), np.bool_)
        possible = blocked & in_sample(fingerprint, self._share)
        if not possible.any():
            return chosen
        minor = amount.values.astype(np.int64)
        possible &= (minor >= 0) & (minor <= self._at_most_minor)
        if amount.valid is not None:
            possible &= amount.valid
        # One after another: each takes from what is left. They are a small share of the few that are blocked.
        for row in np.flatnonzero(possible).tolist():
            period = int(event_at_ms[row]) // self._per_ms
            if minor[row] <= spent.left(period, self._at_most_minor):
                self.take(int(event_at_ms[row]), int(minor[row]), spent)
                chosen[row] = True
        return chosen

    def take(self, event_at_ms: int, minor: int, spent: Spent) -> None:
        """Takes note of an event that was let through."""
        spent.add(event_at_ms // self._per_ms, minor)
