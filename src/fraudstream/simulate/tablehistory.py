"""Past events from Parquet and CSV: rows become JSON, dates and times as `2026-11-22 20:00:00`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from fraudstream.errors import DataError
from fraudstream.simulate.forms.text import datetime_text, json_lines
from fraudstream.simulate.history import BATCH_EVENTS, Columns, PastBatch, epoch_ms, fraud_mask, require_columns


class TableHistory:
    """A Parquet or CSV file.

    A file that is in time order already is streamed; another one is sorted first, by the engine, in memory.

    Raises:
        DataError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._scan = pl.scan_csv(path) if path.suffix == ".csv" else pl.scan_parquet(path)
            self._schema = self._scan.collect_schema()
        except (pl.exceptions.PolarsError, OSError) as failed:
            raise _unreadable(path, failed) from None
        self.names = self._schema.names()

    def count(self) -> int:
        """How many rows there are."""
        return int(self._scan.select(pl.len()).collect(engine="streaming").item())

    def batches(self, columns: Columns, limit: int | None = None) -> Iterator[PastBatch]:
        """The events in time order; rows of equal time keep their order.

        Raises:
            UsageError: A column is not there.
            DataError: The file is damaged, or a time is none.
        """
        require_columns(self.path, self.names, columns.named())
        try:
            yield from self._batches(columns, limit)
        except pl.exceptions.PolarsError as failed:
            raise _unreadable(self.path, failed) from None

    def _batches(self, columns: Columns, limit: int | None) -> Iterator[PastBatch]:
        scan = self._scan
        if columns.time is not None:
            times = epoch_ms(scan.select(columns.time).collect(engine="streaming").to_series(), self.path)
            if (np.diff(times) < 0).any():
                order = pl.Series("__at", times)
                scan = pl.concat([scan, pl.LazyFrame([order])], how="horizontal")
                scan = scan.sort("__at", maintain_order=True).drop("__at")
            del times
        if limit is not None:
            scan = scan.head(limit)
        for frame in scan.collect_batches(chunk_size=BATCH_EVENTS, maintain_order=True, engine="streaming"):
            if len(frame):
                yield self._batch(frame, columns)

    def _batch(self, frame: pl.DataFrame, columns: Columns) -> PastBatch:
        key = None if columns.key is None else frame[columns.key]
        return PastBatch(
            values=json_lines(_as_written(frame.drop(columns.drop))),
            keys=None if key is None else [None if k is None else str(k).encode() for k in key.to_list()],
            event_at_ms=np.zeros(len(frame), np.int64)
            if columns.time is None
            else epoch_ms(frame[columns.time], self.path),
            is_fraud=np.zeros(len(frame), bool) if columns.label is None else fraud_mask(frame[columns.label]),
            ids=None if columns.id is None else frame[columns.id],
        )


def _as_written(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns in the types that JSON has."""
    moments = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime)]
    decimals = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Decimal)]
    utc = [
        pl.col(name).dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        if getattr(frame.schema[name], "time_zone", None)
        else pl.col(name)
        for name in moments
    ]
    return frame.with_columns(
        *(datetime_text(column) for column in utc), *(pl.col(name).cast(pl.Float64) for name in decimals)
    )


def _unreadable(path: Path, failed: Exception) -> DataError:
    return DataError(
        f"{path} cannot be read as {path.suffix.lstrip('.')}: {str(failed).splitlines()[0]}.",
        "Give a .parquet, .csv or .jsonl file.",
    )
