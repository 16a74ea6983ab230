"""What an event is: its fields, their types, and the roles they play."""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec.structs import replace


class FieldType(StrEnum):
    """The types an event's field can have on the wire."""

    STRING = "string"
    INTEGER = "integer"
    """A whole number of at most 64 bits. A JSON string of digits is a wrong type, not a number."""
    DECIMAL = "decimal"
    """Money and other exact decimals, held as int64 minor units of 10^-scale. A JSON number, or one in quotes.

    Of a bare number the first 15 significant digits count: 85.64999999999999, a float64's way of writing 85.65, is
    that.
    """
    FLOAT = "float"
    """A finite float64. It cannot be summed: sums of floats depend on their order."""
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    """An instant, held as UTC epoch milliseconds (int64)."""
    LOCATION = "location"
    """A place: a city's name, or an object with `lat` and `lon` (also `latitude`, `longitude`, `lng`)."""


class TimeFormat(StrEnum):
    """How a timestamp is written. Text without an offset is UTC; digits after the millisecond are dropped."""

    ISO8601 = "iso8601"
    """`2026-11-22T20:00:00.123Z`, also with a space for the T, and with an offset such as `+02:00`."""
    EPOCH_MS = "epoch_ms"
    EPOCH_S = "epoch_s"


class Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One field of an event.

    Attributes:
        name: The name that features, rules and models use; letters, digits and `_`.
        type: The field's type.
        path: Where in the JSON object it stands, dots between levels; the name itself unless said.
        required: Whether an event without it (or with null) is a dead letter. Otherwise it is null.
        scale: Decimals only: digits after the point. More non-zero digits than that are a wrong value.
        format: Timestamps only: how they are written.
        aliases: Names it had before: other paths, read in this order where nothing stands at `path`.
        sensitive: The value identifies a person or card: a token takes its place before anything else sees the event.
            Texts and integers only.
    """

    name: str
    type: FieldType
    path: str | None = None
    required: bool = True
    scale: int = 2
    format: TimeFormat = TimeFormat.ISO8601
    sensitive: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """Where it is read from; the first path with a value counts."""
        return (self.path or self.name, *self.aliases)


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The event a pipeline reads.

    Attributes:
        fields: The fields that are read; others are checked to be JSON and passed through untouched.
        id: The field that identifies an event. Without one, the record's coordinates do, and nothing is deduplicated.
        time: The timestamp field that is event time. Without one, the Kafka record's timestamp is.
        key: The field the input topic is partitioned by; also the key of every output record.
        amount: The decimal field that is the money at stake.
        max_bytes: A longer record is a dead letter.
        max_future: An event time further ahead of the record's Kafka timestamp than this is a dead letter: it would
            make every later event of its key late.
        dedup: The horizon of event time within which a repeated id is a duplicate.
    """

    fields: tuple[Field, ...]
    id: str | None = None
    time: str | None = None
    key: str | None = None
    amount: str | None = None
    max_bytes: int = 65_536
    max_future: str = "1d"
    dedup: str = "24h"

    @property
    def sensitive(self) -> frozenset[str]:
        """The names of the fields whose values tokens stand for."""
        return frozenset(field.name for field in self.fields if field.sensitive)

    @property
    def with_tokens(self) -> Event:
        """The event as everything behind the decoder has it: sensitive fields are texts."""
        fields = (replace(each, type=FieldType.STRING) if each.sensitive else each for each in self.fields)
        return replace(self, fields=tuple(fields)) if self.sensitive else self

    def field(self, name: str) -> Field | None:
        """The field of that name, or None."""
        return next((field for field in self.fields if field.name == name), None)
