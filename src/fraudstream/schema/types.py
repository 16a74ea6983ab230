"""The types of values in expressions, features and decisions."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from fraudstream.schema.event import Field, FieldType


class Kind(StrEnum):
    """What a value is."""

    STRING = "string"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"


class ValueType(msgspec.Struct, frozen=True):
    """A value's type; `scale` is the number of decimal digits and is 0 except for decimals."""

    kind: Kind
    scale: int = 0

    def __str__(self) -> str:
        return f"decimal({self.scale})" if self.kind is Kind.DECIMAL else self.kind.value

    @property
    def is_number(self) -> bool:
        """Whether arithmetic is defined on it."""
        return self.kind in (Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT)

    @property
    def is_exact(self) -> bool:
        """Whether it is held as an int64, so that sums over it do not depend on their order."""
        return self.kind in (Kind.INTEGER, Kind.DECIMAL)


STRING = ValueType(Kind.STRING)
INTEGER = ValueType(Kind.INTEGER)
FLOAT = ValueType(Kind.FLOAT)
BOOLEAN = ValueType(Kind.BOOLEAN)
TIMESTAMP = ValueType(Kind.TIMESTAMP)


def decimal(scale: int) -> ValueType:
    """The type of exact decimals with that many digits after the point."""
    return ValueType(Kind.DECIMAL, scale)


def type_of(field: Field) -> ValueType:
    """The type of a field's value; a location's own value is its city's name, a sensitive field's its token."""
    if field.sensitive:
        return STRING
    if field.type is FieldType.DECIMAL:
        return decimal(field.scale)
    if field.type is FieldType.LOCATION:
        return STRING
    return ValueType(Kind(field.type.value))
