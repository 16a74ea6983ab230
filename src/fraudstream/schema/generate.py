"""The schema of a pipeline's event, for those who write it: Avro or Protobuf, made from its fields."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from fraudstream.errors import UsageError
from fraudstream.schema.event import Event, Field, FieldType

PRECISION = 18
"""The digits of a decimal in Avro; as many as 64 bits hold for sure."""
NAMESPACE = "fraudstream"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Words(NamedTuple):
    """A text out of a few, or several of them: no field of an event, but something that is said of it.

    Attributes:
        name: By which name they are given when they are written.
        many: Whether it is a list.
        required: Whether there is always one; a list may be empty.
    """

    name: str
    many: bool = False
    required: bool = True


class Shape(NamedTuple):
    """An object of fields and of further objects, in the order in which they are written.

    Attributes:
        name: What the record is called: that of the event, then the names on the way.
        members: By name, a field or an object.
    """

    name: str
    members: dict[str, Member]

    @property
    def required(self) -> bool:
        """Whether it is always there: something in it is."""
        return any(each.required for each in self.members.values())


Member = Field | Shape | Words


def shape_of(event: Event, name: str) -> Shape:
    """The event as objects within objects, by the paths of its fields.

    Args:
        event: The event.
        name: The pipeline's name.

    Raises:
        UsageError: A field stands at a path that a schema cannot have.
    """
    root = Shape(record_name(name), {})
    for field in event.fields:
        *outer, last = field.paths[0].split(".")
        for part in (*outer, last):
            if not _NAME.fullmatch(part):
                raise UsageError(
                    f"The field {field.name} stands at {field.paths[0]!r}, and {part!r} is no name in a schema.",
                    "Give it a path of letters, digits and '_'; the other one may be among its aliases.",
                )
        place = root
        for part in outer:
            inner = place.members.setdefault(part, Shape(place.name + record_name(part), {}))
            assert isinstance(inner, Shape), "no field stands inside another"
            place = inner
        place.members.setdefault(last, field)
    return root


def record_name(name: str) -> str:
    """The name of a record: `my-payments` is `MyPayments`."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]", name))


def avro_of(shape: Shape) -> dict[str, Any]:
    """The Avro schema of a shape. What may be missing is a union with null, which is its default."""
    fields = []
    for name, member in shape.members.items():
        kind = _avro_type(member, shape.name + record_name(name))
        each: dict[str, Any] = {"name": name, "type": kind}
        if not member.required:
            each["type"] = ["null", *kind] if isinstance(kind, list) else ["null", kind]
            each["default"] = None
        if isinstance(member, Field):
            own = member.paths[0].rpartition(".")[0]
            before = [path.rpartition(".") for path in member.aliases]
            known = [last for outer, _, last in before if outer == own and _NAME.fullmatch(last)]
            each |= {"aliases": known} if known else {}
        fields.append(each)
    return {"type": "record", "name": shape.name, "fields": fields}


def avro_text(shape: Shape) -> str:
    """The Avro schema of a shape as a registry keeps it."""
    return json.dumps({"namespace": NAMESPACE, **avro_of(shape)}, indent=2)


def _avro_type(field: Member, name: str) -> Any:
    if isinstance(field, Shape):
        return avro_of(field)
    if isinstance(field, Words):
        return {"type": "array", "items": "string"} if field.many else "string"
    match field.type:
        case FieldType.DECIMAL:
            return {"type": "bytes", "logicalType": "decimal", "precision": PRECISION, "scale": field.scale}
        case FieldType.TIMESTAMP:
            return {"type": "long", "logicalType": "timestamp-millis"}
        case FieldType.LOCATION:
            axes = [{"name": axis, "type": ["null", "double"], "default": None} for axis in ("lat", "lon")]
            return ["string", {"type": "record", "name": name, "fields": axes}]
        case _:
            return {"string": "string", "integer": "long", "float": "double", "boolean": "boolean"}[field.type.value]


def proto_text(shape: Shape) -> str:
    """The Protobuf schema of a shape: one message type, with those inside it. Numbers follow the order of fields."""
    lines = ['syntax = "proto3";', f"package {NAMESPACE};", ""]
    if any(_has_instant(member) for member in shape.members.values()):
        lines += ['import "google/protobuf/timestamp.proto";', ""]
    return "\n".join([*lines, *_message(shape.name, shape.members), ""])


def _message(name: str, members: Mapping[str, Member]) -> list[str]:
    lines = [f"message {name} {{"]
    for number, (own, member) in enumerate(members.items(), 1):
        kind = record_name(own)
        if isinstance(member, Shape):
            lines += [f"  {line}" for line in _message(kind, member.members)] + [f"  {kind} {own} = {number};"]
        elif isinstance(member, Words):
            label = "repeated " if member.many else "" if member.required else "optional "
            lines.append(f"  {label}string {own} = {number};")
        elif member.type is FieldType.LOCATION:
            lines += [f"  message {kind} {{", "    optional double lat = 1;", "    optional double lon = 2;"]
            lines += ["    optional string name = 3;", "  }", f"  {kind} {own} = {number};"]
        else:
            label = "" if member.required or member.type is FieldType.TIMESTAMP else "optional "
            lines.append(f"  {label}{_PROTO[member.type]} {own} = {number};")
    return [*lines, "}"]


def _has_instant(member: Member) -> bool:
    if isinstance(member, Shape):
        return any(_has_instant(each) for each in member.members.values())
    return isinstance(member, Field) and member.type is FieldType.TIMESTAMP


_PROTO = {
    FieldType.STRING: "string",
    FieldType.INTEGER: "int64",
    FieldType.DECIMAL: "string",
    FieldType.FLOAT: "double",
    FieldType.BOOLEAN: "bool",
    FieldType.TIMESTAMP: "google.protobuf.Timestamp",
}
