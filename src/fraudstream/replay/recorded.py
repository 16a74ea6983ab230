"""What was decided, as the output records tell it: envelopes hold all of a decision, the other forms name it."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from fraudstream.define.pipeline import Form
from fraudstream.engine.column import Int64s
from fraudstream.errors import DataError
from fraudstream.kafka.tail import TopicTail
from fraudstream.settings import Settings

LET_THROUGH = "let_through"


class Place(NamedTuple):
    """The coordinates of an input record."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class _Input(msgspec.Struct, frozen=True):
    topic: str
    partition: int
    offset: int


class Decision(msgspec.Struct, frozen=True):
    """What an envelope says of a decision, as far as it is needed to compute it again or to compare outcomes.

    Attributes:
        event_id: The event's id, or its coordinates where events have none.
        input: Where the event came from.
        sequence: Its place in processing order.
        outcome: `approve`, `review` or `block`.
        rules: The codes of the rules that hit.
        versions: What it was made with.
        flags: Such as `late`.
        off: The codes of what took no part.
        reasons: The codes of what raised the outcome.
        event_at: Event time, epoch milliseconds.
        decided_at: When it was decided, epoch milliseconds.
    """

    event_id: str | int | None
    input: _Input
    sequence: int
    outcome: str
    rules: tuple[str, ...]
    versions: dict[str, str]
    flags: tuple[str, ...]
    event_at: int
    decided_at: int
    off: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def place(self) -> Place:
        """Where the event came from."""
        return Place(self.input.topic, self.input.partition, self.input.offset)


class _Written(msgspec.Struct):
    """The parts of an output record, of whatever form, that say what it is about."""

    event: msgspec.Raw = msgspec.Raw()
    decision: Decision | None = None
    alert_id: str | None = None
    decision_id: str | None = None


_DECODER = msgspec.json.Decoder(_Written)


class Output(NamedTuple):
    """An output record.

    Attributes:
        form: How it is written.
        source: Its topic or file, for people.
        place: The event it is about.
        decision: What an envelope says; None of the other forms.
        event: The event's bytes in an envelope, else empty.
        value: The record's bytes.
    """

    form: Form
    source: str
    place: Place
    decision: Decision | None
    event: bytes
    value: bytes


def read_output(value: bytes | None, source: str) -> Output | None:
    """An output record; None where it is none that fraudstream writes."""
    try:
        found = _DECODER.decode(value or b"")
        if found.decision is not None:
            place, event = found.decision.place, bytes(found.event)
            return Output(Form.ENVELOPE, source, place, found.decision, event, value or b"")
        form, text = (Form.ALERT, found.alert_id) if found.alert_id is not None else (Form.FLAT, found.decision_id)
        topic, partition, offset = (text or "").rsplit("-", 2)
        return Output(form, source, Place(topic, int(partition), int(offset)), None, b"", value or b"")
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None


def outputs_in_file(path: Path) -> Iterator[Output]:
    """The output records in a file, one a line; lines that are none are passed over.

    Raises:
        DataError: It cannot be read, or holds none.
    """
    any_found = False
    try:
        with path.open("rb") as file:
            for line in file:
                output = read_output(line.strip(), path.name)
                if output is not None:
                    any_found = True
                    yield output
    except OSError as failed:
        raise DataError(f"{path} cannot be read: {failed.strerror}.", "Give a file of output records.") from None
    if not any_found:
        raise DataError(
            f"{path} holds no decision.", "Give the records of a pipeline's scores topic as they are, one a line."
        )


def outputs_in_topics(settings: Settings, topics: Sequence[str]) -> Iterator[Output]:
    """The output records in some topics, whichever pipelines they are of.

    Raises:
        BrokerUnreachable, TopicError: A topic cannot be read.
    """
    tail = TopicTail(settings, topics, from_beginning=True)
    try:
        for record in tail.to_end():
            output = read_output(record.value, record.topic)
            if output is not None:
                yield output
    finally:
        tail.close()


@dataclass
class Ledger:
    """The decisions on one input topic, by their places.

    Attributes:
        sequence, partition, offset, decided_at_ms: One entry a decision, as the records came.
        let_through: The places, partition and offset, of those that were let through.
    """

    sequence: array[int] = field(default_factory=lambda: array("q"))
    partition: array[int] = field(default_factory=lambda: array("q"))
    offset: array[int] = field(default_factory=lambda: array("q"))
    decided_at_ms: array[int] = field(default_factory=lambda: array("q"))
    let_through: set[tuple[int, int]] = field(default_factory=set)

    def note(self, decision: Decision) -> None:
        """Takes note of a decision."""
        self.sequence.append(decision.sequence)
        self.partition.append(decision.input.partition)
        self.offset.append(decision.input.offset)
        self.decided_at_ms.append(decision.decided_at)
        if LET_THROUGH in decision.flags:
            self.let_through.add((decision.input.partition, decision.input.offset))

    def before(self, sequence: int) -> tuple[Int64s, Int64s, Int64s, Int64s]:
        """int64[n] each: sequence, partition, offset and instant of the decisions before a place, in that order.

        Of several decisions on one record, as delivery at least once may leave, the first counts.
        """
        numbers = np.array(self.sequence, np.int64)
        rows = np.flatnonzero(numbers < sequence)
        rows = rows[np.argsort(numbers[rows], kind="stable")]
        partition, offset = (np.array(each, np.int64)[rows] for each in (self.partition, self.offset))
        _, first = np.unique(np.stack([partition, offset]), axis=1, return_index=True)
        rows = rows[np.sort(first)]
        parts = (self.sequence, self.partition, self.offset, self.decided_at_ms)
        return tuple(np.array(each, np.int64)[rows] for each in parts)  # type: ignore[return-value]


def _likely(decision: Decision, inputs: Collection[str]) -> tuple[bool, bool, int]:
    """How likely a decision is the one that is meant by an id."""
    return decision.input.topic in inputs, "duplicate" not in decision.flags, -decision.sequence


Outputs = Callable[[], Iterable[Output]]
"""Reads output records from their beginning, each time it is called."""


def find(
    outputs: Outputs, wanted: str, source: str, inputs: Collection[str] = (), also: Collection[str] = ()
) -> tuple[Decision, list[Output], Ledger]:
    """A decision, all records about it, and the ledger of its input.

    Args:
        outputs: The output records; read twice, because only after once it is known which belong together.
        wanted: An event id, or coordinates written `topic/partition/offset`.
        source: What is read, for people.
        inputs: The input topics whose decisions are preferred, where several share topics of decisions and ids.
        also: What the event may be called as well: the tokens of its id.

    Raises:
        DataError: There is no such decision.
    """
    found: Decision | None = None
    names = {wanted, *also}
    ledgers: dict[str, Ledger] = {}
    for output in outputs():
        decision = output.decision
        if decision is None:
            continue
        ledgers.setdefault(decision.input.topic, Ledger()).note(decision)
        if not names.isdisjoint((str(decision.event_id), str(decision.place))):
            # Of several copies the first was decided on its own; a duplicate is asked for by its coordinates.
            found = max(found or decision, decision, key=lambda each: _likely(each, inputs))
    if found is None:
        raise DataError(
            f"No decision on {wanted!r} is in {source}.",
            "Give an event's id as the event has it, or its coordinates as topic/partition/offset.",
        )
    about = [output for output in outputs() if output.place == found.place]
    return found, about, ledgers[found.input.topic]
