"""What a sink wants to know of an event."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Context, Decimal
from typing import Any

import msgspec
from msgspec import Raw

from fraudstream.engine.decode_values import parse_epoch, parse_iso
from fraudstream.schema.event import Event, Field, TimeFormat

_ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_FLOAT64_DIGITS = Context(prec=15)
_PLAIN_LENGTH = 15


class EventReader:
    """Reads events of one pipeline that have been decided, so they are known to be well formed.

    Args:
        event: What the events hold.
    """

    def __init__(self, event: Event) -> None:
        fields = {field.name: field for field in event.fields}
        self._id, self._amount, self._time = (
            None if name is None else _reader(fields[name]) for name in (event.id, event.amount, event.time)
        )
        self._form = TimeFormat.ISO8601 if event.time is None else fields[event.time].format

    def id(self, event: Raw) -> str | None:
        """The id field's value; None without one."""
        return None if self._id is None else _scalar(self._id(event))

    def amount(self, event: Raw) -> str | None:
        """The amount in plain decimal notation; None without one. Of a bare number 15 digits count, as everywhere."""
        text = None if self._amount is None else self._amount(event)
        if text is None or text[0] == '"' or (len(text) <= _PLAIN_LENGTH and "e" not in text and "E" not in text):
            return _scalar(text)
        return format(_FLOAT64_DIGITS.plus(Decimal(text)), "f")

    def at_ms(self, event: Raw) -> int | None:
        """The time field's value, epoch ms; None without one."""
        text = None if self._time is None else _scalar(self._time(event))
        if text is None:
            return None
        if self._form is TimeFormat.ISO8601:
            return parse_iso(text)
        return parse_epoch(text, 3 if self._form is TimeFormat.EPOCH_S else 0)


def _reader(field: Field) -> Callable[[Raw], str | None]:
    """What reads the JSON text of one field, and skips all else; None where there is none, or null."""
    readers = [_reader_at(path.split(".")) for path in field.paths]
    return lambda event: next((text for read in readers if (text := read(event)) is not None), None)


def _reader_at(path: list[str]) -> Callable[[Raw], str | None]:
    kind: Any = Raw
    for name in reversed(path):
        level = msgspec.defstruct("Level", [("inner", kind, None)], rename={"inner": name})
        kind = level | None
    decode = msgspec.json.Decoder(kind).decode

    def read(event: Raw) -> str | None:
        found: Any = decode(event)
        for _ in path:
            if found is None:
                return None
            found = found.inner
        text = None if found is None else json_text(found)
        return None if text == "null" else text

    return read


def json_text(value: Raw) -> str:
    """A piece of JSON as text, with U+FFFD for NUL characters: PostgreSQL would take them and not give them back."""
    text = bytes(value).decode()
    return _ESCAPED_NUL.sub(r"\1\\ufffd", text) if "\\u0000" in text else text


def _scalar(text: str | None) -> str | None:
    """The text of a string, a number as it is written; None for anything else."""
    if text is None or text[0] in "{[":
        return None
    return msgspec.json.decode(text, type=str) if text[0] == '"' else text
