"""The fallback ladder of a policy: what is wrong with it is said in its place, and amounts become minor units."""

from __future__ import annotations

from typing import Any

import pytest

from fraudstream.define.fallback import By
from fraudstream.define.load import parse_definition
from fraudstream.errors import DefinitionError
from fraudstream.plan.explain import explain
from fraudstream.plan.load import plan_definition
from fraudstream.plan.plan import Plan, PlannedFallback

TEXT = """
name: small
input: events
event: {{id: id, {amount}fields: {{id: string, amount: decimal(2)}}}}
rules: {{HIGH: {{when: amount > 100, action: review}}}}
{model}
policy: {{fallback: {fallback}}}
"""


def planned(fallback: str, *, amount: str = "amount: amount, ", model: str = "model: {features: [amount]}") -> Plan:
    return plan_definition(parse_definition(TEXT.format(fallback=fallback, amount=amount, model=model)))


def test_amounts_are_minor_units_and_a_word_is_a_step() -> None:
    plan = planned("[rules, {by: amount, review_from: 12.5, block_from: 100, at_most: 0.1, per: 1d}]")
    rules, amount = plan.fallback
    assert rules == PlannedFallback(
        by=By.RULES, review_from_minor=None, block_from_minor=None, at_most_minor=None, per_ms=3_600_000
    )
    assert amount == PlannedFallback(
        by=By.AMOUNT, review_from_minor=1_250, block_from_minor=10_000, at_most_minor=10, per_ms=86_400_000
    )
    said = "without it  rules; else by amount: review from 12.5, block from 100, at most 0.1 approved in 1d"
    assert said in explain(plan)
    assert planned("rules").fallback == (rules,)
    assert planned("rules", model="").fallback == ()


@pytest.mark.parametrize(
    ("fallback", "replaced", "path", "found"),
    [
        ("[model]", {}, "policy.fallback.0", "'model' is not allowed here"),
        ("[{at_most: 5}]", {}, "policy.fallback.0", "`by` is missing"),
        ("[rules, rules]", {}, "policy.fallback", "named twice"),
        ("[{by: amount, review_from: 5}, rules]", {}, "policy.fallback", "never reached"),
        ("[{by: amount}]", {}, "policy.fallback.0", "no limit"),
        ("[{by: amount, review_from: 5, block_from: 4}]", {}, "policy.fallback.0", "review from 5, block from 4"),
        ("[{by: rules, review_from: 5}]", {}, "policy.fallback.0.review_from", "by rules"),
        ("[{by: rules, at_most: -1}]", {}, "policy.fallback.0.at_most", "-1"),
        ("[{by: rules, at_most: 1, per: soon}]", {}, "policy.fallback.0.per", "not a duration"),
        ("[{by: rules, at_most: 1}]", {"amount": ""}, "policy.fallback.0", "the event has no amount"),
        ("[{by: rules, at_most: 1}]", {"model": ""}, "policy.fallback", "declares no model"),
    ],
)
def test_what_is_wrong_is_said_in_its_place(fallback: str, replaced: dict[str, Any], path: str, found: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        planned(fallback, **replaced)
    assert any(problem.path == path and found in str(problem) for problem in caught.value.problems), caught.value
