"""Whether the group's offsets cover the decisions that can be seen: where they do not, going on would decide twice.

A transaction makes decisions visible and offsets committed, both or neither. So offsets that lie behind a visible
decision are wrong: a broker lost them or has not read them all yet, or somebody set them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from fraudstream.errors import StateError
from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.tail import last_records
from fraudstream.plan.plan import Plan
from fraudstream.runner.inputs import input_topics
from fraudstream.runner.intake import Place
from fraudstream.settings import Settings

SET_THEM = (
    "With every scorer stopped, set each partition's offset of the group, by `kafka-consumer-groups.sh "
    "--reset-offsets`, to the largest input offset that the outputs show of it, plus 1."
)


class Shown(NamedTuple):
    """A record of an output that tells what was decided.

    Attributes:
        topic: The output.
        place, offset: Of which input record it tells.
    """

    topic: str
    place: Place
    offset: int


class _Input(msgspec.Struct):
    topic: str
    partition: int
    offset: int


class _Named(msgspec.Struct):
    """An alert, a dead letter, or the decision of an envelope."""

    input: _Input


class _Envelope(msgspec.Struct):
    decision: _Named


class _Flat(msgspec.Struct):
    decision_id: str


def newest_shown(settings: Settings, plan: Plan, outputs: Mapping[str, int]) -> Iterator[Shown]:
    """What the newest visible record of each output partition tells of the pipeline's inputs.

    Args:
        settings: Which cluster.
        plan: Whose inputs.
        outputs: The topics written to, and their partitions.

    Raises:
        BrokerUnreachable, TopicError: The outputs cannot be read.
    """
    inputs = set(input_topics(plan))

    def ours(value: bytes | None) -> bool:
        place, _ = _input_of(value)
        return place is not None and place[0] in inputs  # pipelines may share topics

    for record in last_records(settings, list(outputs), ours):
        place, offset = _input_of(record.value)
        if place is not None:
            yield Shown(record.topic, place, offset)


def guard(
    settings: Settings,
    plan: Plan,
    group: str,
    outputs: Mapping[str, int],
    suspected: Callable[[Mapping[Place, int]], bool],
) -> Callable[[Mapping[Place, int]], StateError | None]:
    """What says of committed offsets that they are behind a visible decision; None where they cover all that is seen.

    Places without a committed offset are passed over, and so are decisions about offsets that the input does not have:
    it was made anew.

    Args:
        settings: Which cluster.
        plan: Whose inputs the offsets are of.
        group: Whose offsets they are.
        outputs: The topics written to, and their partitions.
        suspected: Whether it is worth looking at the outputs for such offsets.
    """

    def uncovered(committed: Mapping[Place, int]) -> StateError | None:
        if not suspected(committed):
            return None
        shown = newest_shown(settings, plan, outputs)
        behind = [each for each in shown if each.place in committed and each.offset >= committed[each.place]]
        ends = KafkaAdmin(settings).end_offsets({each.place[0] for each in behind}) if behind else {}
        for each in behind:
            topic, partition = each.place
            if each.offset < ends.get(each.place, 0):
                return StateError(
                    f"The group {group} has offset {committed[each.place]} of {topic}, partition {partition}, and "
                    f"{each.topic} shows what was decided of offset {each.offset}: its offsets went back, and all from "
                    "there on would be decided a second time. Nothing is decided until this is repaired.",
                    SET_THEM + " To decide them again on purpose, use `fraudstream rescore`, or a new group (--group).",
                )
        return None

    return uncovered


_FORMS: tuple[type[_Envelope | _Flat | _Named], ...] = (_Envelope, _Flat, _Named)


def _input_of(value: bytes | None) -> tuple[Place | None, int]:
    """The input place and offset that an output record names; (None, -1) where it names none, as another program's."""
    for form in _FORMS:
        try:
            record = msgspec.json.decode(value or b"", type=form)
            if isinstance(record, _Flat):
                topic, partition, offset = record.decision_id.rsplit("-", 2)
                return (topic, int(partition)), int(offset)
        except (msgspec.MsgspecError, ValueError):
            continue
        named = (record.decision if isinstance(record, _Envelope) else record).input
        return (named.topic, named.partition), named.offset
    return None, -1
