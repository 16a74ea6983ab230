"""What a parsed value is worth in a column, in plain Python: the semantics of the field types."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timedelta
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation, Overflow, Underflow
from typing import Any

from fraudstream.engine.kernels.numbers import LARGEST_DECIMAL, LAST_INSTANT_MS
from fraudstream.engine.kernels.scan_memory import LONGEST_TEXT
from fraudstream.engine.reject import RejectClass
from fraudstream.schema.columns import LATITUDE_NAMES, ColumnSpec
from fraudstream.schema.event import FieldType, TimeFormat

Value = str | int | float | bool | None

_SHOWN_CHARACTERS = 40
_EPOCH = datetime(1970, 1, 1)  # without a zone: offsets are applied by hand
_FLOAT64_DIGITS = Context(prec=15, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[InvalidOperation, Overflow, Underflow])
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_ISO = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2})(?::?([0-9]{2}))?)?"
)


class Number(str):
    """A number as JSON writes it; what it becomes depends on the field."""


class Instant(int):
    """Epoch milliseconds of a value that says itself that it is an instant, as Avro's and Protobuf's do."""


class Refused(Exception):
    """A record is no event.

    Args:
        kind: The class.
        reason: What was found, where, and what is allowed.
    """

    def __init__(self, kind: RejectClass, reason: str) -> None:
        self.kind = kind
        self.reason = reason
        super().__init__(reason)


def convert_value(found: Any, column: ColumnSpec, path: str, shown: str) -> Value:
    """The value of a column.

    Args:
        found: What stands at its path; not null.
        column: The column.
        path: The path, for the reason.
        shown: The value as a reason may show it.

    Raises:
        Refused: It is no value of the column's type, or beyond its bounds.
    """
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
        raise Refused(RejectClass.OUT_OF_RANGE, f"{path}: the text holds a NUL character, which is not allowed.")
    size = len(found.encode())
    if size > LONGEST_TEXT:
        raise Refused(RejectClass.OUT_OF_RANGE, f"{path}: the text has {size} bytes; allowed are {LONGEST_TEXT}.")
    return found


def _integer(found: Any, path: str, shown: str) -> int:
    if not isinstance(found, Number):
        raise _wrong_type(path, found, "an integer")
    if not _INTEGER.fullmatch(found):
        raise Refused(
            RejectClass.WRONG_TYPE, f"{path}: found {shown}; an integer is expected, without point and exponent."
        )
    number = int(found) if len(found) <= 20 else None
    if number is None or not -(2**63) <= number < 2**63:
        raise Refused(RejectClass.OUT_OF_RANGE, f"{path}: {shown} does not fit 64 bits.")
    return number


def _decimal(found: Any, scale: int, path: str, shown: str) -> int:
    if type(found) is str and not _PLAIN_NUMBER.fullmatch(found):
        raise Refused(
            RejectClass.WRONG_TYPE, f"{path}: found {shown}; a number is expected, or a string holding a plain one."
        )
    if not isinstance(found, str):
        raise _wrong_type(path, found, "a number")
    too_large = Refused(
        RejectClass.OUT_OF_RANGE,
        f"{path}: {shown} is beyond ±{LARGEST_DECIMAL} units of its last digit ({scale} decimals).",
    )
    try:
        written = Decimal(found)
        if isinstance(found, Number):
            # Many writers keep money as float64: 85.65 arrives as 85.64999999999999. A float64 carries 15 digits and
            # so does the largest amount, so what a bare number has beyond them is noise. Quoted decimals are exact.
            written = _FLOAT64_DIGITS.plus(written)
        if not written.is_finite():
            raise too_large
        sign, digits, exponent = written.as_tuple()
    except (InvalidOperation, Overflow, Underflow):
        # Only an exponent of more than eighteen digits gets here; a zero does too, which no writer means.
        raise too_large from None
    significant = "".join(map(str, digits)).rstrip("0")
    shift = int(exponent) + scale + len(digits) - len(significant)
    if not significant.strip("0"):
        return 0
    if shift < 0:
        raise Refused(RejectClass.OUT_OF_RANGE, f"{path}: {shown} has more than {scale} decimals.")
    if len(significant.lstrip("0")) + shift > len(str(LARGEST_DECIMAL)):
        raise too_large
    number: int = int(significant) * 10**shift
    if number > LARGEST_DECIMAL:
        raise too_large
    return -number if sign else number


def _float(found: Any, column: ColumnSpec, path: str, shown: str) -> float:
    if not isinstance(found, Number):
        raise _wrong_type(path, found, "a number")
    number = float(found) + 0.0  # -0 becomes 0
    bound = largest_coordinate(column)
    if not math.isfinite(number):
        raise Refused(RejectClass.OUT_OF_RANGE, f"{path}: {shown} is beyond what a float64 can hold.")
    if abs(number) > bound:
        raise Refused(RejectClass.OUT_OF_RANGE, f"{path}: {shown} is no coordinate; allowed is ±{bound:g} degrees.")
    return number


def largest_coordinate(column: ColumnSpec) -> float:
    """The largest absolute value of a float column: 90 for latitudes, 180 for longitudes, else infinity."""
    if column.location is None:
        return float("inf")
    return 90.0 if column.paths[0].rpartition(".")[2] in LATITUDE_NAMES else 180.0


def _instant(found: Any, form: TimeFormat, path: str, shown: str) -> int:
    if isinstance(found, Instant):
        instant: int | None = int(found)
    elif form is TimeFormat.ISO8601:
        if type(found) is not str:
            raise _wrong_type(path, found, "an ISO 8601 string")
        instant = parse_iso(found)
    else:
        if not isinstance(found, Number):
            raise _wrong_type(
                path, found, "a number of " + ("seconds" if form is TimeFormat.EPOCH_S else "milliseconds")
            )
        instant = parse_epoch(found, 3 if form is TimeFormat.EPOCH_S else 0)
    if instant is None:
        raise Refused(
            RejectClass.BAD_TIME, f"{path}: {shown} is no timestamp; allowed is ISO 8601 like 2026-11-22T20:00:00.123Z."
        )
    if not 0 <= instant <= LAST_INSTANT_MS:
        raise Refused(RejectClass.OUT_OF_RANGE, f"{path}: {shown} is not in the years 1970 to 2262.")
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


def _wrong_type(path: str, found: Any, expected: str) -> Refused:
    return Refused(RejectClass.WRONG_TYPE, f"{path}: found {kind_of(found)}; {expected} is expected.")


def kind_of(value: Any) -> str:
    """What a parsed value is, in words."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, Number):
        return "a number"
    if isinstance(value, str):
        return "a string"
    if value is None:
        return "null"
    if isinstance(value, Instant):
        return "an instant"
    if isinstance(value, bytes):
        return "bytes"
    return "an object" if isinstance(value, dict) else "an array"


def shown_value(value: Any) -> str:
    """A value as a reason shows it: short."""
    if isinstance(value, (dict, list, bytes)):
        return kind_of(value)
    return cut(value if isinstance(value, Number) else json.dumps(value))


def cut(text: str) -> str:
    """A text, shortened where it is long."""
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
