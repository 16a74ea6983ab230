"""One table of the lake: a Delta table whose every commit also says how far the topics have been read."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from fraudstream.errors import FencedError, LakeError, LakeUnreachable
from fraudstream.kafka.tail import Place

DAY = "day"
"""The column by which every table is partitioned: the row's day in UTC, as text."""

_COLOUR = re.compile(r"\x1b\[\d*m")
_LONGEST_REASON = 500
_COMMITS_BETWEEN_COMPACTIONS = 100
_UNREAD_FOR_H = 168  # a reader may be at work with files of a version up to a week old


class LakeTable:
    """A table that one sink appends to.

    The Delta log keeps, for each topic and partition, an application's transaction with the next offset as its version.
    It is committed with the rows, and a second writer with the same partitions is refused by the log itself.

    Args:
        uri: The table's folder: a path, or `s3://…`.
        schema: Its columns; the last is `day`.
        keep_days: Rows of days longer ago than this are deleted when files are compacted; None: never.
    """

    def __init__(self, uri: str, schema: Mapping[str, Any], keep_days: int | None = None) -> None:
        self.uri = uri
        self._schema = dict(schema)
        self._keep_days = keep_days
        self._table: DeltaTable | None = None
        self._commits = 0
        self.positions: dict[Place, int] = {}

    def exists(self) -> bool:
        """Whether the table is there.

        Raises:
            LakeUnreachable: The folder or bucket does not answer.
        """
        with self._explained():
            return DeltaTable.is_deltatable(self.uri)

    @property
    def is_open(self) -> bool:
        """Whether the table has been there since this sink began."""
        return self._table is not None

    def open(self, places: Sequence[Place]) -> None:
        """Makes the table if there is none, and reads how far the partitions have been written.

        Raises:
            LakeUnreachable: The folder or bucket does not answer.
            LakeError: There is another table in its place.
        """
        with self._explained():
            try:
                self._table = DeltaTable(self.uri)
            except TableNotFoundError:
                # The log keeps statistics of columns: of texts they would name people for as long as it is kept.
                bounded = ",".join(name for name, kind in self._schema.items() if kind != pl.String)
                settings = {"delta.dataSkippingStatsColumns": bounded}
                empty = pl.DataFrame(schema=self._schema)
                write_deltalake(self.uri, empty, mode="ignore", partition_by=[DAY], configuration=settings)
                self._table = DeltaTable(self.uri)
            columns = [field.name for field in self._table.schema().fields]
            if columns != list(self._schema):
                raise LakeError(
                    f"The table {self.uri} has the columns {', '.join(columns)}, not {', '.join(self._schema)}.",
                    "It was written by another version or pipeline: move it away, or choose another lake_url.",
                )
            found = {place: self._table.transaction_version(_application(place)) for place in places}
        self.positions = {place: version for place, version in found.items() if version is not None}

    def append(self, rows: Sequence[Sequence[Any]], after: Mapping[Place, int]) -> None:
        """Adds rows and moves on, in one commit.

        Raises:
            FencedError: Another process writes what this one does. Nothing was added.
            LakeUnreachable: The folder or bucket went away; whether the commit took effect, `open` tells.
        """
        assert self._table is not None
        frame = pl.DataFrame(list(rows), schema=self._schema, orient="row", strict=True)
        moved = [Transaction(_application(place), offset) for place, offset in sorted(after.items())]
        with self._explained():
            write_deltalake(
                self._table, frame, mode="append", commit_properties=CommitProperties(app_transactions=moved)
            )
        self.positions |= after
        self._commits += 1
        if self._commits % _COMMITS_BETWEEN_COMPACTIONS == 0:
            self.tidy()

    def tidy(self) -> None:
        """Joins small files, deletes rows that were kept long enough, and files that no reader can be at any more."""
        assert self._table is not None
        with self._explained():
            if self._keep_days is not None:
                oldest = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86_400 * self._keep_days))
                self._table.delete(f"{DAY} < '{oldest}'")
            self._table.optimize.compact()
            self._table.vacuum(retention_hours=_UNREAD_FOR_H, dry_run=False)

    def erase(self, pattern: str) -> int:
        """Deletes the rows with a text that matches, and the files they were in; returns how many rows.

        Raises:
            LakeUnreachable: The folder or bucket does not answer.
        """
        assert self._table is not None
        partition, offset = (
            next(name for name in self._schema if name.endswith(end)) for end in ("partition", "offset")
        )
        deleted = 0
        with self._explained():
            rows = self._matching(pattern).select(DAY, partition, offset).unique().collect()
            # By where they stand, since the log keeps what was deleted by: a name would stay there.
            for (day, number), places in rows.group_by([DAY, partition], maintain_order=True):
                offsets = ", ".join(map(str, sorted(places[offset])))
                condition = f"{DAY} = '{day}' AND {partition} = {number} AND \"{offset}\" IN ({offsets})"
                deleted += int(self._table.delete(condition)["num_deleted_rows"])
            # Files of this sink that are being written are not in the log yet, and are left alone.
            self._table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
        return deleted

    def traces(self, pattern: str) -> int:
        """How many rows still have a text that matches."""
        assert self._table is not None
        with self._explained():
            return int(self._matching(pattern).select(pl.len()).collect().item())

    def _matching(self, pattern: str) -> pl.LazyFrame:
        """The rows with a text that matches a regular expression, as the table is now."""
        assert self._table is not None
        self._table.update_incremental()
        texts = [name for name, kind in self._schema.items() if kind == pl.String]
        found = pl.any_horizontal(pl.col(name).str.contains(pattern) for name in texts)
        return pl.scan_delta(self._table).filter(found)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """The user's errors for the library's."""
        try:
            yield
        except CommitFailedError as failed:
            if "Concurrent transaction" in str(failed):
                raise FencedError(
                    f"The table {self.uri} was written further by another sink of this pipeline.",
                    "One at a time may run: stop the other. Nothing was written twice.",
                ) from None
            raise LakeUnreachable(f"The table {self.uri} could not be written: {_reason(failed)}.") from None
        except (DeltaError, OSError) as failed:
            raise LakeUnreachable(
                f"The table {self.uri} could not be reached: {_reason(failed)}.",
                "See that lake_url names a folder or bucket that may be written; for S3, the variables AWS_….",
            ) from None


def _application(place: Place) -> str:
    topic, partition = place
    return f"fraudstream/{topic}/{partition}"


def _reason(failed: Exception) -> str:
    """What the library says, from the table down to what it asked for, on one line and without colours."""
    lines = [line.strip(" ↳.") for line in _COLOUR.sub("", str(failed)).splitlines()]
    return ": ".join(dict.fromkeys(filter(None, lines)))[:_LONGEST_REASON] or type(failed).__name__
