"""Past events and labels as topics hold them.

A topic is read to the end it had when reading began, committed records only, and leaves no trace: no group, no offsets.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fraudstream.define.pipeline import Pipeline
from fraudstream.engine.event_ids import EventIds
from fraudstream.errors import DataError
from fraudstream.kafka.decoding import AsJson
from fraudstream.kafka.tail import Record, TopicTail
from fraudstream.runner.labels import decode_labels
from fraudstream.schema.event import Event
from fraudstream.settings import Settings
from fraudstream.training.files import Lines
from fraudstream.training.truth import Truth, Words, truth_of_words

_LONGEST_SILENCE_S = 60.0


class TopicSource(Lines):
    """The records of a topic as a history's rows, ordered by offset, then by partition.

    Args:
        settings: Which cluster, as whom.
        topic: The topic.
        pipeline: Whose input it may be, in whose format.

    Attributes:
        partition, offset: int64[n], where each row stands.

    Raises:
        BrokerUnreachable, SettingError: No broker answers, or it refuses us.
        TopicError: There is no such topic.
        DataError: It is empty.
    """

    def __init__(self, settings: Settings, topic: str, pipeline: Pipeline | None = None) -> None:
        records = _records(settings, topic)
        if not records:
            raise DataError(f"The topic {topic} holds no records.", "Name a topic with past events.")
        lines = [record.value or b"" for record in records]
        if pipeline is not None and pipeline.input.name == topic:
            lines = AsJson(pipeline, settings)(lines)
        super().__init__(f"topic {topic}", lines, _numbers([record.timestamp_ms for record in records]))
        self.partition = _numbers([record.partition for record in records])
        self.offset = _numbers([record.offset for record in records])


def truth_of_topic(settings: Settings, topic: str, event: Event) -> tuple[Truth, Counter[str]]:
    """The truth as the records of a labels topic tell it, and how many records are no labels, by class.

    Raises:
        BrokerUnreachable, SettingError, TopicError: It cannot be read.
        DataError: Events have no id, or it holds no labels.
    """
    if event.id is None:
        raise DataError("Labels name events by their id, and events of this pipeline have none.", "Use --label COLUMN.")
    records = _records(settings, topic)
    values = [record.value for record in records]
    times = _numbers([record.timestamp_ms for record in records])
    found = decode_labels(values, times, EventIds(event))
    if not found.ok.any():
        raise DataError(f"The topic {topic} holds no labels.", "Name a topic with labels, or a file.")
    rejected = Counter(str(reject.kind) for reject in found.rejects)
    words = Words(found.low, found.high, found.fraud.astype(np.bool_), found.labelled_at_ms)
    return replace(truth_of_words(words.take(found.ok), f"the topic {topic}"), still_coming=True), rejected


def _records(settings: Settings, topic: str) -> list[Record]:
    """In an order that does not depend on how they came."""
    tail = TopicTail(settings, [topic], from_beginning=True)
    try:
        return sorted(tail.to_end(_LONGEST_SILENCE_S), key=lambda record: (record.offset, record.partition))
    finally:
        tail.close()


def _numbers(values: list[int]) -> npt.NDArray[np.int64]:
    return np.array(values, np.int64)
