"""Many rows into a table at once: COPY on PostgreSQL, one prepared statement on SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table, text

from fraudstream.store.instant import Instant

LAST_MS = 253_402_300_799_999
"""The last instant that can be kept: the end of the year 9999."""

_EPOCH = datetime.fromtimestamp(0, UTC)
_BLOCK_ROWS = 1_000
_LOCK = 0x70617274  # any number, the same for all of us: PostgreSQL's advisory lock while partitions are made

Row = Sequence[Any]
"""Values in the order of the table's columns: text, numbers, None; JSON as its text, instants as epoch ms."""


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Adds rows in the connection's transaction. Characters that PostgreSQL cannot hold (NUL) become U+FFFD."""
    if not rows:
        return
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    if connection.dialect.name != "postgresql":
        marks = ", ".join("?" * len(table.columns))
        statement = f"INSERT INTO {table.name} ({names}) VALUES ({marks})"  # noqa: S608
        connection.exec_driver_sql(statement, [tuple(row) for row in rows])
        return
    driver = connection.connection.driver_connection
    assert driver is not None
    encode = _encoder(table)
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
        for begin in range(0, len(rows), _BLOCK_ROWS):  # the server takes a block in while the next is encoded
            copy.write(encode(rows[begin : begin + _BLOCK_ROWS]))


def make_partitions(connection: Connection, table: Table, instants_ms: Iterable[int], known: set[str]) -> None:
    """Makes the partitions, a day each (UTC), that hold these instants, where they are missing.

    Args:
        connection: A transaction of its own: it locks the table while a partition is made.
        table: A table partitioned by an instant; on SQLite nothing is partitioned.
        instants_ms: The instants, epoch ms.
        known: Days that are known to be there; those made are added.
    """
    days = {str(_EPOCH + timedelta(days=ms // 86_400_000))[:10] for ms in instants_ms} - known
    if not days or connection.dialect.name != "postgresql":
        return
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    for day in sorted(days):
        after = str(datetime.fromisoformat(day) + timedelta(days=1))[:10]
        name = f"{table.name}_{day.replace('-', '_')}"
        bounds = f"FROM ('{day} 00:00+00') TO ('{after} 00:00+00')"
        connection.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table.name} FOR VALUES {bounds}")
    known |= days


def _encoder(table: Table) -> Callable[[Sequence[Row]], bytes]:
    """What writes rows in COPY's text format, a line each."""
    instants = [place for place, column in enumerate(table.columns) if isinstance(column.type, Instant)]

    def encode(rows: Sequence[Row]) -> bytes:
        lines = []
        for row in rows:
            values = list(row)
            for place in instants:
                if values[place] is not None:
                    values[place] = _instant(values[place])
            for place, value in enumerate(values):
                if value is None:
                    values[place] = "\\N"
                elif type(value) is not str:
                    values[place] = str(value)
                elif "\\" in value or "\n" in value or "\t" in value or "\r" in value or "\0" in value:
                    values[place] = value.translate(_ESCAPES)
            lines.append("\t".join(values))
        return ("\n".join(lines) + "\n").encode()

    return encode


_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "�"})


@lru_cache(4_096)
def _instant(epoch_ms: int) -> str:
    return str(_EPOCH + timedelta(milliseconds=epoch_ms))
