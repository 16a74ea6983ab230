"""What came before a decision: its input's records in processing order, from the topics or from files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from fraudstream.engine.batch import Batch
from fraudstream.engine.column import Bools, Int64s
from fraudstream.engine.contribute import key_of
from fraudstream.engine.decode import Decoder
from fraudstream.engine.event_ids import EventIds
from fraudstream.errors import DataError, UsageError
from fraudstream.kafka.decoding import AsJson
from fraudstream.kafka.tail import all_records
from fraudstream.plan.plan import Plan
from fraudstream.replay.recorded import Decision, Ledger, Outputs
from fraudstream.runner.labels import DecodedLabels, decode_labels
from fraudstream.settings import Settings
from fraudstream.training.history import History

UNKNOWN_MS = -1
CHUNK = 8_192


class _Arrival(msgspec.Struct):
    arrived_at: int = UNKNOWN_MS


_ARRIVAL = msgspec.json.Decoder(_Arrival)


@dataclass
class Past:
    """The input records before a decision in processing order, and last its own.

    Attributes:
        values: Their bytes.
        timestamp_ms: int64[n], their Kafka timestamps; -1 where nothing tells them.
        partition, offset: int64[n].
        decided_at_ms: int64[n], when each was decided; -1 where nothing tells it.
        let_through: bool[n], which were let through.
        notes: What is not as the log would have it, for people.
    """

    values: list[bytes]
    timestamp_ms: Int64s
    partition: Int64s
    offset: Int64s
    decided_at_ms: Int64s
    let_through: Bools
    notes: list[str]

    def __len__(self) -> int:
        return len(self.values)


@dataclass
class PastLabels:
    """The label records of a log, of each partition in offset order.

    Attributes:
        decoded: What they say; rows that are no labels are left out.
        partition: int64[m].
        timestamp_ms: int64[m], when they reached Kafka; -1 where nothing tells it.
    """

    decoded: DecodedLabels
    partition: Int64s
    timestamp_ms: Int64s


def past_in_topic(settings: Settings, plan: Plan, decision: Decision, ledger: Ledger, outputs: Outputs) -> Past:
    """The records from the input topic; those it no longer holds from the envelopes, which carry their bytes.

    Args:
        settings: Which cluster.
        plan: The pipeline's plan.
        decision: The decision.
        ledger: All decisions on its input.
        outputs: The output records, read again only where the topic has lost some.
    """
    wanted = _places(ledger, decision)
    found: dict[tuple[int, int], tuple[bytes, int]] = {}
    for record in all_records(settings, decision.input.topic):
        place = (record.partition, record.offset)
        if place in wanted:
            found[place] = (record.value or b"", record.timestamp_ms)
    as_json = AsJson(plan.pipeline, settings)([value for value, _ in found.values()])
    found = {place: (text, found[place][1]) for place, text in zip(found, as_json, strict=True)}
    lost = wanted.keys() - found.keys()
    notes = []
    if lost:
        notes.append(f"{len(lost):,} records are no longer in {decision.input.topic}; their events stand in envelopes.")
        found |= _of_envelopes(outputs, decision, lost, plan)
    return _past(decision, ledger, wanted, found, notes)


def past_in_file(plan: Plan, decision: Decision, ledger: Ledger, outputs: Outputs) -> Past:
    """The records whose events stand in the envelopes of a file of decisions."""
    wanted = _places(ledger, decision)
    found = _of_envelopes(outputs, decision, wanted.keys(), plan)
    return _past(decision, ledger, wanted, found, [])


def with_history(plan: Plan, past: Past, history: History) -> Past:
    """The same with the events of a history file that are not among them, by event time, up to the decided one.

    Raises:
        UsageError: Events have no id to know them by.
    """
    event = plan.pipeline.event
    if event.id is None:
        raise UsageError(
            "Events of this pipeline have no id, so those in --data cannot be told from those in --decisions.",
            "Give all decisions from the first one on, without --data: they hold their events.",
        )
    decoded = Decoder(event).decode(list(past.values), past.timestamp_ms)
    known = key_of(decoded.columns, (event.id,), len(past))[0]
    merge_at_ms = np.maximum.accumulate(decoded.event_at_ms)
    values, times, offsets = [], [], []
    for batch in history.batches():
        low = key_of(batch.columns, (event.id,), len(batch))[0]
        for row in np.flatnonzero(~np.isin(low, known) & (batch.event_at_ms <= merge_at_ms[-1])).tolist():
            start = int(batch.start[row])
            values.append(batch.buffer[start : start + int(batch.length[row])].tobytes())
            times.append(int(batch.event_at_ms[row]))
            offsets.append(int(batch.offset[row]))
    # Without a place on record an event stands where the merge by event time would put it, before those as old.
    order = np.argsort(np.concatenate([np.array(times, np.int64), merge_at_ms]), kind="stable")
    both = [*values, *past.values]
    count = len(values)
    unknown = np.full(count, UNKNOWN_MS, np.int64)
    kafka_ms = np.array(times, np.int64) if event.time is None else unknown
    note = f"{count:,} events of {history.name} have no decision on record; they stand by event time."
    return Past(
        [both[place] for place in order.tolist()],
        np.concatenate([kafka_ms, past.timestamp_ms])[order],
        np.concatenate([np.zeros(count, np.int64), past.partition])[order],
        np.concatenate([np.array(offsets, np.int64), past.offset])[order],
        np.concatenate([unknown, past.decided_at_ms])[order],
        np.concatenate([np.zeros(count, np.bool_), past.let_through])[order],
        [*past.notes, *([note] if count else [])],
    )


def labels_in_topic(settings: Settings, plan: Plan) -> PastLabels | None:
    """The labels on the pipeline's topic; None where no feature reads labels."""
    labels = plan.pipeline.labels
    if labels is None or not plan.label_retention_ms:
        return None
    records = list(all_records(settings, labels.name))
    times = np.array([each.timestamp_ms for each in records], np.int64)
    return _labels(
        plan, [each.value for each in records], times, np.array([each.partition for each in records], np.int64)
    )


