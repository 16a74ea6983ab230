"""Labels as they come on their topic: verdicts and chargebacks, naming events by id."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np

from fraudstream.engine.column import Bools, Int64s, UInt64s
from fraudstream.engine.event_ids import EventIds
from fraudstream.engine.reject import Reject, RejectClass

FRAUD, LEGITIMATE = "fraud", "legitimate"


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


def decode_labels(values: list[bytes | None], timestamps_ms: Int64s, ids: EventIds) -> DecodedLabels:
    """Decodes label records. They are few beside the events, so plain Python will do.

    Args:
        values: The records' values.
        timestamps_ms: int64[m], their Kafka timestamps.
        ids: How they name the pipeline's events.
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
            low, high = ids.fingerprint(record.event_id)
            if record.label not in (FRAUD, LEGITIMATE):
                raise ValueError(f"label is {record.label[:40]!r}; allowed: {FRAUD}, {LEGITIMATE}")
            if not 0 <= record.labelled_at < 2**53:
                raise ValueError(f"labelled_at is {record.labelled_at}; write epoch milliseconds")
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            of_value = ids.hidden and not isinstance(error, msgspec.MsgspecError)
            shown = "a value that is not shown is not allowed" if of_value else error
            decoded.rejects.append(Reject(row, _class_of(value, error), f"label: {shown}"))
            continue
        decoded.low[row], decoded.high[row] = low, high
        decoded.fraud[row] = record.label == FRAUD
        decoded.labelled_at_ms[row] = record.labelled_at
        decoded.ok[row] = True
    return decoded


def _class_of(value: bytes | None, error: Exception) -> RejectClass:
    if not value:
        return RejectClass.EMPTY
    # Of msgspec's errors the narrower one is about JSON of the wrong shape.
    malformed = isinstance(error, msgspec.DecodeError) and not isinstance(error, msgspec.ValidationError)
    return RejectClass.NOT_JSON if malformed else RejectClass.WRONG_TYPE
