"""What a sink wants to know of an event, without the values of sensitive fields."""

from __future__ import annotations

import re
from decimal import Context, Decimal
from typing import NamedTuple

import msgspec
from msgspec import Raw

from fraudstream.engine.decode_reference import parse_epoch, parse_iso
from fraudstream.engine.encode import mask
from fraudstream.schema.event import Event, Field, TimeFormat

_ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_FLOAT64_DIGITS = Context(prec=15)
_PLAIN_LENGTH = 15
_members_of = msgspec.json.Decoder(dict[str, Raw]).decode


class EventValues(NamedTuple):
    """An event for a row.

    Attributes:
        text: The event as JSON; values of sensitive fields are masked, all else is as it was.
        id: The id field's value, masked where it is sensitive; None without one.
        amount: The amount in plain decimal notation; None without one.
        at_ms: The time field's value, epoch ms; None without one.
    """

    text: str
    id: str | None
    amount: str | None
    at_ms: int | None


class EventReader:
    """Reads events of one pipeline that have been decided, so they are known to be well formed.

    Args:
        event: What the events hold.
    """

    def __init__(self, event: Event) -> None:
        roles = {field.name: field for field in event.fields if field.name in (event.id, event.amount, event.time)}
        self._id, self._amount, self._time = (roles.get(name or "") for name in (event.id, event.amount, event.time))
        self._sensitive = [_path(field) for field in event.fields if field.sensitive]
        names = {field.name for field in event.fields if field.sensitive}
        self._masks_id, self._masks_key = event.id in names, event.key in names

    def __call__(self, event: Raw) -> EventValues:
        """What is wanted of an event, given as its JSON."""
        members = _members_of(event)
        amount = None if self._amount is None else _plain(_found(members, _path(self._amount)))
        at_ms = None if self._time is None else _instant(_found(members, _path(self._time)), self._time)
        event_id = None if self._id is None else _scalar(_found(members, _path(self._id)))
        if self._sensitive:
            for path in self._sensitive:
                _mask(members, path)
            event = Raw(msgspec.json.encode(members))
        return EventValues(json_text(event), self.shown_id(event_id), amount, at_ms)

    def shown_id(self, event_id: str | int | None) -> str | None:
        """An event's id as text, masked where it is sensitive."""
        if event_id is None:
            return None
        return mask(str(event_id)) if self._masks_id else str(event_id)

    def shown_key(self, key: bytes | None) -> str | None:
        """A record's key, masked where it is sensitive."""
        if key is None:
            return None
        text = key.decode("utf-8", "replace")
        return mask(text) if self._masks_key else text


def _path(field: Field) -> list[str]:
    return (field.path or field.name).split(".")


def _found(members: dict[str, Raw], path: list[str]) -> str | None:
    """The JSON text of the value at a path; None where there is none, or null."""
    value = members.get(path[0])
    if value is None or bytes(value) == b"null":
        return None
    return _found(_members_of(value), path[1:]) if path[1:] else json_text(value)


def json_text(value: Raw) -> str:
    """A piece of JSON as text, with U+FFFD for NUL characters: PostgreSQL would take them and not give them back."""
    text = bytes(value).decode()
    return _ESCAPED_NUL.sub(r"\1\\ufffd", text) if "\\u0000" in text else text


def _mask(members: dict[str, Raw], path: list[str]) -> None:
    """Masks the value at a path; an object or array there becomes the mask alone."""
    text = _found(members, path[:1])
    if text is None:
        return
    if path[1:]:
        inner = _members_of(text)
        _mask(inner, path[1:])
        members[path[0]] = Raw(msgspec.json.encode(inner))
    else:
        members[path[0]] = Raw(msgspec.json.encode(mask(_scalar(text) or "")))


def _scalar(text: str | None) -> str | None:
    """The text of a string, a number as it is written; None for anything else."""
    if text is None or text[0] in "{[":
        return None
    return msgspec.json.decode(text, type=str) if text[0] == '"' else text


def _plain(text: str | None) -> str | None:
    """An amount in plain notation; of a bare number 15 digits count, as everywhere."""
    if text is None or text[0] == '"' or (len(text) <= _PLAIN_LENGTH and "e" not in text and "E" not in text):
        return _scalar(text)
    return format(_FLOAT64_DIGITS.plus(Decimal(text)), "f")


def _instant(text: str | None, field: Field) -> int | None:
    written = _scalar(text)
    if written is None:
        return None
    if field.format is TimeFormat.ISO8601:
        return parse_iso(written)
    return parse_epoch(written, 3 if field.format is TimeFormat.EPOCH_S else 0)
