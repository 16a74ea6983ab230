"""An Avro schema, parsed: what stands where in the bytes of a record."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fraudstream.engine.schemas import SchemaUnusable


@dataclass(slots=True)
class AvroField:
    """A field of a record: its name, then those it had before, and its type."""

    names: tuple[str, ...]
    type: AvroType


@dataclass(slots=True)
class AvroType:
    """A type; records may hold themselves.

    Attributes:
        kind: `null`, `boolean`, `int`, `long`, `float`, `double`, `bytes`, `string`, `fixed`, `enum`, `array`, `map`,
            `union` or `record`.
        logical: Its logical type: a timestamp's, `date` or `decimal`; None where it has none that matters here.
        name: Of a record, enum or fixed.
        scale: Of a decimal.
        size: Of a fixed.
        symbols: Of an enum.
        fields: Of a record.
        inner: An array's or map's items, a union's branches.
    """

    kind: str
    logical: str | None = None
    name: str = ""
    scale: int = 0
    size: int = 0
    symbols: tuple[str, ...] = ()
    fields: list[AvroField] = field(default_factory=list)
    inner: list[AvroType] = field(default_factory=list)

    def __str__(self) -> str:
        if self.kind == "union":
            return " or ".join(map(str, self.inner))
        return self.logical or (f"{self.kind} {self.name}" if self.name else self.kind)


TIMES = {
    f"{local}timestamp-{unit}": (1, divided)
    for local in ("", "local-")
    for unit, divided in (("millis", 1), ("micros", 1_000), ("nanos", 1_000_000))
} | {"date": (86_400_000, 1)}
"""Epoch ms of the logical types that are instants: times so much, divided by so much. Local ones are taken as UTC."""


def parse_avro(text: str, references: Iterable[str] = ()) -> AvroType:
    """The type of a schema.

    Args:
        text: The schema.
        references: Schemas whose names it uses, those first that others use.

    Raises:
        SchemaUnusable: It is no Avro schema of a record.
    """
    from fastavro.schema import SchemaParseException, UnknownType, parse_schema

    named: dict[str, Any] = {}
    try:
        for each in (*references, text):
            parsed = parse_schema(json.loads(each), named_schemas=named, _write_hint=False)
        found = _Reader(named).type_of(parsed)
    except (
        SchemaParseException,
        UnknownType,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
    ) as error:
        raise SchemaUnusable(f"it is no Avro schema: {type(error).__name__} {str(error)[:200]}") from None
    if found.kind != "record":
        raise SchemaUnusable(f"it is of {found}, and an event is a record")
    return found


class _Reader:
    def __init__(self, named: dict[str, Any]) -> None:
        self._named = named
        self._known: dict[str, AvroType] = {}

    def type_of(self, schema: Any) -> AvroType:
        if isinstance(schema, list):
            return AvroType("union", inner=[self.type_of(branch) for branch in schema])
        if isinstance(schema, str):
            if schema not in self._named:
                return AvroType(schema)
            return self._known.get(schema) or self.type_of(self._named[schema])
        kind = schema["type"]
        if not isinstance(kind, str) or kind not in (*_PLAIN, *_NAMED):
            return self.type_of(kind)
        found = AvroType(kind, _logical(schema), name=schema.get("name", "") if kind in _NAMED else "")
        if found.name:
            self._known[found.name] = found
        if found.logical == "decimal":
            found.scale = schema.get("scale", 0)
        found.size = schema.get("size", 0)
        found.symbols = tuple(schema.get("symbols", ()))
        found.fields = [
            AvroField((each["name"], *each.get("aliases", ())), self.type_of(each["type"]))
            for each in schema.get("fields", ())
        ]
        if kind in ("array", "map"):
            found.inner = [self.type_of(schema["items" if kind == "array" else "values"])]
        return found


_NAMED = ("record", "enum", "fixed")
_PLAIN = ("null", "boolean", "int", "long", "float", "double", "bytes", "string", "array", "map")


def _logical(schema: dict[str, Any]) -> str | None:
    """The logical type, if it is one that is known and stands where it may; else, as Avro has it, it says nothing."""
    name, kind = schema.get("logicalType"), schema["type"]
    if name == "decimal" and kind in ("bytes", "fixed"):
        scale, precision = schema.get("scale", 0), schema.get("precision", 0)
        return name if isinstance(scale, int) and isinstance(precision, int) and 0 <= scale <= precision else None
    if name == "date":
        return name if kind == "int" else None
    return name if name in TIMES and kind == "long" else None
