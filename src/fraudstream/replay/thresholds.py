"""A history as thresholds see it: of every event the score, and the outcome on each side of them."""

from __future__ import annotations

import msgspec
import numpy as np

from fraudstream.engine.column import Bools, Int64s
from fraudstream.engine.decide import Decider
from fraudstream.engine.decisions import Decisions
from fraudstream.engine.program import Scorer
from fraudstream.evaluate.budget import Scored
from fraudstream.plan.plan import Plan
from fraudstream.replay.run import Contender, Facts, decided

_NEVER, _ALWAYS = float("inf"), float("-inf")


class OpenContender(Contender):
    """A pipeline whose thresholds are not yet chosen.

    The model's stage of a policy only asks whether a score reaches a threshold. So three outcomes say all about an
    event: where it reaches none, the review threshold, or both.

    Args:
        plan: Its plan.
        scorer: Its model.
        rows: How many rows the history has.
    """

    def __init__(self, plan: Plan, scorer: Scorer | None, rows: int) -> None:
        policy = msgspec.structs.replace(plan.pipeline.policy, let_through=None)
        super().__init__(_with_policy(plan, policy), scorer, rows)
        self._deciders = [
            Decider(_with_policy(plan, msgspec.structs.replace(policy, review_at=review_at, block_at=block_at)))
            for review_at, block_at in ((_NEVER, _NEVER), (_ALWAYS, _NEVER), (_ALWAYS, _ALWAYS))
        ]
        self._outcomes = np.zeros((3, rows), np.int8)
        self._speaking = np.full(rows, _ALWAYS, np.float64)

    def note(self, row: Int64s, made: Decisions, wanted: Bools) -> None:
        """Takes note of the decisions that are wanted."""
        super().note(row, made, wanted)
        speaking = self._deciders[0].speaking(made.rule_hits, made.model_score)
        self._speaking[row] = np.where(np.isnan(speaking), _ALWAYS, speaking)
        for outcomes, decider in zip(self._outcomes, self._deciders, strict=True):
            outcomes[row] = decider.decide(made.rule_hits, made.model_score)[0]

    def scored(self, facts: Facts, per_ms: int) -> Scored:
        """The events it decided, in periods of a length, without what was in the first and last one only in part."""
        rows = decided([self])
        rows = rows[np.argsort(facts.event_at_ms[rows], kind="stable")]
        at_ms = facts.event_at_ms[rows]
        period = at_ms // per_ms
        if len(rows):
            first, last = int(at_ms[0]), int(at_ms[-1])
            # A period is whole if events reach into its first and its last tenth; a short history is taken as it is.
            begin = period[0] + (first % per_ms > per_ms // 10)
            end = period[-1] - (last % per_ms < per_ms - per_ms // 10)
            whole = (period >= begin) & (period <= end)
            rows, period = (rows[whole], period[whole]) if whole.any() else (rows, period)
        start = int(period[0]) if len(rows) else 0
        silent, reviewed, blocked = self._outcomes[:, rows]
        return Scored(
            self._speaking[rows],
            silent,
            reviewed,
            blocked,
            facts.fraud[rows],
            facts.known[rows],
            facts.amount_minor[rows] / 10.0**facts.scale,
            period - start,
            int(period[-1]) - start + 1 if len(rows) else 0,
        )


def _with_policy(plan: Plan, policy: object) -> Plan:
    return msgspec.structs.replace(plan, pipeline=msgspec.structs.replace(plan.pipeline, policy=policy))
