"""A transaction that hangs on the group's offsets: closed where that cannot repeat anything, else left to a person.

Kafka 4.3 and 4.4 can lose the marker that ends a transaction on a partition which has no leader at that moment
(KAFKA-20734). The offsets of the group then cannot be read, for good. Where the transaction was committed and only the
offsets' marker was lost, its decisions are visible already: aborting it would have them made a second time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import msgspec

from fraudstream.errors import StateError
from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.alternating import AlternatingProducer
from fraudstream.kafka.tail import last_records
from fraudstream.plan.plan import Plan
from fraudstream.runner.inputs import input_topics
from fraudstream.runner.intake import Place
from fraudstream.settings import Settings

LOGGER = logging.getLogger("fraudstream.runner")


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


def closer(
    settings: Settings, plan: Plan, producer: AlternatingProducer, group: str, outputs: Mapping[str, int]
) -> Callable[[], None]:
    """What to call when the group's offsets cannot be read.

    Args:
        settings: Which cluster.
        plan: Whose inputs the offsets are of.
        producer: Under whose transactional ids it hangs.
        group: Whose offsets they are.
        outputs: The topics written to, and their partitions.

    Returns:
        A function that closes what hangs, or raises StateError where decisions of it are visible.
    """

    def close() -> None:
        inputs = set(input_topics(plan))

        def ours(value: bytes | None) -> bool:
            place, _ = _input_of(value)
            return place is not None and place[0] in inputs  # pipelines may share topics

        newest = last_records(settings, list(outputs), ours)
        # Asked afterwards: what another scorer of the group commits meanwhile is covered.
        stable = KafkaAdmin(settings).committed_offsets(group, input_topics(plan))
        committed = {place: partition.offset for place, partition in stable.items()}
        for record in newest:
            place, offset = _input_of(record.value)
            if place is not None and offset >= committed.get(place, 0):
                raise StateError(
                    f"The offsets of the group {group} cannot be read: a transaction hangs on them. Yet {record.topic} "
                    f"shows a record for offset {offset} of {place[0]}, partition {place[1]}, which these offsets do "
                    f"not cover: the transaction was committed, and the broker lost a marker of it (KAFKA-20734). "
                    "Nothing is decided until this is repaired, since it would be decided twice.",
                    "Find it with Kafka's `kafka-transactions.sh find-hanging`. With every scorer stopped, set each "
                    "partition's offset of the group, by `kafka-consumer-groups.sh --reset-offsets`, to the largest "
                    "input offset that the outputs show of it, plus 1. See docs/delivery.md for Kafkas with the fault.",
                )
        LOGGER.warning("nothing of the transaction that hangs can be seen: it is aborted")
        producer.close_hanging(outputs, group, plan.pipeline.input.name)

    return close


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
