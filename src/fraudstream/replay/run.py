"""Pipelines over one history: what each decides of every event, and what is known of the events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fraudstream.engine.batch import Batch
from fraudstream.engine.column import Bools, Column, Int64s
from fraudstream.engine.decisions import Decisions, Int8s
from fraudstream.engine.fallback import Account
from fraudstream.engine.program import Program, Scorer
from fraudstream.plan.plan import Plan
from fraudstream.replay.source import Source, Step
from fraudstream.schema.event import Event
from fraudstream.schema.types import Kind
from fraudstream.state.ids import Labels
from fraudstream.units import format_money

NULL = -(2**63)
NOT_DECIDED = -1
DUPLICATE = -2


class Decided(Protocol):
    """What was decided of a history's rows; see `Contender`."""

    outcome: Int8s
    hits: Bools

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the rules."""


class Contender:
    """A pipeline that decides a history.

    Args:
        plan: Its plan.
        scorer: Its model; None: rules alone.

    Attributes:
        outcome: int8[rows]; below 0 where there is none: `NOT_DECIDED` for what is no event or outside the period,
            `DUPLICATE` for a second copy, which is nobody's alert.
        score: float32[rows], NaN without.
        hits: bool[rules, rows].
        degraded: How many were decided without the model the pipeline declares.
    """

    def __init__(self, plan: Plan, scorer: Scorer | None, rows: int) -> None:
        self.plan = plan
        self.program = Program(plan, scorer)
        self.account = Account()
        self.outcome: Int8s = np.full(rows, NOT_DECIDED, np.int8)
        self.score = np.full(rows, np.nan, np.float32)
        self.hits: Bools = np.zeros((len(plan.rules), rows), np.bool_)
        self.degraded = 0

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of its rules."""
        return tuple(rule.definition.code for rule in self.plan.rules)

    def note(self, row: Int64s, made: Decisions, wanted: Bools) -> None:
        """Takes note of the decisions that are wanted, bool[n]."""
        self.outcome[row] = np.where(wanted, np.where(made.duplicate, DUPLICATE, made.outcome), NOT_DECIDED)
        self.score[row] = made.score
        self.hits[:, row] = made.rule_hits
        self.degraded += int(np.count_nonzero(made.degraded & wanted))


@dataclass
class Facts:
    """What is known of the events of a history, by row.

    Attributes:
        event_at_ms: int64[rows].
        amount_minor: int64[rows]; 0 where there is none.
        scale: Digits of the amounts' minor unit.
        fraud: bool[rows], the truth where it is known.
        known: bool[rows], where it is.
        segments: By field, int64[rows]: a number for its value; see `names`.
        names: By field, the value's text by that number.
    """

    event_at_ms: Int64s
    amount_minor: Int64s
    scale: int
    fraud: Bools
    known: Bools
    segments: dict[str, Int64s]
    names: dict[str, dict[int, str]]


def run(
    contenders: Sequence[Contender],
    source: Source,
    *,
    from_ms: int | None = None,
    to_ms: int | None = None,
    segments: Sequence[str] = (),
    show: Callable[[int], None] = lambda events: None,
) -> Facts:
    """Decides a history by every contender.

    What lies before the period moves the state on and is not decided; what comes after it is not read. Contenders whose
    features are the same share them, so that another rule, threshold or model costs little.

    Args:
        contenders: Who decides; the outcomes are noted in them.
        source: The history.
        from_ms, to_ms: The period of event time, its end not included.
        segments: Fields and features of the first contender to tell events apart by.
        show: Told how many rows are done.
    """
    facts = _no_facts(contenders[0].plan, len(source), segments)
    of_events: dict[Event, list[Contender]] = {}
    for contender in contenders:
        of_events.setdefault(contender.plan.pipeline.event, []).append(contender)
    done = 0
    for together in of_events.values():
        runs = [_Run(group) for group in _by_features(together)]
        labelled = next((each.plan for each in together if each.plan.label_retention_ms), together[0].plan)
        for step in source.steps(labelled):
            at_ms = step.batch.event_at_ms
            wanted = np.ones(len(at_ms), np.bool_)
            if from_ms is not None:
                wanted &= at_ms >= from_ms
            if to_ms is not None:
                wanted &= at_ms < to_ms
                if source.in_time_order and at_ms[0] >= to_ms:
                    break
            for each in runs:
                columns = each.step(step, wanted)
                if columns is not None and contenders[0] in each.group:
                    _note(facts, step, columns, contenders[0].plan)
            done += len(step.batch)
            show(done)
    return facts


