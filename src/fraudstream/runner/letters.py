"""The dead letters of a pipeline, as they stand in their topic."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import msgspec

from fraudstream.engine.deadletter import NOTE, original_of, sealed_parts
from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.resend import Spot
from fraudstream.kafka.tail import TopicTail
from fraudstream.plan.plan import Plan
from fraudstream.settings import Settings


class Letter(NamedTuple):
    """A dead letter.

    Attributes:
        place: Where it stands.
        written_at_ms: When it was written, by its Kafka timestamp.
        kind: Its class.
        came_from: Where the record stands that became it.
        members: All that it says.
    """

    place: Spot
    written_at_ms: int
    kind: str
    came_from: Spot
    members: dict[str, Any]


def read_letters(settings: Settings, topic: str, pipeline: str) -> Iterator[tuple[Letter | None, Spot]]:
    """A pipeline's dead letters with their places, partition by partition; None with the place of one sent again.

    Raises:
        BrokerUnreachable, TopicError: The topic cannot be read.
    """
    tail = TopicTail(settings, [topic], from_beginning=True)
    try:
        for record in tail.to_end():
            try:
                members = msgspec.json.decode(record.value or b"", type=dict[str, Any])
                if members["pipeline"] != pipeline:
                    continue
                if (record.value or b"").startswith(NOTE):
                    yield None, spot_of(members["redriven"])
                    continue
                place = (record.topic, record.partition, record.offset)
                letter = Letter(place, record.timestamp_ms, str(members["class"]), spot_of(members["input"]), members)
            except (ValueError, KeyError, TypeError):
                continue  # no scorer wrote it
            yield letter, place
    finally:
        tail.close()


def spot_of(members: dict[str, Any]) -> Spot:
    """The place that a letter or a note names."""
    return str(members["topic"]), int(members["partition"]), int(members["offset"])


def sealed_parts_naming(settings: Settings, plan: Plan, names: Collection[str]) -> list[tuple[str, str]]:
    """What of a pipeline's dead letters is sealed and has one of these names in it: key ids and sealed texts.

    Raises:
        BrokerUnreachable, TopicError: The topic cannot be read.
        SettingError: A letter is sealed with a key that is not held.
    """
    topic = plan.pipeline.dead_letters.name
    if not plan.pipeline.event.sensitive or topic not in KafkaAdmin(settings).topics():
        return []
    searched = [name.encode() for name in names]
    found = []
    for letter, _ in read_letters(settings, topic, plan.pipeline.name):
        original = None if letter is None else original_of(letter.members)
        if letter is None or original is None:
            continue
        sealed = sealed_parts(letter.members)
        for part, data in original._asdict().items():
            if data is not None and part in sealed and any(name in data for name in searched):
                found.append((letter.members["sealed_with"], sealed[part]))
    return found
