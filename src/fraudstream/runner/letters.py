"""The dead letters of a pipeline, as they stand in their topic."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
import numpy as np

from fraudstream.engine.deadletter import NOTE
from fraudstream.kafka.resend import Spot
from fraudstream.kafka.tail import all_records
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


class SentAgain:
    """The dead letters of a topic that were sent through again, by the notes that stand among them: 8 bytes each.

    Args:
        settings: Which cluster.
        topic: The topic of dead letters.

    Raises:
        BrokerUnreachable, TopicError: The topic cannot be read.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        found: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))
        for record in all_records(settings, topic):
            if not (record.value or b"").startswith(NOTE):
                continue
            with suppress(ValueError, KeyError, TypeError):  # no redrive wrote it
                place = spot_of(msgspec.json.decode(record.value or b"", type=dict[str, Any])["redriven"])
                found[place[1]].append(place[2])
        self._offsets = {partition: np.sort(np.frombuffer(each, np.int64)) for partition, each in found.items()}

    def __contains__(self, letter: Letter) -> bool:
        _, partition, offset = letter.place
        offsets = self._offsets.get(partition)
        if offsets is None:
            return False
        at = int(np.searchsorted(offsets, offset))
        return at < len(offsets) and bool(offsets[at] == offset)


def read_letters(settings: Settings, topic: str, pipeline: str) -> Iterator[Letter]:
    """A pipeline's dead letters, those of each partition in the order in which they stand.

    Raises:
        BrokerUnreachable, TopicError: The topic cannot be read.
    """
    for record in all_records(settings, topic):
        try:
            members = msgspec.json.decode(record.value or b"", type=dict[str, Any])
            if members["pipeline"] != pipeline or "redriven" in members:
                continue
            place = (record.topic, record.partition, record.offset)
            letter = Letter(place, record.timestamp_ms, str(members["class"]), spot_of(members["input"]), members)
        except (ValueError, KeyError, TypeError):
            continue  # no scorer wrote it
        yield letter


def spot_of(members: dict[str, Any]) -> Spot:
    """The place that a letter or a note names."""
    return str(members["topic"]), int(members["partition"]), int(members["offset"])
