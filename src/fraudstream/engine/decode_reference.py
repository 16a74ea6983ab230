"""What decoding means, in plain Python: one record to values or a reject.

`decode.py` does the same for whole chunks, a hundred times faster, and asks this decoder about every record that its
scan is not certain of; so this file is the semantics, and it decides every reject.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from fraudstream.engine.decode_values import Number, Refused, Value, convert_value, cut, kind_of, shown_value
from fraudstream.engine.kernels.scan_memory import DEEPEST
from fraudstream.engine.reject import Reject, RejectClass
from fraudstream.schema.columns import ColumnSpec, columns_of
from fraudstream.schema.event import Event, FieldType
from fraudstream.tokens.held import held_keys
from fraudstream.tokens.keys import TokenKeys
from fraudstream.units import format_instant, parse_duration

_NESTING = re.compile(r'"(?:[^"\\]+|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89abAB]|\\u[dD][c-fC-F]")


class ReferenceDecoder:
    """Decodes one record at a time.

    Args:
        event: What the records hold.
    """

    def __init__(self, event: Event) -> None:
        self._event = event
        self._columns = columns_of(event)
        # A record that is refused may have a card number anywhere, so where one field is sensitive no value is shown.
        self._keys: TokenKeys | None = held_keys() if event.sensitive else None
        self._locations = [field for field in event.fields if field.type is FieldType.LOCATION and field.required]
        self._max_future_ms = parse_duration(event.max_future)

    def decode(self, record: bytes | None, timestamp_ms: int, row: int = 0) -> dict[str, Value] | Reject:
        """The value of every column, or the reject.

        Args:
            record: The record's value.
            timestamp_ms: The record's Kafka timestamp; negative where it has none.
            row: Its place in its chunk, for the reject.
        """
        try:
            parsed = self._parse(record)
        except Refused as refused:
            return Reject(row, refused.kind, refused.reason)
        return self.convert(parsed, timestamp_ms, row)

    def convert(self, parsed: dict[str, Any], timestamp_ms: int, row: int = 0) -> dict[str, Value] | Reject:
        """The value of every column of a record that was parsed, or the reject.

        Args:
            parsed: Objects as dict, arrays as list, texts as str, numbers as `Number`; of records that are not JSON
                also `Instant` and bytes.
            timestamp_ms: As of `decode`.
            row: As of `decode`.
        """
        try:
            values = {column.name: self._value(parsed, column) for column in self._columns}
            self._check_locations(values)
            self._check_time(values, timestamp_ms)
        except Refused as refused:
            return Reject(row, refused.kind, refused.reason)
        return values

    def event_at_ms(self, values: dict[str, Value], timestamp_ms: int) -> int:
        """Event time: the event's time field, or the record's Kafka timestamp where it has none."""
        own = None if self._event.time is None else values[self._event.time]
        return timestamp_ms if own is None else int(own)

    def sized(self, record: bytes | None) -> bytes:
        """The record, if there is one and it is not too long.

        Raises:
            Refused: It is not.
        """
        if not record:
            raise Refused(RejectClass.EMPTY, "The record has no value, so there is no event in it.")
        if len(record) > self._event.max_bytes:
            raise Refused(
                RejectClass.TOO_LARGE, f"The record has {len(record)} bytes; allowed are {self._event.max_bytes}."
            )
        return record

    def _parse(self, value: bytes | None) -> dict[str, Any]:
        record = self.sized(value)
        try:
            text = record.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Refused(
                RejectClass.NOT_UTF8, f"Byte {error.start} of the record is not UTF-8; JSON is UTF-8 text."
            ) from None
        if _depth(text) > DEEPEST:
            raise Refused(RejectClass.TOO_DEEP, f"More than {DEEPEST} levels of objects and arrays.")
        twice: list[list[tuple[str, Any]]] = []

        def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            members = dict(pairs)
            if len(members) != len(pairs):
                twice.append(pairs)
            return members

        try:
            parsed = json.loads(
                text,
                parse_int=Number,
                parse_float=Number,
                parse_constant=_refuse_constant,
                object_pairs_hook=object_of,
            )
        except json.JSONDecodeError as error:
            raise Refused(RejectClass.NOT_JSON, f"Not JSON: {error.msg} at character {error.pos}.") from None
        if _SURROGATE_ESCAPE.search(text) and any(not _is_encodable(part) for part in _texts_of([parsed, twice])):
            raise Refused(RejectClass.NOT_UTF8, "A \\u escape is half a surrogate pair, which UTF-8 cannot hold.")
        if twice:
            again = _repeated(key for key, _ in twice[0])
            shown = "A key" if self._keys is not None else f"The key {cut(json.dumps(again))}"
            raise Refused(RejectClass.DUPLICATE_KEY, f"{shown} stands twice in one object.")
        if not isinstance(parsed, dict):
            raise Refused(RejectClass.NOT_OBJECT, f"Found {kind_of(parsed)}; an event is a JSON object.")
        return parsed

    def _value(self, parsed: dict[str, Any], column: ColumnSpec) -> Value:
        found, path = None, column.paths[0]
        for path in column.paths:
            found = _resolve(parsed, path, column)
            if found is not None:
                break
        if found is None:
            if column.required:
                raise Refused(RejectClass.MISSING_FIELD, f"{path}: absent or null; the field is required.")
            return None
        if self._keys is None:
            return convert_value(found, column, path, shown_value(found))
        if column.sensitive and type(found) is str and self._keys.is_token(found):
            return found
        value = convert_value(found, column, path, "a value that is not shown")
        return self._keys.stands_for(str(value)) if column.sensitive else value

    def _check_locations(self, values: dict[str, Value]) -> None:
        for field in self._locations:
            name, lat, lon = (values[field.name + part] for part in ("", ".lat", ".lon"))
            if name is None and (lat is None or lon is None):
                raise Refused(
                    RejectClass.MISSING_FIELD,
                    f"{field.path or field.name}: neither a city's name nor both coordinates; the field is required.",
                )

    def _check_time(self, values: dict[str, Value], timestamp_ms: int) -> None:
        event_at_ms = self.event_at_ms(values, timestamp_ms)
        if event_at_ms < 0:
            raise Refused(RejectClass.BAD_TIME, "Neither the event nor its Kafka record has a time.")
        if self._event.time is not None and timestamp_ms >= 0 and event_at_ms > timestamp_ms + self._max_future_ms:
            raise Refused(
                RejectClass.FUTURE_TIME,
                f"{self._event.time}: {format_instant(event_at_ms)} is more than {self._event.max_future} "
                f"ahead of the record's Kafka timestamp {format_instant(timestamp_ms)}.",
            )


def _refuse_constant(name: str) -> None:
    raise Refused(RejectClass.NOT_JSON, f"Not JSON: {name} is not a JSON number.")


def _repeated(keys: Iterable[str]) -> str:
    """The first key that comes again."""
    seen: set[str] = set()
    return next(key for key in keys if key in seen or seen.add(key))  # type: ignore[func-returns-value]


def _depth(text: str) -> int:
    """The deepest nesting of brackets outside strings, however the text is broken otherwise."""
    if text.count("{") + text.count("[") <= DEEPEST:
        return 0
    depth = deepest = 0
    for match in _NESTING.finditer(text):
        first = match[0][0]
        depth += (first in "[{") - (first in "]}")
        deepest = max(deepest, depth)
    return deepest


def _texts_of(parsed: Any) -> Iterator[str]:
    """Every string and key in a parsed value."""
    rest = [parsed]
    while rest:
        value = rest.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            rest.extend(value.keys())
            rest.extend(value.values())
        elif isinstance(value, (list, tuple)):
            rest.extend(value)


def _is_encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _resolve(parsed: dict[str, Any], path: str, column: ColumnSpec) -> Any:
    """What stands at a path; None where it is absent, null, or a location in its other form."""
    value: Any = parsed
    keys = path.split(".")
    for level, key in enumerate(keys):
        if not isinstance(value, dict):
            where = ".".join(keys[:level])
            if column.location is not None and level == len(keys) - 1 and type(value) is str:
                return None
            raise Refused(RejectClass.WRONG_TYPE, f"{where}: found {kind_of(value)}; an object is expected.")
        value = value.get(key)
        if value is None:
            return None
    if column.location is not None and column.type is FieldType.STRING and isinstance(value, dict):
        return None
    return value
