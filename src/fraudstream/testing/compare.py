"""What a case expects against what an engine gave, as differences a person reads."""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose

from fraudstream.plan.plan import Plan
from fraudstream.testing.cases import EventRow, expected_value
from fraudstream.testing.decide import Verdict
from fraudstream.testing.oracle import Answer, Value


def differences(plan: Plan, row: EventRow, answer: Answer, verdict: Verdict | None = None) -> list[str]:
    """Everything in which an answer is not what the row expects; nothing if it is.

    Args:
        plan: The case's plan.
        row: The event with its expectations.
        answer: What the engine gave.
        verdict: What was decided; None where the engine gives features only, and then that is not compared.
    """
    return [f"line {row.line}: {text}" for text in _differences(plan, row, answer, verdict)]


def same(expected: Value, found: Value, *, digits: int | None = None) -> bool:
    """Whether two values are one: of the same type and equal; floats to 12 digits, or rounded to `digits` decimals."""
    if isinstance(expected, float) and isinstance(found, float):
        if digits is not None:
            return abs(expected - found) <= 0.5000001 * 10.0**-digits
        return isclose(expected, found, rel_tol=1e-12, abs_tol=1e-12)
    return type(expected) is type(found) and expected == found


def _differences(plan: Plan, row: EventRow, answer: Answer, verdict: Verdict | None) -> Iterator[str]:
    for name, text in row.expect.items():
        if name not in answer.features:
            continue
        expected = None if text is None else expected_value(plan, name, text, row.line)
        found = answer.features[name]
        # `~343.6` is a number rounded for people.
        digits = len(text.partition(".")[2]) if text is not None and text.startswith("~") else None
        if not same(expected, found, digits=digits):
            yield f"{name} is {found!r}, expected {expected!r}"
    is_late = row.expect.get("late") == "true"
    if answer.late != is_late:
        yield f"late is {answer.late}, expected {is_late}"
    first = row.expect.get("duplicate_of")
    found_first = None if answer.duplicate_of is None else str(answer.duplicate_of[1])
    if found_first != first:
        yield f"duplicate of {found_first}, expected {first}"
    if verdict is not None:
        yield from _verdict_differences(row, verdict)


def _verdict_differences(row: EventRow, verdict: Verdict) -> Iterator[str]:
    for name, found in (("outcome", verdict.outcome), ("risk_level", verdict.risk_level)):
        if name in row.expect and row.expect[name] != found:
            yield f"{name} is {found}, expected {row.expect[name]}"
    if "rules" in row.expect and list(row.expect["rules"] or []) != list(verdict.rules_hit):
        yield f"rules hit are {list(verdict.rules_hit)}, expected {row.expect['rules']}"
    score = verdict.score
    if "score" in row.expect:
        expected = None if row.expect["score"] is None else float(row.expect["score"])
        if not same(expected, score):
            yield f"score is {score}, expected {expected}"
    at_least = row.expect.get("score_at_least")
    if at_least is not None and (score is None or score < float(at_least)):
        yield f"score is {score}, expected at least {at_least}"
