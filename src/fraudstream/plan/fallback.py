"""The fallback ladder, checked: amounts in minor units, periods in milliseconds."""

from __future__ import annotations

from decimal import Decimal

from fraudstream.define.fallback import DEFAULT_LADDER, By, Fallback
from fraudstream.plan.plan import PlannedFallback
from fraudstream.plan.scope import Scope

_LARGEST = 10**15
"""Major units; beyond it amounts have no cents any more."""


def plan_fallback(scope: Scope) -> tuple[PlannedFallback, ...]:
    """The steps of the policy's ladder; nothing for a pipeline without a model, which has nothing to fall back from."""
    steps = scope.pipeline.policy.fallback
    path = "policy.fallback"
    if scope.pipeline.model is None:
        if steps != DEFAULT_LADDER:
            scope.problem(path, "the pipeline declares no model.", "Leave it out: the rules decide in any case.")
        return ()
    if not steps:
        scope.problem(path, "no step.", f"Name at least one of {', '.join(By)}.")
    kinds = [step.by for step in steps]
    if len(set(kinds)) != len(kinds):
        scope.problem(path, "a step is named twice.", f"Name each of {', '.join(By)} at most once.")
    elif By.AMOUNT in kinds[:-1]:
        scope.problem(path, "a step after `amount` is never reached.", "Name `amount` last.")
    return tuple(_planned(scope, f"{path}.{i}", step) for i, step in enumerate(steps))


def _planned(scope: Scope, path: str, step: Fallback) -> PlannedFallback:
    name = scope.pipeline.event.amount
    needs_amount = step.by is By.AMOUNT or step.at_most is not None
    if needs_amount and name is None:
        scope.problem(path, "the event has no amount.", "Say which field is: `amount` in `event`.")
    limits = {"review_from": step.review_from, "block_from": step.block_from}
    given = {key: value for key, value in limits.items() if value is not None}
    if step.by is By.AMOUNT and not given:
        scope.problem(path, "no limit.", "Give `review_from`, `block_from` or both.")
    if step.by is By.RULES:
        for key in given:
            scope.problem(f"{path}.{key}", "the step is by rules.", "It belongs to a step by amount.")
    if step.review_from is not None and step.block_from is not None and step.review_from > step.block_from:
        scope.problem(path, f"review from {step.review_from:g}, block from {step.block_from:g}.", "They must rise.")
    if step.at_most is not None:
        given["at_most"] = step.at_most
    for key, value in given.items():
        if not 0 <= value <= _LARGEST:
            scope.problem(f"{path}.{key}", f"{value:g}.", f"Use 0 to {_LARGEST:g}.")
    amount = scope.field_types.get(name or "")
    scale = 0 if amount is None else amount.scale
    return PlannedFallback(
        by=step.by,
        review_from_minor=_minor(given.get("review_from"), scale),
        block_from_minor=_minor(given.get("block_from"), scale),
        at_most_minor=_minor(given.get("at_most"), scale),
        per_ms=scope.duration(f"{path}.per", step.per),
    )


def _minor(amount: float | None, scale: int) -> int | None:
    return None if amount is None else int(Decimal(str(amount)).scaleb(scale).to_integral_value())
