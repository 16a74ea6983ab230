"""What decides where the model does not: the ladder of a policy, over columns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fraudstream.define.fallback import By
from fraudstream.engine.column import Bools, Column, Int64s
from fraudstream.engine.decide import APPROVE, BLOCK, REVIEW, Codes
from fraudstream.engine.kernels.spend import spend
from fraudstream.engine.spent import Spent
from fraudstream.plan.plan import Plan, PlannedFallback


class Account:
    """The money approved without the model in the running period: no part of the state, which no model touches.

    It is committed with the offsets, so that what was approved before a restart counts after it.

    Args:
        since_ms: The start of the running period, epoch milliseconds.
        spent_minor: What was approved in it.
        sample: What the let-through sample let through; nothing unless given.

    Attributes:
        sample: That, moved on.
    """

    def __init__(self, since_ms: int = 0, spent_minor: int = 0, sample: Spent | None = None) -> None:
        self.values: Int64s = np.array([since_ms, spent_minor], np.int64)
        self.sample = Spent() if sample is None else sample

    @property
    def since_ms(self) -> int:
        """The start of the running period, epoch milliseconds."""
        return int(self.values[0])

    @property
    def spent_minor(self) -> int:
        """What was approved in it, minor units."""
        return int(self.values[1])

    @classmethod
    def exhausted(cls) -> Account:
        """One from which nothing can be approved any more: to compute a decision again that came after the cap."""
        most = np.iinfo(np.int64).max
        return cls(most, most)


class FellBack(NamedTuple):
    """What the ladder did to a batch.

    Attributes:
        outcome: int8[n].
        by_amount: bool[n], where the amount alone gave the outcome.
        over_limit: bool[n], reviewed because no more money may be approved.
    """

    outcome: Codes
    by_amount: Bools
    over_limit: Bools


class Ladder:
    """The fallback ladder of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._steps = plan.fallback
        self._codes = frozenset(rule.definition.code for rule in plan.rules)

    def step(self, off: frozenset[str]) -> PlannedFallback | None:
        """The first step that can decide with these codes switched off; None where none can."""
        for step in self._steps:
            if step.by is By.AMOUNT or self._codes - off:
                return step
        return None

    def decide(
        self,
        outcome: Codes,
        alone: Bools,
        off: frozenset[str],
        at_ms: Int64s,
        amount: Column | None,
        account: Account,
    ) -> FellBack | None:
        """The outcomes of events that the model did not score; None where the rules' stand as they are.

        Args:
            outcome: int8[n], what the rules gave.
            alone: bool[n], the events without the model's score.
            off: Codes that are switched off.
            at_ms: int64[n], event times.
            amount: The money at stake.
            account: Moved on.
        """
        step = self.step(off)
        if step is None or amount is None or not alone.any():
            return None
        minor = amount.values.astype(np.int64, copy=False)
        valid = np.ones(len(minor), np.bool_) if amount.valid is None else amount.valid
        by_amount = np.zeros(len(minor), np.bool_)
        raised = outcome.copy()
        if step.by is By.AMOUNT:
            for limit, level in ((step.review_from_minor, REVIEW), (step.block_from_minor, BLOCK)):
                if limit is not None:
                    reached = alone & valid & (minor >= limit) & (raised < level)
                    raised[reached] = level
                    by_amount |= reached
            unknown = alone & ~valid & (raised < REVIEW)
            raised[unknown] = REVIEW
            by_amount |= unknown
        over = np.zeros(len(minor), np.bool_)
        if step.at_most_minor is not None:
            wanted = alone & (raised == APPROVE)
            over = spend(at_ms, minor, valid, wanted, account.values, step.per_ms, step.at_most_minor)
            raised[over] = REVIEW
        return FellBack(raised, by_amount, over)
