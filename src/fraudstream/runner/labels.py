"""Labels as they come on their topic: verdicts and chargebacks, naming events by id."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import msgspec
import numpy as np

from fraudstream.engine.column import Bools, Int64s, UInt64s
from fraudstream.engine.kernels.fingerprint import fingerprint, fingerprint_integers
from fraudstream.engine.reject import Reject, RejectClass
from fraudstream.schema.event import Event, FieldType

FRAUD, LEGITIMATE = "fraud", "legitimate"
_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)


class LabelRecord(msgspec.Struct, frozen=True):
    """A label on the wire; other members are allowed and ignored.

    Attributes:
        event_id: The event's id, as text or number, as the event has it.
        label: `fraud` or `legitimate`.
        labelled_at: When it became known, epoch milliseconds.
    """

    event_id: str | int
    label: str
    labelled_at: int


class SentLabel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A label as it is sent: a `LabelRecord`, and for people who said so.

    Attributes:
        event_id: The event's id.
        label: `fraud` or `legitimate`.
        event_at: When the event happened, epoch milliseconds; None where that is not known.
        labelled_at: When it became known what the event was, epoch milliseconds.
        source: How it became known: `verdict`, `chargeback`, …
        by: Who said so; None: nobody did by name.
    """

    event_id: str
    label: str
    event_at: int | None = None
    labelled_at: int
    source: str
    by: str | None = None

    def record(self) -> tuple[bytes, bytes]:
        """The value and the key of its record: labels of one event stay in order."""
        return msgspec.json.encode(self), self.event_id.encode()


@dataclass(slots=True)
class DecodedLabels:
    """A chunk of m label records.

    Attributes:
        low, high: uint64[m], fingerprints of the events' ids.
        fraud: int64[m], 1 or 0.
        labelled_at_ms: int64[m]; the record's Kafka timestamp where it could not be read.
        ok: bool[m], which are labels; the others are in `rejects`.
        rejects: Why not, by row.
    """

    low: UInt64s
    high: UInt64s
    fraud: Int64s
    labelled_at_ms: Int64s
    ok: Bools
    rejects: list[Reject] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ok)


def decode_labels(values: list[bytes | None], timestamps_ms: Int64s, *, integer_ids: bool) -> DecodedLabels:
    """Decodes label records. They are few beside the events, so plain Python will do.

    Args:
        values: The records' values.
        timestamps_ms: int64[m], their Kafka timestamps.
        integer_ids: Whether the pipeline's event id is an integer.
    """
    count = len(values)
    decoded = DecodedLabels(
        np.zeros(count, np.uint64),
        np.zeros(count, np.uint64),
        np.zeros(count, np.int64),
        timestamps_ms.copy(),
        np.zeros(count, np.bool_),
    )
    decoder = msgspec.json.Decoder(LabelRecord)
    for row, value in enumerate(values):
        try:
            record = decoder.decode(value or b"")
            low, high = _id_fingerprint(record.event_id, integer_ids)
            if record.label not in (FRAUD, LEGITIMATE):
                raise ValueError(f"label is {record.label[:40]!r}; allowed: {FRAUD}, {LEGITIMATE}")
            if not 0 <= record.labelled_at < 2**53:
                raise ValueError(f"labelled_at is {record.labelled_at}; write epoch milliseconds")
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            decoded.rejects.append(Reject(row, _class_of(value, error), f"label: {error}"))
            continue
        decoded.low[row], decoded.high[row] = low, high
        decoded.fraud[row] = record.label == FRAUD
        decoded.labelled_at_ms[row] = record.labelled_at
        decoded.ok[row] = True
    return decoded


def integer_id(text: str) -> int:
    """The id of an event whose ids are integers.

    Raises:
        ValueError: It is no integer of 64 bits.
    """
    if not _INTEGER.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f"event_id is {text[:40]!r}; the events' ids are integers of 64 bits")
    return int(text)


def has_integer_ids(event: Event) -> bool:
    """Whether the id of an event is an integer."""
    field = event.field(event.id or "")
    return field is not None and field.type is FieldType.INTEGER


def _id_fingerprint(event_id: str | int, integer_ids: bool) -> tuple[int, int]:
    """The fingerprint the event's own id has. A number for a text id, or the reverse, is read as the other."""
    if not integer_ids:
        return fingerprint(str(event_id).encode())
    low, high = fingerprint_integers(np.array([integer_id(str(event_id))], np.int64))
    return int(low[0]), int(high[0])


def _class_of(value: bytes | None, error: Exception) -> RejectClass:
    if not value:
        return RejectClass.EMPTY
    # Of msgspec's errors the narrower one is about JSON of the wrong shape.
    malformed = isinstance(error, msgspec.DecodeError) and not isinstance(error, msgspec.ValidationError)
    return RejectClass.NOT_JSON if malformed else RejectClass.WRONG_TYPE
