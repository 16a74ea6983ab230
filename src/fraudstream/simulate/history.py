"""Past events from a Parquet, CSV or JSONL file, batch by batch in event-time order."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fraudstream.errors import DataError, UsageError
from fraudstream.units import EPOCH_SECONDS_BELOW

TIME_NAMES = ("tx_datetime", "timestamp", "event_time", "event_at", "datetime", "time", "date", "ts", "created_at")
KEY_NAMES = ("card_hash", "customer_id", "user_id", "source", "account_id", "card_id")
BATCH_EVENTS = 50_000
_FRAUD_WORDS = ("1", "1.0", "true", "fraud", "yes")


@dataclass(frozen=True)
class PastBatch:
    """Consecutive past events; see `delivery.Batch`. `values` and `keys` are what goes to Kafka."""

    values: list[bytes]
    keys: list[bytes | None] | None
    event_at_ms: NDArray[np.int64]
    is_fraud: NDArray[np.bool_]
    ids: pl.Series | None

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Columns:
    """What the columns of a history mean.

    Attributes:
        time: Event time; None: the file is in order, and its events have no time.
        key: The record key; None: none.
        label: The truth, for labels; None: no labels.
        id: The event id, for labels.
        drop: What is not part of the events, such as the truth.
    """

    time: str | None = None
    key: str | None = None
    label: str | None = None
    id: str | None = None
    drop: tuple[str, ...] = ()

    def named(self) -> list[str]:
        """Every column that is mentioned."""
        return [name for name in (self.time, self.key, self.label, self.id, *self.drop) if name]


def guess(names: Sequence[str], usual: Sequence[str]) -> str | None:
    """The column with the first of the usual names, whatever its case."""
    by_lower = {name.lower(): name for name in reversed(names)}
    return next((by_lower[word] for word in usual if word in by_lower), None)


def require_columns(path: Path, names: Sequence[str], wanted: Sequence[str]) -> None:
    """Makes sure the columns are there.

    Raises:
        UsageError: One is not; the message lists those that are.
    """
    for name in wanted:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1) or [n for n in names if n.lower() == name.lower()]
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(f"{path} has no column {name!r}.{hint}", f"Its columns: {', '.join(names)}.")


def epoch_ms(column: pl.Series, path: Path) -> NDArray[np.int64]:
    """Instants as epoch milliseconds: date and time types, text (UTC unless it says otherwise), epoch s or ms.

    Raises:
        DataError: A value is missing or is no instant.
    """
    try:
        if column.dtype == pl.String:
            at = _from_text(column)
        elif column.dtype.is_integer() or column.dtype.is_float():
            top = column.max()
            seconds = isinstance(top, (int, float)) and top < EPOCH_SECONDS_BELOW
            at = (column.cast(pl.Float64) * (1_000 if seconds else 1)).cast(pl.Int64)
        else:
            at = column.cast(pl.Datetime("ms")).cast(pl.Int64)
    except pl.exceptions.PolarsError as wrong:
        first = str(wrong).splitlines()[0]
        raise DataError(
            f"The column {column.name!r} of {path} is not a time: {first}.", "Name another with --time."
        ) from None
    if at.null_count():
        row = int(at.is_null().arg_max() or 0)
        raise DataError(
            f"The column {column.name!r} of {path} has no time in {at.null_count()} of {len(at)} rows, "
            f"first {column[row]!r}.",
            "Name another column with --time, or correct the file.",
        )
    return at.to_numpy()


def fraud_mask(column: pl.Series) -> NDArray[np.bool_]:
    """Where the truth says fraud: 1, true, yes or fraud, in whatever type and case."""
    text = column.cast(pl.String).str.to_lowercase()
    return text.is_in(_FRAUD_WORDS).fill_null(False).to_numpy()


def in_batches(total: int, limit: int | None, batch_events: int = BATCH_EVENTS) -> Iterator[tuple[int, int]]:
    """Beginnings and ends that cut `total` rows, or as many as the limit, into batches."""
    end = total if limit is None else min(total, limit)
    for start in range(0, end, batch_events):
        yield start, min(start + batch_events, end)


def _from_text(column: pl.Series) -> pl.Series:
    """Text as epoch milliseconds; what cannot be read is null."""
    if not len(column):
        return pl.Series(column.name, [], dtype=pl.Int64)
    plain = column.str.replace("T", " ", literal=True).str.replace(r"(Z|\+00:?00)$", "")
    at = plain.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="ms", strict=False)
    if at.null_count():
        offset = column.str.replace(" ", "T", literal=True).str.to_datetime(
            "%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="ms", strict=False
        )
        at = at.fill_null(offset.dt.replace_time_zone(None))
    return at.cast(pl.Int64)
