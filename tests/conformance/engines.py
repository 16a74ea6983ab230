"""The engines the suite runs: each answers the rows of a case, one answer an event, in processing order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import duckdb

from fraudstream.plan.plan import Plan
from fraudstream.plan.sql import features_sql
from fraudstream.schema.event import FieldType
from fraudstream.testing.cases import EventRow, LabelRow
from fraudstream.testing.oracle import Answer, Oracle

from .vectorised import vectorised

Rows = Sequence[EventRow | LabelRow]

_SQL_TYPES = {FieldType.STRING: "VARCHAR", FieldType.FLOAT: "DOUBLE", FieldType.BOOLEAN: "BOOLEAN"}


class Engine(Protocol):
    """Answers a case's events."""

    def __call__(self, plan: Plan, rows: Rows) -> list[Answer]: ...


def oracle(plan: Plan, rows: Rows) -> list[Answer]:
    """The definition itself."""
    subject, answers = Oracle(plan), []
    for row in rows:
        if isinstance(row, LabelRow):
            subject.label(row.event_id, row.is_fraud, row.labelled_at)
        else:
            answers.append(subject.event(row.fields, row.event_at, row.partition, row.offset))
    return answers


def duckdb_exact(plan: Plan, rows: Rows) -> list[Answer]:
    """DuckDB over any stream."""
    return _duckdb(plan, rows, fast=False)


def duckdb_fast(plan: Plan, rows: Rows) -> list[Answer]:
    """DuckDB over a stream in event-time order without repeated ids."""
    return _duckdb(plan, rows, fast=True)


def fill_tables(connection: duckdb.DuckDBPyConnection, plan: Plan, rows: Rows) -> None:
    """Makes the events' and labels' tables of `features_sql` from a case's rows."""
    columns = "".join(f', "{column.name}" {_SQL_TYPES.get(column.type, "BIGINT")}' for column in plan.columns)
    connection.execute(
        f'CREATE TABLE events (sequence BIGINT, "partition" INT, "offset" BIGINT, event_at BIGINT{columns})'
    )
    connection.execute(
        "CREATE TABLE labels (event_id VARCHAR, is_fraud BOOLEAN, labelled_at BIGINT, sequence BIGINT, position BIGINT)"
    )
    events: list[tuple[object, ...]] = []
    labels: list[tuple[object, ...]] = []
    for row in rows:
        if isinstance(row, LabelRow):
            labels.append((row.event_id, row.is_fraud, row.labelled_at, len(events), len(labels)))
        else:
            values = (row.fields[column.name] for column in plan.columns)
            events.append((len(events), row.partition, row.offset, row.event_at, *values))
    for table, filled in (("events", events), ("labels", labels)):
        if filled:
            marks = ", ".join("?" * len(filled[0]))
            values = ", ".join([f"({marks})"] * len(filled))
            connection.execute(f"INSERT INTO {table} VALUES {values}", [value for each in filled for value in each])


def _duckdb(plan: Plan, rows: Rows, *, fast: bool) -> list[Answer]:
    with duckdb.connect(config={"threads": 1}) as connection:
        fill_tables(connection, plan, rows)
        found = connection.execute(features_sql(plan, fast=fast)).fetchall()
    names = [feature.name for feature in plan.features]
    return [
        Answer(
            features=dict(zip(names, values, strict=True)),
            late=late,
            duplicate_of=None if partition is None else (partition, offset),
            sequence=sequence,
        )
        for sequence, late, partition, offset, *values in found
    ]


ENGINES: dict[str, Engine] = {"oracle": oracle, "duckdb": duckdb_exact, "vectorised": vectorised}
SUPPORTS_MAX_KEYS = {"oracle": True, "duckdb": False, "vectorised": True}
"""Which keys a cap makes forgotten depends on all events in turn: SQL cannot say it, and refuses such a plan."""


def supports(engine: str, plan: Plan) -> bool:
    """Whether an engine can answer for a plan; one that cannot raises a UsageError."""
    return plan.pipeline.max_keys is None or SUPPORTS_MAX_KEYS[engine]
