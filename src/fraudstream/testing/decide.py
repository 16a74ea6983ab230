"""The oracle's second half: rules, score and policy, as plainly as they can be said."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from fraudstream.define.decision import Action, Outcome, RiskLevel, Stage
from fraudstream.define.fallback import MODEL_SCORE, By
from fraudstream.plan.plan import Plan
from fraudstream.testing.evaluate import evaluate_plain
from fraudstream.testing.oracle import Value
from fraudstream.units import parse_duration

STRICTNESS = (Outcome.APPROVE, Outcome.REVIEW, Outcome.BLOCK)


@dataclass
class Account:
    """The money approved without the model in the running period of event time.

    Attributes:
        since: The start of the period, epoch milliseconds.
        spent: What was approved in it, minor units.
    """

    since: int = 0
    spent: int = 0


class Verdict(NamedTuple):
    """What is decided about an event.

    Attributes:
        outcome: What is to be done.
        score: 0 to 1; None where the pipeline has neither rules nor a model score.
        risk_level: The band of the score.
        rules_hit: The codes of the rules that hit, in their declared order.
        by_amount: Whether the amount alone gave the outcome, without the model.
        over_limit: Whether it is reviewed because no more money may be approved without the model.
        let_through: Whether it would have been blocked, and is approved as part of the sample.
    """

    outcome: Outcome
    score: float | None
    risk_level: RiskLevel
    rules_hit: tuple[str, ...]
    by_amount: bool = False
    over_limit: bool = False
    let_through: bool = False


def decide(
    plan: Plan,
    values: Mapping[str, Value],
    model_score: float | None,
    *,
    event_at: int = 0,
    off: Collection[str] = (),
    account: Account | None = None,
) -> Verdict:
    """The verdict on an event.

    Args:
        plan: The pipeline's plan.
        values: The event's fields and features by name.
        model_score: What the model says, 0 to 1; None without a model.
        event_at: Event time, epoch milliseconds.
        off: Codes of rules that are switched off, and MODEL_SCORE for the model.
        account: What was approved without the model so far; moved on.
    """
    if MODEL_SCORE in off:
        model_score = None
    live = [rule for rule in plan.rules if rule.definition.code not in off]
    hits = [rule for rule in live if evaluate_plain(rule.when, values) is True]
    asked = {rule.definition.action for rule in hits}
    scores = [rule.score for rule in hits if rule.definition.action is not Action.ALLOW]
    score_steps = [rule.score for rule in hits if rule.definition.action is Action.SCORE]
    if model_score is not None:
        scores.append(model_score)
        score_steps.append(model_score)
    score = max(scores, default=0.0 if plan.rules else None)
    verdict = Verdict(
        outcome=_outcome(plan, asked, max(score_steps, default=None)),
        score=score,
        risk_level=_risk_level(plan, score),
        rules_hit=tuple(rule.definition.code for rule in hits),
    )
    if plan.pipeline.model is None or model_score is not None:
        return verdict
    return _fallen_back(plan, values, verdict, bool(live), event_at, account or Account())


def _fallen_back(
    plan: Plan, values: Mapping[str, Value], verdict: Verdict, has_rules: bool, event_at: int, account: Account
) -> Verdict:
    """What the first step of the ladder that can decide makes of the rules' verdict."""
    step = next((step for step in plan.fallback if step.by is By.AMOUNT or has_rules), None)
    if step is None:
        return verdict
    amount = values.get(plan.pipeline.event.amount or "")
    assert amount is None or isinstance(amount, int)
    if step.by is By.AMOUNT:
        asked = Outcome.REVIEW if amount is None else Outcome.APPROVE
        if amount is not None and step.review_from_minor is not None and amount >= step.review_from_minor:
            asked = Outcome.REVIEW
        if amount is not None and step.block_from_minor is not None and amount >= step.block_from_minor:
            asked = Outcome.BLOCK
        if STRICTNESS.index(asked) > STRICTNESS.index(verdict.outcome):
            verdict = verdict._replace(outcome=asked, by_amount=True)
    if step.at_most_minor is None or verdict.outcome is not Outcome.APPROVE:
        return verdict
    start = event_at - event_at % step.per_ms
    if start > account.since:
        account.since, account.spent = start, 0
    if amount is None or account.spent + max(0, amount) > step.at_most_minor:
        return verdict._replace(outcome=Outcome.REVIEW, over_limit=True)
    account.spent += max(0, amount)
    return verdict


class LetThroughOracle:
    """The let-through sample, event by event in processing order.

    An event that would be blocked is approved if it is drawn, no duplicate, has an amount that is not negative, and the
    money let through in its period stays within the bound. Periods only go forward: once an event of a later one was
    let through, none of an earlier one is.
    """

    def __init__(self, plan: Plan) -> None:
        declared, amount = plan.pipeline.policy.let_through, plan.pipeline.event.amount
        assert declared is not None and amount is not None
        self._share, self._per_ms = declared.share, parse_duration(declared.per)
        self._bound = Decimal(str(declared.at_most)) * 10 ** plan.types[amount].scale
        self._passed: list[tuple[int, int]] = []

    def of(
        self, verdict: Verdict, fingerprint: int, event_at_ms: int, amount: int | None, *, is_duplicate: bool
    ) -> Verdict:
        """The verdict as it is given; `fingerprint` is the low half of that of the event's id."""
        period = event_at_ms // self._per_ms
        is_drawn = (fingerprint >> 11) / 2**53 < self._share
        if verdict.outcome is not Outcome.BLOCK or is_duplicate or not is_drawn or amount is None or amount < 0:
            return verdict
        if any(passed > period for passed, _ in self._passed):
            return verdict
        if sum(minor for passed, minor in self._passed if passed == period) + amount > self._bound:
            return verdict
        self._passed.append((period, amount))
        return verdict._replace(outcome=Outcome.APPROVE, let_through=True)


def _outcome(plan: Plan, asked: set[Action], score: float | None) -> Outcome:
    """Walks the policy's precedence, weakest first: `allow` resets, everything else only raises."""
    policy = plan.pipeline.policy
    outcome = Outcome.APPROVE
    for stage in policy.precedence:
        if stage is Stage.ALLOW and Action.ALLOW in asked:
            outcome = Outcome.APPROVE
        elif stage is Stage.MODEL and score is not None:
            if score >= policy.block_threshold:
                outcome = _stricter(outcome, Outcome.BLOCK)
            elif score >= policy.review_threshold:
                outcome = _stricter(outcome, Outcome.REVIEW)
        elif stage is Stage.REVIEW and Action.REVIEW in asked:
            outcome = _stricter(outcome, Outcome.REVIEW)
        elif stage is Stage.BLOCK and Action.BLOCK in asked:
            outcome = _stricter(outcome, Outcome.BLOCK)
    return outcome


def _stricter(one: Outcome, other: Outcome) -> Outcome:
    return max(one, other, key=STRICTNESS.index)


def _risk_level(plan: Plan, score: float | None) -> RiskLevel:
    policy = plan.pipeline.policy
    if score is None or score < policy.medium:
        return RiskLevel.LOW
    if score < policy.high:
        return RiskLevel.MEDIUM
    return RiskLevel.HIGH if score < policy.critical else RiskLevel.CRITICAL
