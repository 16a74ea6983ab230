"""Rules over a history: what each would have found, what only it would have, and which are dead."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
import numpy as np

from fraudstream.define.decision import Action, Rule
from fraudstream.errors import UsageError
from fraudstream.evaluate.outcomes import Tally, tally
from fraudstream.evaluate.rules import RuleWorth, overlap, worth_of_rules
from fraudstream.plan.compile import plan_of
from fraudstream.plan.plan import Plan
from fraudstream.replay.run import Contender, Facts, decided

_MS_PER_DAY = 86_400_000
_CANDIDATE = re.compile(r"\s*([A-Za-z]\w*)\s*:\s*(.+)", re.DOTALL)


class Backtest(msgspec.Struct, frozen=True, kw_only=True):
    """Rules on the events of a history, without duplicates.

    Attributes:
        events: How many.
        days: How long their period is, in days, at least one.
        frauds: How many are known frauds.
        fraud_minor: Their money.
        known: Of how many the truth is known.
        scale: Digits of the money's minor unit.
        codes: The rules, in the pipeline's order, candidates last.
        actions: What each asks for.
        worth: What each is worth.
        overlap: On how many events both of two rules hit.
        dead: The rules that never hit.
        together: The outcomes of rules and policy together, without the model.
    """

    events: int
    days: float
    frauds: int
    fraud_minor: int
    known: int
    scale: int
    codes: tuple[str, ...]
    actions: tuple[str, ...]
    worth: tuple[RuleWorth, ...]
    overlap: tuple[tuple[int, ...], ...]
    dead: tuple[str, ...]
    together: Tally


def with_rules(plan: Plan, candidates: Sequence[str]) -> Plan:
    """The plan with candidate rules, written `CODE: predicate`; one whose code is there already takes its place.

    A new rule asks for review.

    Raises:
        UsageError: One is not written so.
        DefinitionError: A predicate does not fit the pipeline.
    """
    rules = {rule.code: rule for rule in plan.pipeline.rules}
    for text in candidates:
        found = _CANDIDATE.fullmatch(text)
        if found is None:
            raise UsageError(f"--rule {text!r} is not understood.", 'Write --rule "CODE: amount > 100".')
        code, when = found.groups()
        new = Rule(code=code, when=when.strip(), action=Action.REVIEW)
        rules[code] = msgspec.structs.replace(rules[code], when=new.when) if code in rules else new
    return plan_of(msgspec.structs.replace(plan.pipeline, rules=tuple(rules.values())))


def backtest(contender: Contender, facts: Facts) -> Backtest | None:
    """What the rules of a contender are worth on the events it decided; None where there are none."""
    rows = decided([contender])
    if not len(rows):
        return None
    hits = contender.hits[:, rows]
    fraud, known, amount_minor = facts.fraud[rows], facts.known[rows], facts.amount_minor[rows]
    catching = np.array([rule.definition.action is not Action.ALLOW for rule in contender.plan.rules], np.bool_)
    worth = worth_of_rules(hits, catching, fraud, known, amount_minor)
    span_ms = int(facts.event_at_ms[rows].max() - facts.event_at_ms[rows].min())
    is_fraud = fraud & known
    return Backtest(
        events=len(rows),
        days=max(span_ms / _MS_PER_DAY, 1.0),
        frauds=int(np.count_nonzero(is_fraud)),
        fraud_minor=int(amount_minor[is_fraud].sum()),
        known=int(np.count_nonzero(known)),
        scale=facts.scale,
        codes=contender.codes,
        actions=tuple(rule.definition.action.value for rule in contender.plan.rules),
        worth=tuple(worth),
        overlap=tuple(tuple(row) for row in overlap(hits).tolist()),
        dead=tuple(code for code, each in zip(contender.codes, worth, strict=True) if not each.hits),
        together=tally(contender.outcome[rows], fraud, known, amount_minor),
    )