class _Run:
    """Contenders that share features, and their state."""

    def __init__(self, group: list[Contender]) -> None:
        self.group = group
        self._first = group[0].program
        self._state = self._first.new_state()

    def step(self, step: Step, wanted: Bools) -> dict[str, Column] | None:
        """Moves on, and decides where an event is wanted; returns the columns if any is."""
        labels = step.labels if self.group[0].plan.label_retention_ms else Labels.none()
        if not wanted.any():
            self._first.learn(self._state, step.batch, labels)
            return None
        sequence = self._state.sequence
        features = self._first.featurize(self._state, step.batch, labels)
        for contender in self.group:
            contender.note(
                step.row, contender.program.judge(step.batch, features, sequence, 0, account=contender.account), wanted
            )
        return features.columns


def decided(contenders: Sequence[Decided]) -> Int64s:
    """int64[m]: the rows that all contenders decided, without duplicates."""
    return np.flatnonzero(np.logical_and.reduce([contender.outcome >= 0 for contender in contenders]))


def _by_features(contenders: Sequence[Contender]) -> list[list[Contender]]:
    """Contenders with the same features together; one that computes them for itself is alone."""
    groups: list[list[Contender]] = []
    for contender in contenders:
        plan = contender.plan
        for group in groups:
            other = group[0].plan
            if (plan.features, plan.logs, plan.lists, plan.pipeline.event, plan.dedup_ms) == (
                other.features, other.logs, other.lists, other.pipeline.event, other.dedup_ms
            ):  # fmt: skip
                group.append(contender)
                break
        else:
            groups.append([contender])
    return groups


def _no_facts(plan: Plan, rows: int, segments: Sequence[str]) -> Facts:
    amount = plan.pipeline.event.amount
    return Facts(
        np.full(rows, -1, np.int64),
        np.zeros(rows, np.int64),
        plan.types[amount].scale if amount is not None and plan.types[amount].kind is Kind.DECIMAL else 0,
        np.zeros(rows, np.bool_),
        np.zeros(rows, np.bool_),
        {name: np.full(rows, NULL, np.int64) for name in segments},
        {name: {} for name in segments},
    )


def _note(facts: Facts, step: Step, columns: dict[str, Column], plan: Plan) -> None:
    facts.event_at_ms[step.row] = step.batch.event_at_ms
    facts.fraud[step.row], facts.known[step.row] = step.fraud, step.known
    amount = plan.pipeline.event.amount
    if amount is not None:
        column = columns[amount]
        minor = column.values.astype(np.int64)
        facts.amount_minor[step.row] = minor if column.valid is None else np.where(column.valid, minor, 0)
    for name, numbers in facts.segments.items():
        numbers[step.row] = _numbered(columns[name], step.batch, facts.names[name])


def _numbered(column: Column, batch: Batch, names: dict[int, str]) -> Int64s:
    """int64[n], a number for each value, whose text is noted where it is met first."""
    numbers: Int64s = (
        column.values.view(np.int64) if column.type.kind is Kind.STRING else column.values.astype(np.int64)
    )
    if column.valid is not None:
        numbers = np.where(column.valid, numbers, NULL)
    found, first = np.unique(numbers, return_index=True)
    for number, row in zip(found.tolist(), first.tolist(), strict=True):
        if number not in names:
            names[number] = _text(column, batch, row) if number != NULL else "null"
    return numbers


def _text(column: Column, batch: Batch, row: int) -> str:
    if column.type.kind is Kind.STRING:
        assert column.start is not None and column.length is not None
        start = int(column.start[row])
        return batch.buffer[start : start + int(column.length[row])].tobytes().decode("utf-8", "replace")
    if column.type.kind is Kind.BOOLEAN:
        return "true" if column.values[row] else "false"
    if column.type.kind is Kind.DECIMAL:
        return format_money(int(column.values[row]), column.type.scale)
    return str(int(column.values[row]))
