"""The sink into the operational store: decisions, alerts, labels and dead letters, exactly once in effect.

Rows and the offsets after them are written in one database transaction, and reading goes on from the offsets in the
database; so whoever is killed when, each record is a row once.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace
from sqlalchemy import select

from fraudstream.define.decision import ValueList
from fraudstream.define.write import to_yaml
from fraudstream.errors import FraudstreamError, StoreUnreachable
from fraudstream.kafka.tail import Record
from fraudstream.plan.plan import Plan
from fraudstream.sinks.loop import Pace, next_offsets
from fraudstream.sinks.records import parsers
from fraudstream.store import offsets
from fraudstream.store.bulk import LAST_MS, Row, insert_rows, make_partitions
from fraudstream.store.engine import Store
from fraudstream.store.tables import alerts, dead_letters, decisions, labels, metadata, versions
from fraudstream.telemetry.series import Series, counter

_INPUT_AT = dead_letters.columns.keys().index("input_at")
PACE = Pace(records=10_000, wait_s=0.2)


class StoreTarget:
    """The operational store as the target of one pipeline's records.

    Args:
        store: The store; its tables are of this version.
        plan: The pipeline.

    Attributes:
        rows: How many rows were written, by table.
    """

    unavailable: tuple[type[FraudstreamError], ...] = (StoreUnreachable,)

    def __init__(self, store: Store, plan: Plan) -> None:
        self._store = store
        self._sink = f"store-{plan.pipeline.name}"
        self._parsers = parsers(plan.pipeline)
        self._believed: dict[offsets.Place, int] = {}
        self._days: set[str] = set()
        self._decided_at = decisions.columns.keys().index("decided_at")
        tables = (decisions, alerts, labels, dead_letters)
        self.rows: dict[str, int] = {table.name: 0 for table in tables}

    @property
    def topics(self) -> list[str]:
        """The topics to read."""
        return list(self._parsers)

    def positions(self) -> Mapping[offsets.Place, int]:
        """Where the store stands.

        Raises:
            StoreUnreachable: It does not answer.
        """
        self._store.engine.dispose()  # connections from before an interruption are of no use
        with self._store.begin(read_only=True) as connection:
            self._believed = offsets.next_offsets(connection, self._sink)
        return self._believed

    def write(self, records: Sequence[Record]) -> None:
        """Writes rows and offsets in one transaction.

        Raises:
            StoreUnreachable: It went away; whether the transaction took effect, `positions` tells.
            FencedError: Another process is the same sink.
        """
        rows = self._rows(records)
        self._make_partitions(rows["decisions"])
        after = next_offsets(records)
        with self._store.begin() as connection:
            offsets.move_on(connection, self._sink, self._believed, after)
            for name, found in rows.items():
                insert_rows(connection, metadata.tables[name], found)
        self._believed |= after
        for name, found in rows.items():
            self.rows[name] += len(found)

    def series(self) -> Iterable[Series]:
        """How many rows were written, by table."""
        yield counter("sink_rows_total", "Rows written.", self.rows, "table")

    def _rows(self, records: Sequence[Record]) -> dict[str, list[Row]]:
        rows: dict[str, list[Row]] = defaultdict(list)
        for topic, partition, offset, at_ms, key, value in records:
            table, row = self._parsers[topic](topic, partition, offset, key, value or b"")
            if table == dead_letters.name and row[_INPUT_AT] is None:  # it has to have an age, or it is kept for ever
                row = [*row[:_INPUT_AT], min(max(at_ms, 0), LAST_MS), *row[_INPUT_AT + 1 :]]
            if table is not None:
                rows[table].append(row)
        return rows

    def _make_partitions(self, rows: Sequence[Row]) -> None:
        if self._store.is_postgresql:
            place = self._decided_at
            with self._store.begin() as connection:
                make_partitions(connection, decisions, {row[place] for row in rows}, self._days)


def record_versions(store: Store, plan: Plan) -> list[str]:
    """Keeps what stands behind the versions that the pipeline's decisions carry; returns the kinds that were new."""
    pipeline = plan.pipeline
    contents = {
        "pipeline": to_yaml(replace(pipeline, lists=_with_kept_values(plan))),
        "rules": json.dumps([[rule.code, rule.when, rule.action, rule.score] for rule in pipeline.rules]),
        "lists": json.dumps({each.name: each.values for each in plan.kept_lists}),
    }
    current = {kind: getattr(plan.versions, kind) for kind in contents}
    with store.begin(read_only=True) as connection:
        known = connection.execute(
            select(versions.c.kind, versions.c.version).where(versions.c.pipeline == pipeline.name)
        )
        new = sorted(current.items() - {(kind, version) for kind, version in known})
    if new:
        rows = [(pipeline.name, kind, version, contents[kind], time.time_ns() // 1_000_000) for kind, version in new]
        with store.change("versions recorded", pipeline.name, dict(new)) as connection:
            insert_rows(connection, versions, rows)
    return [kind for kind, _ in new]


def _with_kept_values(plan: Plan) -> tuple[ValueList, ...]:
    """The lists as they were declared, but for values of sensitive fields; those of files stay in the files."""
    kept = {each.name: each for each in plan.kept_lists}
    planned = {each.name: each for each in plan.lists}
    return tuple(
        each if planned[each.name] is kept[each.name] else replace(kept[each.name], file=None)
        for each in plan.pipeline.lists
    )
