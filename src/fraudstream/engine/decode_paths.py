"""The tables that drive the scan, made from an event's columns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fraudstream.engine.column import Int64s
from fraudstream.engine.decode_values import largest_coordinate
from fraudstream.engine.kernels import scan_memory
from fraudstream.engine.kernels.json_scan import fill_slots
from fraudstream.engine.kernels.memory import PADDING
from fraudstream.schema.columns import ColumnSpec, columns_of
from fraudstream.schema.event import Event, FieldType, TimeFormat

_KINDS = {
    FieldType.STRING: scan_memory.STRING,
    FieldType.INTEGER: scan_memory.INTEGER,
    FieldType.DECIMAL: scan_memory.DECIMAL,
    FieldType.FLOAT: scan_memory.FLOAT,
    FieldType.BOOLEAN: scan_memory.BOOLEAN,
}
_SENSITIVE = {
    FieldType.STRING: scan_memory.SENSITIVE_STRING,
    FieldType.INTEGER: scan_memory.SENSITIVE_INTEGER,
}
_TIMES = {
    TimeFormat.ISO8601: scan_memory.ISO,
    TimeFormat.EPOCH_MS: scan_memory.EPOCH_MS,
    TimeFormat.EPOCH_S: scan_memory.EPOCH_S,
}


class Compiled(NamedTuple):
    """An event's wanted paths for the scan.

    Attributes:
        paths: What the scan gets: addresses of the arrays.
        arrays: The arrays by their names in `Paths`; kept so that they stay where they are.
        text: A text column's index among those.
        plain: Whether the scan can tell the keys: none has a character that JSON writes as an escape.
    """

    paths: scan_memory.Paths
    arrays: dict[str, np.ndarray]
    text: list[int]
    plain: bool


def compile_paths(event: Event) -> Compiled:
    """The tree of an event's wanted paths, as the scan reads it."""
    columns = columns_of(event)
    places = {spec.name: index for index, spec in enumerate(columns)}
    nodes: dict[tuple[int, bytes], int] = {(-1, b""): 0}
    at_node: dict[int, list[int]] = {}
    for index, spec in enumerate(columns):
        for path in spec.paths:
            node = 0
            for key in path.encode().split(b"."):
                node = nodes.setdefault((node, key), len(nodes))
            at_node.setdefault(node, []).append(index)
    length = np.array([len(key) for _, key in nodes], np.int64)
    parents = [parent for parent, _ in nodes]
    readers = [at_node.get(node, []) for node in range(len(nodes))]
    texts = np.cumsum([spec.is_text for spec in columns]) - 1
    required = [index for index, spec in enumerate(columns) if spec.required]
    arrays: dict[str, np.ndarray] = dict(  # noqa: C408 - the names are those of `Paths`
        keys=np.frombuffer(bytearray(b"".join(key for _, key in nodes) + bytes(PADDING)), np.uint8),
        key_start=np.cumsum(length) - length,
        key_length=length,
        parent=np.array(parents, np.int64),
        mode=np.array([_mode(node in parents, readers[node], columns) for node in range(len(nodes))], np.int64),
        first=np.cumsum([0, *map(len, readers)], dtype=np.int64),
        columns=np.array([index for reader in readers for index in reader], np.int64),
        slots=np.empty(1 << (4 * len(nodes)).bit_length(), np.int64),
        kind=np.array([_kind(spec) for spec in columns], np.int64),
        scale=np.array([spec.scale for spec in columns], np.int64),
        bound=np.array([largest_coordinate(spec) for spec in columns], np.float64),
        text=texts.astype(np.int64),
        sensitive=np.cumsum([spec.sensitive for spec in columns]).astype(np.int64) - 1,
        required=np.array(required, np.int64),
        locations=np.array(
            [
                [places[field.name + part] for part in ("", ".lat", ".lon")]
                for field in event.fields
                if field.type is FieldType.LOCATION and field.required
            ],
            np.int64,
        ).reshape(-1, 3),
    )
    paths = scan_memory.Paths(
        nodes=len(nodes),
        slot_mask=len(arrays["slots"]) - 1,
        required_count=len(arrays["required"]),
        location_count=len(arrays["locations"]),
        **{name: scan_memory.address(array) for name, array in arrays.items()},
    )
    fill_slots(paths)
    plain = not any(byte < 32 or byte in b'"\\' for _, key in nodes for byte in key)
    return Compiled(paths, arrays, texts.tolist(), plain)


def first_guess(parent: Int64s) -> Int64s:
    """Which key comes behind which, before any record was seen: any sibling, any child."""
    nodes = len(parent)
    guess = np.arange(2 * nodes, dtype=np.int64) % nodes
    for node in range(nodes - 1, 0, -1):
        guess[nodes + parent[node]] = node
    return guess


def _mode(has_children: bool, readers: list[int], columns: tuple[ColumnSpec, ...]) -> int:
    if not has_children:
        return scan_memory.LEAF
    if not readers:
        return scan_memory.INNER
    return scan_memory.LOCATION if all(columns[index].location for index in readers) else scan_memory.UNCLEAR


def _kind(spec: ColumnSpec) -> int:
    if spec.sensitive:
        return _SENSITIVE[spec.type]
    return _TIMES[spec.format] if spec.type is FieldType.TIMESTAMP else _KINDS[spec.type]
