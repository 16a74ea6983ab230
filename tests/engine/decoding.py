"""An event with a field of every type, records of it, and decoded columns as plain values."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from fraudstream.engine.column import Column
from fraudstream.engine.decode import Decoded
from fraudstream.schema.event import Event, Field, FieldType, TimeFormat
from fraudstream.schema.types import Kind

NOW_MS = 1_795_377_600_000

EVENT = Event(
    fields=(
        Field(name="id", type=FieldType.STRING),
        Field(name="at", type=FieldType.TIMESTAMP),
        Field(name="count", type=FieldType.INTEGER),
        Field(name="amount", type=FieldType.DECIMAL),
        Field(name="v", type=FieldType.FLOAT, required=False),
        Field(name="online", type=FieldType.BOOLEAN, required=False),
        Field(name="seen_ms", type=FieldType.TIMESTAMP, format=TimeFormat.EPOCH_MS, required=False),
        Field(name="seen_s", type=FieldType.TIMESTAMP, format=TimeFormat.EPOCH_S, required=False),
        Field(name="device", type=FieldType.STRING, path="client.device.id", required=False, sensitive=True),
        Field(name="address", type=FieldType.STRING, path="client.ip", required=False),
        Field(name="place", type=FieldType.LOCATION, required=False),
        Field(name="shop", type=FieldType.LOCATION, path="merchant.where", required=False),
        Field(name="fine", type=FieldType.DECIMAL, path="amount", scale=4),
    ),
    id="id",
    time="at",
    amount="amount",
    max_bytes=2_000,
)


def record(**changes: Any) -> bytes:
    """A good record with some members changed, or left out where the change is `...`."""
    members: dict[str, Any] = {"id": "t1", "at": "2026-11-22T20:00:00.123Z", "count": 5, "amount": 57.16, **changes}
    return json.dumps({key: value for key, value in members.items() if value is not ...}).encode()


def raw(members: bytes) -> bytes:
    """A good record with raw JSON members behind its own."""
    return record()[:-1] + b", " + members + b"}"


def now(count: int) -> np.ndarray:
    return np.full(count, NOW_MS, np.int64)


def values_of(decoded: Decoded, name: str) -> list[Any]:
    """A column's values as Python's; texts as str, null as None."""
    column = decoded.columns[name]
    valid = np.ones(len(column), np.bool_) if column.valid is None else column.valid
    return [plain(decoded, column, row) if valid[row] else None for row in range(len(column))]


def plain(decoded: Decoded, column: Column, row: int) -> Any:
    if column.type.kind is not Kind.STRING:
        return column.values[row].item()
    assert column.start is not None
    assert column.length is not None
    start = int(column.start[row])
    return decoded.buffer[start : start + int(column.length[row])].tobytes().decode()
