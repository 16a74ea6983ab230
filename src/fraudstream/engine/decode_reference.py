"""What decoding means, in plain Python: one record to values or a reject.

`decode.py` does the same for whole chunks, a hundred times faster, and asks this decoder about every record that its
scan is not certain of; so this file is the semantics, and it decides every reject.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation, Overflow, Underflow
from typing import Any

from fraudstream.engine.kernels.numbers import LARGEST_DECIMAL, LAST_INSTANT_MS
from fraudstream.engine.kernels.scan_memory import DEEPEST, LONGEST_TEXT
from fraudstream.engine.reject import Reject, RejectClass
from fraudstream.schema.columns import LATITUDE_NAMES, ColumnSpec, columns_of
from fraudstream.schema.event import Event, FieldType, TimeFormat
from fraudstream.units import format_instant, parse_duration

Value = str | int | float | bool | None

_SHOWN_CHARACTERS = 40
_EPOCH = datetime(1970, 1, 1)  # without a zone: offsets are applied by hand
_NESTING = re.compile(r'"(?:[^"\\]+|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89abAB]|\\u[dD][c-fC-F]")
_FLOAT64_DIGITS = Context(prec=15, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[InvalidOperation, Overflow, Underflow])
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_ISO = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2})(?::?([0-9]{2}))?)?"
)


class _Number(str):
    """A JSON number as it is written; what it becomes depends on the field."""


class _Refused(Exception):
    def __init__(self, kind: RejectClass, reason: str) -> None:
        self.kind = kind
        self.reason = reason
        super().__init__(reason)


class ReferenceDecoder:
    """Decodes one record at a time.

    Args:
        event: What the records hold.
    """

    def __init__(self, event: Event) -> None:
        self._event = event
        self._columns = columns_of(event)
        self._sensitive = {
            column.name
            for column in self._columns
            for field in event.fields
            if field.sensitive and _is_of(column, field.name)
        }
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
            values = {column.name: self._value(parsed, column) for column in self._columns}
            self._check_locations(values)
            self._check_time(values, timestamp_ms)
        except _Refused as refused:
            return Reject(row, refused.kind, refused.reason)
        return values

    def event_at_ms(self, values: dict[str, Value], timestamp_ms: int) -> int:
        """Event time: the event's time field, or the record's Kafka timestamp where it has none."""
        own = None if self._event.time is None else values[self._event.time]
        return timestamp_ms if own is None else int(own)

    def _parse(self, record: bytes | None) -> dict[str, Any]:
        if not record:
            raise _Refused(RejectClass.EMPTY, "The record has no value; an event is a JSON object.")
        if len(record) > self._event.max_bytes:
            raise _Refused(
                RejectClass.TOO_LARGE, f"The record has {len(record)} bytes; allowed are {self._event.max_bytes}."
            )
        try:
            text = record.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _Refused(
                RejectClass.NOT_UTF8, f"Byte {error.start} of the record is not UTF-8; JSON is UTF-8 text."
            ) from None
        if _depth(text) > DEEPEST:
            raise _Refused(RejectClass.TOO_DEEP, f"More than {DEEPEST} levels of objects and arrays.")
        twice: list[list[tuple[str, Any]]] = []

        def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            members = dict(pairs)
            if len(members) != len(pairs):
                twice.append(pairs)
            return members

        try:
            parsed = json.loads(
                text,
                parse_int=_Number,
                parse_float=_Number,
                parse_constant=_refuse_constant,
                object_pairs_hook=object_of,
            )
        except json.JSONDecodeError as error:
            raise _Refused(RejectClass.NOT_JSON, f"Not JSON: {error.msg} at character {error.pos}.") from None
        if _SURROGATE_ESCAPE.search(text) and any(not _is_encodable(part) for part in _texts_of([parsed, twice])):
            raise _Refused(RejectClass.NOT_UTF8, "A \\u escape is half a surrogate pair, which UTF-8 cannot hold.")
        if twice:
            again = _repeated(key for key, _ in twice[0])
            raise _Refused(RejectClass.DUPLICATE_KEY, f"The key {_cut(json.dumps(again))} stands twice in one object.")
        if not isinstance(parsed, dict):
            raise _Refused(RejectClass.NOT_OBJECT, f"Found {_kind(parsed)}; an event is a JSON object.")
        return parsed

    def _value(self, parsed: dict[str, Any], column: ColumnSpec) -> Value:
        found, path = None, column.paths[0]
        for path in column.paths:
            found = _resolve(parsed, path, column)
            if found is not None:
                break
        if found is None:
            if column.required:
                raise _Refused(RejectClass.MISSING_FIELD, f"{path}: absent or null; the field is required.")
            return None
        shown = "a sensitive value" if column.name in self._sensitive else _shown(found)
        return _convert(found, column, path, shown)

    def _check_locations(self, values: dict[str, Value]) -> None:
        for field in self._locations:
            name, lat, lon = (values[field.name + part] for part in ("", ".lat", ".lon"))
            if name is None and (lat is None or lon is None):
                raise _Refused(
                    RejectClass.MISSING_FIELD,
                    f"{field.path or field.name}: neither a city's name nor both coordinates; the field is required.",
                )

    def _check_time(self, values: dict[str, Value], timestamp_ms: int) -> None:
        event_at_ms = self.event_at_ms(values, timestamp_ms)
        if event_at_ms < 0:
            raise _Refused(RejectClass.BAD_TIME, "Neither the event nor its Kafka record has a time.")
        if self._event.time is not None and timestamp_ms >= 0 and event_at_ms > timestamp_ms + self._max_future_ms:
            raise _Refused(
                RejectClass.FUTURE_TIME,
                f"{self._event.time}: {format_instant(event_at_ms)} is more than {self._event.max_future} "
                f"ahead of the record's Kafka timestamp {format_instant(timestamp_ms)}.",
            )


def _is_of(column: ColumnSpec, field: str) -> bool:
    return column.name == field or column.location == field


def _refuse_constant(name: str) -> None:
    raise _Refused(RejectClass.NOT_JSON, f"Not JSON: {name} is not a JSON number.")


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
            raise _Refused(RejectClass.WRONG_TYPE, f"{where}: found {_kind(value)}; an object is expected.")
        value = value.get(key)
        if value is None:
            return None
    if column.location is not None and column.type is FieldType.STRING and isinstance(value, dict):
        return None
    return value


def _convert(found: Any, column: ColumnSpec, path: str, shown: str) -> Value:
    match column.type:
        case FieldType.STRING:
            return _text(found, path)
        case FieldType.INTEGER:
            return _integer(found, path, shown)
        case FieldType.DECIMAL:
            return _decimal(found, column.scale, path, shown)
        case FieldType.FLOAT:
            return _float(found, column, path, shown)
        case FieldType.BOOLEAN:
            if not isinstance(found, bool):
                raise _wrong_type(path, found, "true or false")
            return found
        case _:
            return _instant(found, column.format, path, shown)


def _text(found: Any, path: str) -> str:
    if type(found) is not str:
        raise _wrong_type(path, found, "a string")
    if "\0" in found:
        raise _Refused(RejectClass.OUT_OF_RANGE, f"{path}: the text holds a NUL character, which is not allowed.")
    size = len(found.encode())
    if size > LONGEST_TEXT:
        raise _Refused(RejectClass.OUT_OF_RANGE, f"{path}: the text has {size} bytes; allowed are {LONGEST_TEXT}.")
    return found


def _integer(found: Any, path: str, shown: str) -> int:
    if not isinstance(found, _Number):
        raise _wrong_type(path, found, "an integer")
    if not _INTEGER.fullmatch(found):
        raise _Refused(
            RejectClass.WRONG_TYPE, f"{path}: found {shown}; an integer is expected, without point and exponent."
        )
    number = int(found) if len(found) <= 20 else None
    if number is None or not -(2**63) <= number < 2**63:
        raise _Refused(RejectClass.OUT_OF_RANGE, f"{path}: {shown} does not fit 64 bits.")
    return number


def _decimal(found: Any, scale: int, path: str, shown: str) -> int:
    if type(found) is str and not _PLAIN_NUMBER.fullmatch(found):
        raise _Refused(
            RejectClass.WRONG_TYPE, f"{path}: found {shown}; a number is expected, or a string holding a plain one."
        )
    if not isinstance(found, str):
        raise _wrong_type(path, found, "a number")
    too_large = _Refused(
        RejectClass.OUT_OF_RANGE,
        f"{path}: {shown} is beyond ±{LARGEST_DECIMAL} units of its last digit ({scale} decimals).",
    )
    try:
        written = Decimal(found)
        if isinstance(found, _Number):
            # Many writers keep money as float64: 85.65 arrives as 85.64999999999999. A float64 carries 15 digits and
            # so does the largest amount, so what a bare number has beyond them is noise. Quoted decimals are exact.
            written = _FLOAT64_DIGITS.plus(written)
        sign, digits, exponent = written.as_tuple()
    except (InvalidOperation, Overflow, Underflow):
        # Only an exponent of more than eighteen digits gets here; a zero does too, which no writer means.
        raise too_large from None
    significant = "".join(map(str, digits)).rstrip("0")
    shift = int(exponent) + scale + len(digits) - len(significant)
    if not significant.strip("0"):
        return 0
    if shift < 0:
        raise _Refused(RejectClass.OUT_OF_RANGE, f"{path}: {shown} has more than {scale} decimals.")
    if len(significant.lstrip("0")) + shift > len(str(LARGEST_DECIMAL)):
        raise too_large
    number: int = int(significant) * 10**shift
    if number > LARGEST_DECIMAL:
        raise too_large
    return -number if sign else number


def _float(found: Any, column: ColumnSpec, path: str, shown: str) -> float:
    if not isinstance(found, _Number):
        raise _wrong_type(path, found, "a number")
    number = float(found) + 0.0  # -0 becomes 0
    bound = largest_coordinate(column)
    if abs(number) == float("inf"):
        raise _Refused(RejectClass.OUT_OF_RANGE, f"{path}: {shown} is beyond what a float64 can hold.")
    if abs(number) > bound:
        raise _Refused(RejectClass.OUT_OF_RANGE, f"{path}: {shown} is no coordinate; allowed is ±{bound:g} degrees.")
    return number


def largest_coordinate(column: ColumnSpec) -> float:
    """The largest absolute value of a float column: 90 for latitudes, 180 for longitudes, else infinity."""
    if column.location is None:
        return float("inf")
    return 90.0 if column.paths[0].rpartition(".")[2] in LATITUDE_NAMES else 180.0


def _instant(found: Any, form: TimeFormat, path: str, shown: str) -> int:
    if form is TimeFormat.ISO8601:
        if type(found) is not str:
            raise _wrong_type(path, found, "an ISO 8601 string")
        instant = parse_iso(found)
    else:
        if not isinstance(found, _Number):
            raise _wrong_type(
                path, found, "a number of " + ("seconds" if form is TimeFormat.EPOCH_S else "milliseconds")
            )
        instant = parse_epoch(found, 3 if form is TimeFormat.EPOCH_S else 0)
    if instant is None:
        raise _Refused(
            RejectClass.BAD_TIME, f"{path}: {shown} is no timestamp; allowed is ISO 8601 like 2026-11-22T20:00:00.123Z."
        )
    if not 0 <= instant <= LAST_INSTANT_MS:
        raise _Refused(RejectClass.OUT_OF_RANGE, f"{path}: {shown} is not in the years 1970 to 2262.")
    return instant


def parse_iso(text: str) -> int | None:
    """Epoch ms of an ISO 8601 text as events have it; None where it is none."""
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    sign, offset_hours, offset_minutes = match[8], int(match[9] or 0), int(match[10] or 0)
    if offset_hours > 23 or offset_minutes > 59:
        return None
    try:
        written = datetime(*(int(match[part]) for part in range(1, 7)))  # type: ignore[arg-type]
    except ValueError:
        return None
    milliseconds = int((match[7] or "")[:3].ljust(3, "0"))
    offset = timedelta(hours=offset_hours, minutes=offset_minutes) * (-1 if sign == "-" else 1)
    return (written - _EPOCH - offset) // timedelta(milliseconds=1) + milliseconds


def parse_epoch(literal: str, unit_digits: int) -> int:
    """Epoch ms of a JSON number in units of 10^-unit_digits s, rounded down; -1 for what is far out of range."""
    number = float(literal)
    if not -1.0 < number < 1e15:
        return -1
    if "e" in literal.lower() and abs(number) < 1e-9:
        return 0 if number >= 0 else -1
    exact = Decimal(literal)
    sign, digits, exponent = exact.as_tuple()
    shift = int(exponent) + unit_digits
    kept = digits[: max(len(digits) + min(shift, 0), 0)]
    value = int("".join(map(str, kept)) or "0") * 10 ** max(shift, 0)
    return -1 if sign and number != 0 else value


def _wrong_type(path: str, found: Any, expected: str) -> _Refused:
    return _Refused(RejectClass.WRONG_TYPE, f"{path}: found {_kind(found)}; {expected} is expected.")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, _Number):
        return "a number"
    if isinstance(value, str):
        return "a string"
    if value is None:
        return "null"
    return "an object" if isinstance(value, dict) else "an array"


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return _kind(value)
    return _cut(value if isinstance(value, _Number) else json.dumps(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
