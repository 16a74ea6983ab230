"""The oracle's second half: rules, score and policy, as plainly as they can be said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from fraudstream.define.decision import Action, Outcome, RiskLevel, Stage
from fraudstream.plan.plan import Plan
from fraudstream.testing.evaluate import evaluate_plain
from fraudstream.testing.oracle import Value

STRICTNESS = (Outcome.APPROVE, Outcome.REVIEW, Outcome.BLOCK)


class Verdict(NamedTuple):
    """What is decided about an event.

    Attributes:
        outcome: What is to be done.
        score: 0 to 1; None where the pipeline has neither rules nor a model score.
        risk_level: The band of the score.
        rules_hit: The codes of the rules that hit, in their declared order.
    """

    outcome: Outcome
    score: float | None
    risk_level: RiskLevel
    rules_hit: tuple[str, ...]


def decide(plan: Plan, values: Mapping[str, Value], model_score: float | None) -> Verdict:
    """The verdict on an event.

    Args:
        plan: The pipeline's plan.
        values: The event's fields and features by name.
        model_score: What the model says, 0 to 1; None without a model.
    """
    hits = [rule for rule in plan.rules if evaluate_plain(rule.when, values) is True]
    asked = {rule.definition.action for rule in hits}
    scores = [rule.score for rule in hits if rule.definition.action is not Action.ALLOW]
    score_steps = [rule.score for rule in hits if rule.definition.action is Action.SCORE]
    if model_score is not None:
        scores.append(model_score)
        score_steps.append(model_score)
    score = max(scores, default=0.0 if plan.rules else None)
    return Verdict(
        outcome=_outcome(plan, asked, max(score_steps, default=None)),
        score=score,
        risk_level=_risk_level(plan, score),
        rules_hit=tuple(rule.definition.code for rule in hits),
    )


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
