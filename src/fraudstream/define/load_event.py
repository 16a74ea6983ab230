"""The event of a pipeline's file: fields in short or long form, and roles."""

from __future__ import annotations

import re

from fraudstream.define.reader import Reader, suggestion
from fraudstream.define.yaml_tree import Node
from fraudstream.schema.event import Event, Field, FieldType, TimeFormat

EVENT_KEYS = Event.__struct_fields__
FIELD_KEYS = ("type", "path", "required", "scale", "format", "sensitive", "aliases")
_SHORT_TYPE = re.compile(r"([a-z]+)(?:\(([0-9]{1,3})\))?(\?)?")


def read_event(read: Reader, node: Node | None) -> Event:
    """The event; a field with a problem is left out and noted as broken."""
    parts = read.mapping("event", node, EVENT_KEYS)
    fields_node = parts.get("fields")
    if parts and (fields_node is None or fields_node.value is None):
        read.problem("event.fields", node.line if node else None, "is missing.", "List the fields with their types.")
    fields: list[Field] = []
    for name, each in read.mapping("event.fields", fields_node).items():
        before = len(read.problems)
        field = _field(read, f"event.fields.{name}", name, each)
        if len(read.problems) > before or field is None:
            read.broken |= {name, f"{name}.lat", f"{name}.lon"}
        else:
            fields.append(field)
    defaults = Event(fields=())
    return Event(
        fields=tuple(fields),
        **{role: read.text(f"event.{role}", parts.get(role)) for role in ("id", "time", "key", "amount")},
        max_bytes=read.whole("event.max_bytes", parts.get("max_bytes"), defaults.max_bytes),
        max_future=read.text("event.max_future", parts.get("max_future")) or defaults.max_future,
        dedup=read.text("event.dedup", parts.get("dedup")) or defaults.dedup,
    )


def _field(read: Reader, path: str, name: str, node: Node) -> Field | None:
    parts = read.mapping(path, node, FIELD_KEYS) if isinstance(node.value, dict) else {"type": node}
    text = read.text(path, parts.get("type"))
    if text is None:
        if len(parts.keys() & {"type"}) == 0 or parts["type"].value is None:
            read.problem(path, node.line, "has no type.", f"Give one of: {', '.join(FieldType)}.")
        return None
    short = _SHORT_TYPE.fullmatch(text)
    if short is None or short[1] not in FieldType.__members__.values():
        advice = suggestion(re.split(r"[^a-z]", text.lower())[0], [kind.value for kind in FieldType])
        read.problem(path, node.line, f"{text[:80]!r} is not a type.", advice)
        return None
    kind = FieldType(short[1])
    if (short[2] or "scale" in parts) and kind is not FieldType.DECIMAL:
        read.problem(path, node.line, f"{kind} does not take digits.", "Only decimal does: `decimal(2)`.")
    if "format" in parts and kind is not FieldType.TIMESTAMP:
        read.problem(path, node.line, f"{kind} does not take a format.", "Only timestamp does.")
    return Field(
        name=name,
        type=kind,
        path=read.text(f"{path}.path", parts.get("path")),
        required=read.boolean(f"{path}.required", parts.get("required"), not short[3]),
        scale=read.whole(f"{path}.scale", parts.get("scale"), int(short[2] or 2)),
        format=read.word(f"{path}.format", parts.get("format"), TimeFormat) or TimeFormat.ISO8601,
        sensitive=read.boolean(f"{path}.sensitive", parts.get("sensitive"), False),
        aliases=read.texts(f"{path}.aliases", parts.get("aliases")),
    )
