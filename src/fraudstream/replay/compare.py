"""What a candidate would have decided otherwise, and what that is worth: in alerts, money and hours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fraudstream.engine.column import Int64s
from fraudstream.engine.decisions import Int8s
from fraudstream.evaluate.outcomes import OUTCOMES, Tally, changes, tally
from fraudstream.plan.plan import Plan
from fraudstream.replay.run import DUPLICATE, Contender, Decided, Facts, decided
from fraudstream.replay.source import Source
from fraudstream.schema.types import Kind
from fraudstream.units import format_instant, format_money

_MOST_SEGMENTS = 12
_AMOUNT_BANDS = "amount"
_MS_PER_DAY = 86_400_000


@dataclass(frozen=True)
class RuleChange:
    """A rule before and after; None where it is not declared."""

    code: str
    hits_before: int | None
    hits_after: int | None
    frauds_before: int
    frauds_after: int


@dataclass(frozen=True)
class SegmentChange:
    """Events with one value of a field."""

    field: str
    value: str
    events: int
    changed: int
    before: Tally
    after: Tally


@dataclass(frozen=True)
class Example:
    """An event that would be decided otherwise."""

    event_id: str
    at: str
    amount: str
    before: str
    after: str
    rules_before: tuple[str, ...]
    rules_after: tuple[str, ...]
    truth: str


@dataclass(frozen=True)
class Comparison:
    """A candidate against what was decided.

    Attributes:
        events: How many both decided; duplicates are left out.
        duplicates: How many second copies there were.
        first_at_ms, last_at_ms: Their period.
        days: How long it is, in days, at least one.
        changed: How many have another outcome.
        matrix: Counts from each outcome (row) to each (column).
        before, after: What the outcomes were worth.
        review_hours: Hours of analysts more, by the candidate; negative: fewer.
        rules, segments, examples: Where the changes are.
        scale: Digits of the money's minor unit.
        only_before, only_after: Events that one of the two did not decide: to it they are no events.
    """

    events: int
    duplicates: int
    first_at_ms: int
    last_at_ms: int
    days: float
    changed: int
    matrix: tuple[tuple[int, ...], ...]
    before: Tally
    after: Tally
    review_hours: float
    rules: tuple[RuleChange, ...]
    segments: tuple[SegmentChange, ...]
    examples: tuple[Example, ...]
    scale: int
    only_before: int
    only_after: int


def compare(
    before: Decided, after: Contender, facts: Facts, source: Source, minutes: float, examples: int
) -> Comparison | None:
    """Compares two contenders; None where they decided nothing in common.

    Args:
        before: What was decided.
        after: The candidate.
        facts: What is known of the events.
        source: Where they are from, for the examples.
        minutes: How long an analyst takes for a review.
        examples: How many changes to show of each kind.
    """
    rows = decided([before, after])
    if not len(rows):
        return None
    old, new = before.outcome[rows], after.outcome[rows]
    at_ms = facts.event_at_ms[rows]
    was, would = _tally(old, rows, facts), _tally(new, rows, facts)
    first, last = int(at_ms.min()), int(at_ms.max())
    return Comparison(
        events=len(rows),
        duplicates=int(np.count_nonzero(after.outcome == DUPLICATE)),
        first_at_ms=first,
        last_at_ms=last,
        days=max((last - first) / _MS_PER_DAY, 1.0),
        changed=int(np.count_nonzero(old != new)),
        matrix=tuple(tuple(row) for row in changes(old, new).tolist()),
        before=was,
        after=would,
        review_hours=(would.reviewed - was.reviewed) * minutes / 60,
        rules=tuple(_rules(before, after, rows, facts)),
        segments=tuple(_segments(old, new, rows, facts)),
        examples=tuple(_examples(before, after, rows, facts, source, examples)),
        scale=facts.scale,
        only_before=int(np.count_nonzero((before.outcome >= 0) & (after.outcome == -1))),
        only_after=int(np.count_nonzero((after.outcome >= 0) & (before.outcome == -1))),
    )


def _tally(outcome: Int8s, rows: Int64s, facts: Facts) -> Tally:
    return tally(outcome, facts.fraud[rows], facts.known[rows], facts.amount_minor[rows])


def _rules(before: Decided, after: Contender, rows: Int64s, facts: Facts) -> list[RuleChange]:
    fraud = (facts.fraud & facts.known)[rows]
    found = []
    for code in dict.fromkeys([*before.codes, *after.codes]):
        counts: list[tuple[int | None, int]] = []
        for contender in (before, after):
            if code not in contender.codes:
                counts.append((None, 0))
                continue
            hits = contender.hits[contender.codes.index(code)][rows]
            counts.append((int(np.count_nonzero(hits)), int(np.count_nonzero(hits & fraud))))
        (old, old_frauds), (new, new_frauds) = counts
        found.append(RuleChange(code, old, new, old_frauds, new_frauds))
    return found


def _segments(old: Int8s, new: Int8s, rows: Int64s, facts: Facts) -> list[SegmentChange]:
    """By each field its values with most changes; without any field asked for, by size of amount."""
    of_field = {name: (numbers[rows], facts.names[name]) for name, numbers in facts.segments.items()}
    if not of_field and facts.amount_minor.any():
        of_field = {_AMOUNT_BANDS: _bands(facts.amount_minor[rows], facts.scale)}
    found = []
    for field, (numbers, names) in of_field.items():
        values, which = np.unique(numbers, return_inverse=True)
        moved = np.bincount(which, old != new, len(values)).astype(np.int64)
        chosen = np.lexsort((-np.bincount(which), -moved))[:_MOST_SEGMENTS]
        if field == _AMOUNT_BANDS and not facts.segments:
            chosen = np.sort(chosen)
        for place in chosen.tolist():
            inside = np.flatnonzero(which == place)
            parts = [_tally(outcome[inside], rows[inside], facts) for outcome in (old, new)]
            name = names.get(int(values[place]), "null")
            found.append(SegmentChange(field, name, len(inside), int(moved[place]), parts[0], parts[1]))
    return found


def _bands(amount_minor: Int64s, scale: int) -> tuple[Int64s, dict[int, str]]:
    """Amounts by powers of ten of the major unit."""
    edges = np.array([10 ** (scale + power) for power in range(7)], np.int64)
    names = {0: "below 1"} | {power + 1: f"from {10**power:,}" for power in range(7)}
    return np.searchsorted(edges, amount_minor, side="right").astype(np.int64), names


def _examples(
    before: Decided, after: Contender, rows: Int64s, facts: Facts, source: Source, most: int
) -> list[Example]:
    """Of each kind of change those with the greatest amounts, known frauds and known genuine events first."""
    found: list[Example] = []
    for old in range(3):
        for new in range(3):
            of_kind = rows[(before.outcome[rows] == old) & (after.outcome[rows] == new)] if old != new else rows[:0]
            order = np.lexsort((of_kind, -facts.amount_minor[of_kind], ~facts.known[of_kind]))
            chosen = of_kind[order[:most]]
            if len(chosen):
                ids = _ids(after.plan, source, chosen)
                found += [_example(before, after, row, facts, ids[i]) for i, row in enumerate(chosen.tolist())]
    return found


def _example(before: Decided, after: Contender, row: int, facts: Facts, event_id: str) -> Example:
    rules = [
        tuple(code for code, hit in zip(each.codes, each.hits[:, row].tolist(), strict=True) if hit)
        for each in (before, after)
    ]
    truth = "unknown" if not facts.known[row] else "fraud" if facts.fraud[row] else "genuine"
    return Example(
        event_id,
        format_instant(int(facts.event_at_ms[row])),
        format_money(int(facts.amount_minor[row]), facts.scale),
        OUTCOMES[before.outcome[row]],
        OUTCOMES[after.outcome[row]],
        rules[0],
        rules[1],
        truth,
    )


def _ids(plan: Plan, source: Source, rows: npt.NDArray[np.int64]) -> list[str]:
    """The ids of events; their places where events have none."""
    event = plan.pipeline.event
    batch = source.events(plan, rows)
    if event.id is None:
        places = zip(batch.partition.tolist(), batch.offset.tolist(), strict=True)
        return [f"{batch.topic}/{partition}/{offset}" for partition, offset in places]
    column = batch.columns[event.id]
    if column.type.kind is Kind.STRING:
        assert column.start is not None and column.length is not None
        spans = zip(column.start.tolist(), column.length.tolist(), strict=True)
        return [batch.buffer[start : start + size].tobytes().decode("utf-8", "replace") for start, size in spans]
    return [str(value) for value in column.values.tolist()]
