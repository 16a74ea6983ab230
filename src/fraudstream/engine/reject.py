"""Why a record cannot become a decision."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class RejectClass(StrEnum):
    """The classes of bad records. They are part of the dead letters' format: none is renamed or changes its meaning.

    Where several apply, the first of this list that does is named, and of fields the first in the event's order.
    """

    EMPTY = "empty"
    """The record has no value, or one of no bytes."""
    TOO_LARGE = "too_large"
    """Longer than the event's `max_bytes`."""
    BAD_FRAME = "bad_frame"
    """Avro or Protobuf: the record does not begin with a zero and a schema's id, as Confluent's wire format has it."""
    UNKNOWN_SCHEMA = "unknown_schema"
    """Avro or Protobuf: the registry has no schema with the record's id."""
    INCOMPATIBLE_SCHEMA = "incompatible_schema"
    """Avro or Protobuf: what the record was written with has no such field, or one of another type."""
    MALFORMED = "malformed"
    """Avro or Protobuf: not the bytes its schema asks for: cut off, too many, a length or choice out of range."""
    NOT_UTF8 = "not_utf8"
    """Bytes that are not UTF-8, or an escape for half a surrogate pair, which UTF-8 cannot hold."""
    TOO_DEEP = "too_deep"
    """More than 64 levels of objects and arrays."""
    NOT_JSON = "not_json"
    """Not JSON by RFC 8259: malformed, NaN or Infinity, a byte order mark, a NUL, bytes behind the value."""
    DUPLICATE_KEY = "duplicate_key"
    """An object, at any level, has a key twice: readers would disagree on its value."""
    NOT_OBJECT = "not_object"
    """JSON, but not an object."""
    MISSING_FIELD = "missing_field"
    """A required field is absent or null."""
    WRONG_TYPE = "wrong_type"
    """A field of another JSON type than declared: a boolean or text for a number, 5.0 for an integer."""
    OUT_OF_RANGE = "out_of_range"
    """The right type, but beyond what can be held: see the field types."""
    BAD_TIME = "bad_time"
    """Text that is no timestamp; or neither the event nor its record has a time."""
    FUTURE_TIME = "future_time"
    """Event time is further ahead of the record's Kafka timestamp than the event's `max_future`."""


class Reject(NamedTuple):
    """A record that cannot become a decision.

    Attributes:
        row: Its place in the decoded chunk.
        kind: The class.
        reason: What was found, where, and what is allowed; without the values of sensitive fields.
    """

    row: int
    kind: RejectClass
    reason: str
