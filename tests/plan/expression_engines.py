"""The three evaluators of expressions behind one face: rows in, one value a row out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import numpy as np

from fraudstream.engine.column import Column
from fraudstream.engine.evaluate import compile_predicate, evaluate
from fraudstream.engine.kernels.fingerprint import fingerprints
from fraudstream.plan.expression import Node
from fraudstream.plan.expression_sql import to_sql
from fraudstream.schema.types import BOOLEAN, FLOAT, INTEGER, STRING, TIMESTAMP, Kind, ValueType, decimal
from fraudstream.testing.evaluate import evaluate_plain

TYPES: dict[str, ValueType] = {
    "amount": decimal(2),
    "fee": decimal(2),
    "rate": decimal(4),
    "count": INTEGER,
    "visits": INTEGER,
    "score": FLOAT,
    "mean": FLOAT,
    "flag": BOOLEAN,
    "known": BOOLEAN,
    "country": STRING,
    "home": STRING,
    "at": TIMESTAMP,
    "last_at": TIMESTAMP,
    "location": STRING,
    "location.lat": FLOAT,
    "order": INTEGER,
}
DTYPES = {Kind.FLOAT: np.float64, Kind.BOOLEAN: np.bool_}
SQL_TYPES = {Kind.STRING: "VARCHAR", Kind.FLOAT: "DOUBLE", Kind.BOOLEAN: "BOOLEAN"}
JUNK = {Kind.FLOAT: float("nan"), Kind.BOOLEAN: True, Kind.STRING: "junk"}
"""What stands in a column where it is null: a value that would show."""


Row = Mapping[str, Any]


def columns_of(rows: Sequence[Row]) -> dict[str, Column]:
    """The rows as columns; a column without nulls has no mask, as the decoder makes them."""
    return {name: _column(kind, [row.get(name) for row in rows]) for name, kind in TYPES.items()}


def _column(kind: ValueType, values: list[Any]) -> Column:
    filled = [JUNK.get(kind.kind, -(2**63)) if value is None else value for value in values]
    valid = None if None not in values else np.array([value is not None for value in values])
    if kind == STRING:
        low, high = fingerprints([text.encode() for text in filled])
        return Column(kind, low, valid, high=high)
    return Column(kind, np.array(filled, dtype=DTYPES.get(kind.kind, np.int64)), valid)


def plain(nodes: Sequence[Node], rows: Sequence[Row]) -> list[list[Any]]:
    return [[evaluate_plain(node, {**dict.fromkeys(TYPES), **row}) for row in rows] for node in nodes]


def vectorised(nodes: Sequence[Node], rows: Sequence[Row]) -> list[list[Any]]:
    columns = columns_of(rows)
    results = []
    for node in nodes:
        column = evaluate(node, columns, len(rows))
        assert len(column) == len(rows)
        assert column.values.dtype == DTYPES.get(node.type.kind, np.int64)
        valid = [True] * len(rows) if column.valid is None else column.valid.tolist()
        values = [value if ok else None for value, ok in zip(column.values.tolist(), valid, strict=True)]
        if node.type == BOOLEAN:
            assert compile_predicate(node)(columns, len(rows)).tolist() == [value is True for value in values]
        results.append(values)
    return results


def sql(nodes: Sequence[Node], rows: Sequence[Row]) -> list[list[Any]]:
    fields = ", ".join(f'"{name}" {SQL_TYPES.get(kind.kind, "BIGINT")}' for name, kind in TYPES.items())
    marks = ", ".join("?" * (len(TYPES) + 1))
    wanted = ", ".join(to_sql(node, lambda name: f'"{name}"') for node in nodes)
    with duckdb.connect(config={"threads": 1}) as database:
        database.execute(f"CREATE TABLE rows (position BIGINT, {fields})")
        places = ", ".join(f"({marks})" for _ in rows)
        values = [value for i, row in enumerate(rows) for value in (i, *(row.get(name) for name in TYPES))]
        database.execute(f"INSERT INTO rows VALUES {places}", values)
        found = database.execute(f"SELECT {wanted} FROM rows ORDER BY position").fetchall()
    return [list(values) for values in zip(*found, strict=True)]
