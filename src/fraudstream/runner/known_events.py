"""Whether events exist: their ids looked for among the newest records of the input topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fraudstream.engine.contribute import key_of
from fraudstream.engine.event_ids import EventIds
from fraudstream.engine.kernels.fingerprint import fingerprint_integers, fingerprints
from fraudstream.errors import UsageError
from fraudstream.kafka.decoding import decoder_of
from fraudstream.kafka.tail import Record, TopicTail
from fraudstream.plan.plan import Plan
from fraudstream.settings import Settings

_BATCH = 16_384


class KnownEvents(NamedTuple):
    """What was found.

    Attributes:
        event_at_ms: When each event that was found happened, epoch milliseconds, by its id.
        looked_at: How many records were looked at.
        complete: Whether these are all there ever were: an id that was not found is then of no event.
    """

    event_at_ms: dict[str, int]
    looked_at: int
    complete: bool


def find_events(settings: Settings, plan: Plan, ids: Sequence[str], newest: int) -> KnownEvents:
    """Looks for events by id.

    Args:
        settings: Which cluster, as whom.
        plan: Whose input.
        ids: The ids as texts, as `EventIds.known_as` gives them.
        newest: How many of the input topic's newest records to look at.

    Raises:
        BrokerUnreachable, TopicError: The input topic cannot be read.
        UsageError: The pipeline's events have no id.
    """
    event = plan.pipeline.event
    if event.id is None:
        raise UsageError(f"Events of {plan.pipeline.name} have no id, so no label can name one.", "Give them an id.")
    wanted = list(dict.fromkeys(ids))
    if EventIds(event).integer:
        low, high = fingerprint_integers(np.array(wanted, np.int64))
    else:
        low, high = fingerprints([text.encode() for text in wanted])
    place_of = {pair: place for place, pair in enumerate(zip(low.tolist(), high.tolist(), strict=True))}
    topic = plan.pipeline.input.name
    tail = TopicTail(settings, [topic], newest={topic: newest})
    decoder = decoder_of(plan.pipeline, settings)
    found: dict[str, int] = {}
    looked_at = 0
    records: list[Record] = []

    def look() -> None:
        decoded = decoder.decode(
            [record.value for record in records], np.array([record.timestamp_ms for record in records], np.int64)
        )
        low_of, high_of, _ = key_of(decoded.columns, (event.id or "",), len(records))
        for row in np.flatnonzero(np.isin(low_of, low) & decoded.ok).tolist():
            place = place_of.get((int(low_of[row]), int(high_of[row])))
            if place is not None:
                found.setdefault(wanted[place], int(decoded.event_at_ms[row]))

    try:
        for record in tail.to_end():
            records.append(record)
            looked_at += 1
            if len(records) == _BATCH:
                look()
                records.clear()
        if records:
            look()
    finally:
        tail.close()
    return KnownEvents(found, looked_at, topic in tail.complete)
