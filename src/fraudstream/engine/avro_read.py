"""What Avro's bytes mean, in plain Python: one record to a tree, strictly. It is what the scan is held to."""

from __future__ import annotations

import struct
from typing import Any

from fraudstream.engine.avro_schema import TIMES, AvroType
from fraudstream.engine.decode_values import Instant, Number, Refused
from fraudstream.engine.kernels.scan_memory import DEEPEST
from fraudstream.engine.reject import RejectClass

_LONGEST_DECIMAL = 64
_MOST_VALUES = 1_000_000
"""Values of no bytes, such as nulls, could keep the reader busy for ever."""


def read_avro(record: bytes, at: int, schema: AvroType) -> dict[str, Any]:
    """The tree of a record: objects as dict, texts as str, numbers as `Number`, instants as `Instant`.

    A field also stands under each name that it had before, where no other field has it. What is refused is said without
    the numbers that were read: in a record of another schema they may be anything, a card's number, too.

    Args:
        record: The bytes.
        at: Where they begin to be Avro.
        schema: What wrote them.

    Raises:
        Refused: They are not what the schema says.
    """
    reader = _Reader(record, at)
    tree: dict[str, Any] = reader.value(schema, 0)
    if reader.at != len(record):
        raise reader.refusal(f"{len(record) - reader.at} bytes are left behind the record")
    return tree


class _Reader:
    def __init__(self, record: bytes, at: int) -> None:
        self._record = record
        self.at = at
        self._items_left = len(record) - at
        self._values_left = _MOST_VALUES

    def refusal(self, what: str, at: int | None = None) -> Refused:
        return Refused(
            RejectClass.MALFORMED, f"Not Avro of its schema: {what}, at byte {self.at if at is None else at}."
        )

    def value(self, kind: AvroType, depth: int) -> Any:
        self._values_left -= 1
        if self._values_left < 0:
            raise self.refusal(f"more than {_MOST_VALUES} values")
        match kind.kind:
            case "null":
                return None
            case "record":
                return self._record_of(kind, depth)
            case "union":
                return self.value(kind.inner[self._choice(len(kind.inner), "branches")], depth)
            case "array" | "map":
                return self._collection(kind, depth)
            case "enum":
                return kind.symbols[self._choice(len(kind.symbols), "symbols")]
            case "int" | "long":
                return self._whole(kind)
            case "boolean":
                return bool(self._choice_of_byte())
            case "float" | "double":
                number = struct.unpack(
                    "<f" if kind.kind == "float" else "<d", self._take(4 if kind.kind == "float" else 8)
                )
                return Number(repr(number[0]))
            case "string":
                return self._text()
            case _:
                data = self._take(kind.size if kind.kind == "fixed" else self._length())
                is_decimal = kind.logical == "decimal" and 0 < len(data) <= _LONGEST_DECIMAL
                return _decimal(data, kind.scale) if is_decimal else data

    def _record_of(self, kind: AvroType, depth: int) -> dict[str, Any]:
        if depth > DEEPEST:
            raise Refused(RejectClass.TOO_DEEP, f"More than {DEEPEST} levels of records and arrays.")
        tree: dict[str, Any] = {}
        before: dict[str, Any] = {}
        for each in kind.fields:
            found = self.value(each.type, depth + 1)
            tree[each.names[0]] = found
            for name in each.names[1:]:
                before.setdefault(name, found)
        return before | tree

    def _collection(self, kind: AvroType, depth: int) -> list[Any] | dict[str, Any]:
        if depth > DEEPEST:
            raise Refused(RejectClass.TOO_DEEP, f"More than {DEEPEST} levels of records and arrays.")
        listed: list[Any] = []
        mapped: dict[str, Any] = {}
        while True:
            began = self.at
            count = self._long()
            size = None
            if count < 0:
                count, size = -count, self._long()
            self._items_left -= count
            if self._items_left < 0:
                raise self.refusal(f"more items than the record's {len(self._record)} bytes", began)
            if count == 0:
                return mapped if kind.kind == "map" else listed
            first = self.at
            for _ in range(count):
                if kind.kind == "map":
                    name = self._text()
                    mapped[name] = self.value(kind.inner[0], depth + 1)
                else:
                    listed.append(self.value(kind.inner[0], depth + 1))
            if size is not None and size != self.at - first:
                raise self.refusal(f"a block of {self.at - first} bytes says that it has another size", began)

    def _whole(self, kind: AvroType) -> Any:
        began = self.at
        number = self._long()
        if kind.kind == "int" and not -(2**31) <= number < 2**31:
            raise self.refusal("a number does not fit an int", began)
        if kind.logical is None:
            return Number(number)
        times, divided = TIMES[kind.logical]
        return Instant(number // divided * times)

    def _long(self) -> int:
        began, number = self.at, 0
        for shift in range(0, 70, 7):
            byte = self._take(1)[0]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                if number >= 2**64:
                    break
                return (number >> 1) ^ -(number & 1)
        raise self.refusal("a number is longer than 64 bits", began)

    def _choice(self, count: int, what: str) -> int:
        began = self.at
        number = self._long()
        if not 0 <= number < count:
            raise self.refusal(f"none of the {count} {what} is meant", began)
        return number

    def _choice_of_byte(self) -> int:
        byte = self._take(1)[0]
        if byte > 1:
            raise self.refusal(f"{byte} for a boolean", self.at - 1)
        return byte

    def _length(self) -> int:
        began = self.at
        length = self._long()
        if length < 0:
            raise self.refusal("a length is negative", began)
        return length

    def _text(self) -> str:
        began = self.at
        try:
            return self._take(self._length()).decode()
        except UnicodeDecodeError:
            raise Refused(RejectClass.NOT_UTF8, f"The string at byte {began} of the record is not UTF-8.") from None

    def _take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self._record):
            raise self.refusal(f"more bytes are expected than the {len(self._record) - self.at} that are left")
        data = self._record[self.at : end]
        self.at = end
        return data


def _decimal(data: bytes, scale: int) -> str:
    """The number in plain notation: exact, as a quoted one in JSON is."""
    units = int.from_bytes(data, "big", signed=True)
    sign, digits = "-" if units < 0 else "", str(abs(units)).rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else sign + digits
