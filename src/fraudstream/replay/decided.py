"""All decisions on record, as a history to run again and as what to compare with."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from fraudstream.engine.column import Bools, Int64s
from fraudstream.engine.decisions import Int8s
from fraudstream.errors import DataError
from fraudstream.evaluate.outcomes import OUTCOMES
from fraudstream.plan.plan import Plan
from fraudstream.replay.past import UNKNOWN_MS, Past
from fraudstream.replay.recorded import LET_THROUGH, Decision, Outputs
from fraudstream.replay.run import DUPLICATE, NOT_DECIDED

_CODE_OF = {name: code for code, name in enumerate(OUTCOMES)}


@dataclass
class OnRecord:
    """What was decided then.

    Attributes:
        outcome: int8[rows]: 0 approve, 1 review, 2 block, or as `replay.run` says.
        hits: bool[rules, rows].
        rules: The codes of the rules that ever hit.
        event_at_ms: int64[rows].
    """

    outcome: Int8s
    hits: Bools
    rules: tuple[str, ...]
    event_at_ms: Int64s

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the rules."""
        return self.rules

    def only_between(self, from_ms: int | None, to_ms: int | None) -> None:
        """Forgets what was decided outside a period of event time."""
        if from_ms is not None:
            self.outcome[self.event_at_ms < from_ms] = NOT_DECIDED
        if to_ms is not None:
            self.outcome[self.event_at_ms >= to_ms] = NOT_DECIDED


def read_decided(outputs: Outputs, plan: Plan, source: str) -> tuple[Past, OnRecord]:
    """Every decision on the pipeline's input, in the order in which they were made; of several on one event the first.

    Raises:
        DataError: There is none.
    """
    topic = plan.pipeline.input.name
    found: dict[tuple[int, int], tuple[Decision, bytes]] = {}
    for output in outputs():
        if output.decision is not None and output.place.topic == topic:
            found.setdefault((output.place.partition, output.place.offset), (_lean(output.decision), output.event))
    if not found:
        raise DataError(
            f"No decision on an event of {topic} is in {source}.",
            "Decisions in envelope form are needed: a route `{carries: all, form: envelope}`. Or give a file of "
            "history with --data.",
        )
    ordered = sorted(found.values(), key=lambda each: each[0].sequence)
    decisions = [decision for decision, _ in ordered]
    is_timed = plan.pipeline.event.time is not None
    count = len(ordered)

    def numbers(values: list[int]) -> Int64s:
        return np.array(values, np.int64)

    past = Past(
        [event for _, event in ordered],
        np.full(count, UNKNOWN_MS, np.int64) if is_timed else numbers([each.event_at for each in decisions]),
        numbers([each.input.partition for each in decisions]),
        numbers([each.input.offset for each in decisions]),
        numbers([each.decided_at for each in decisions]),
        np.array([LET_THROUGH in each.flags for each in decisions], np.bool_),
        [],
    )
    rules = tuple(dict.fromkeys(code for each in decisions for code in each.rules))
    place = {code: index for index, code in enumerate(rules)}
    record = OnRecord(
        np.array([DUPLICATE if "duplicate" in each.flags else _CODE_OF[each.outcome] for each in decisions], np.int8),
        np.zeros((len(rules), count), np.bool_),
        rules,
        numbers([each.event_at for each in decisions]),
    )
    for row, each in enumerate(decisions):
        for code in each.rules:
            record.hits[place[code], row] = True
    return past, record


def _lean(decision: Decision) -> Decision:
    """Without the versions, of which every decision would hold a copy."""
    return msgspec.structs.replace(decision, versions={})