def labels_in_file(plan: Plan, path: Path) -> PastLabels:
    """The label records in a file, one a line; a member `arrived_at`, epoch milliseconds, says when each reached Kafka.

    Raises:
        DataError: It cannot be read.
    """
    try:
        lines: list[bytes | None] = [line for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as failed:
        raise DataError(f"{path} cannot be read: {failed.strerror}.", "Give a file of label records.") from None
    return _labels(
        plan, lines, np.array([_arrived_at(line) for line in lines], np.int64), np.zeros(len(lines), np.int64)
    )


def _arrived_at(line: bytes | None) -> int:
    try:
        return _ARRIVAL.decode(line or b"").arrived_at
    except ValueError:  # no label either, and said so where labels are decoded
        return UNKNOWN_MS


def batch_of(plan: Plan, decoder: Decoder, past: Past, rows: slice, topic: str) -> Batch:
    """Some of the records as a batch.

    Raises:
        DataError: One of them is no event of the pipeline.
    """
    decoded = decoder.decode(list(past.values[rows]), past.timestamp_ms[rows])
    if decoded.rejects:
        first = decoded.rejects[0]
        place = f"{topic}/{past.partition[rows][first.row]}/{past.offset[rows][first.row]}"
        raise DataError(
            f"The record {place} was decided, and is no event of {plan.pipeline.name} now: {first.reason}.",
            "Give the pipeline's file as it was then.",
        )
    return Batch.of(decoded, topic, past.partition[rows].astype(np.int32), past.offset[rows])


def _places(ledger: Ledger, decision: Decision) -> dict[tuple[int, int], int]:
    """When each record was decided, by partition and offset, in processing order up to the decision itself."""
    _, partition, offset, decided_at_ms = ledger.before(decision.sequence)
    places = zip(partition.tolist(), offset.tolist(), strict=True)
    own = (decision.input.partition, decision.input.offset)
    return {**dict(zip(places, decided_at_ms.tolist(), strict=True)), own: decision.decided_at}


def _of_envelopes(
    outputs: Outputs, decision: Decision, wanted: Iterable[tuple[int, int]], plan: Plan
) -> dict[tuple[int, int], tuple[bytes, int]]:
    """Bytes and timestamps of events that envelopes hold; the timestamp is known where it is the event's time."""
    is_timed = plan.pipeline.event.time is not None
    left = set(wanted)
    found = {}
    for output in outputs():
        place = (output.place.partition, output.place.offset)
        if output.decision is not None and output.place.topic == decision.input.topic and place in left:
            found[place] = (output.event, UNKNOWN_MS if is_timed else output.decision.event_at)
    return found


def _past(
    decision: Decision,
    ledger: Ledger,
    wanted: dict[tuple[int, int], int],
    found: dict[tuple[int, int], tuple[bytes, int]],
    notes: list[str],
) -> Past:
    places = [place for place in wanted if place in found]
    missing = decision.sequence + 1 - len(places)
    if missing > 0:
        notes.append(
            f"{missing:,} of the {decision.sequence:,} events before this one are gone from what is read; features "
            "that look back to them would be short."
        )
    partition, offset = np.array(places, np.int64).reshape(-1, 2).T
    return Past(
        [found[place][0] for place in places],
        np.array([found[place][1] for place in places], np.int64),
        partition,
        offset,
        np.array([wanted[place] for place in places], np.int64),
        np.array([place in ledger.let_through for place in places], np.bool_),
        notes,
    )


def _labels(plan: Plan, values: list[bytes | None], times: Int64s, partition: Int64s) -> PastLabels:
    decoded = decode_labels(values, times, EventIds(plan.pipeline.event))
    rows = np.flatnonzero(decoded.ok)
    kept = DecodedLabels(
        decoded.low[rows], decoded.high[rows], decoded.fraud[rows], decoded.labelled_at_ms[rows], decoded.ok[rows]
    )
    return PastLabels(kept, partition[rows], times[rows])
