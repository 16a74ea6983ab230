"""What past events really were: a column of the history, or a file of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from fraudstream.engine.batch import Batch
from fraudstream.engine.contribute import key_of
from fraudstream.engine.kernels.fingerprint import fingerprint_integers, fingerprints
from fraudstream.errors import DataError
from fraudstream.schema.event import Event, FieldType
from fraudstream.training.columns import LABEL_NAMES, require_column, usual
from fraudstream.training.files import HistoryFile, read_rows

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FRAUD_WORDS = ("1", "1.0", "true", "fraud", "fraudulent", "yes")
GENUINE_WORDS = ("0", "0.0", "false", "legitimate", "legit", "genuine", "no")
UNKNOWN_MS = -1
ID, LABELLED_AT, ORDINAL = "event_id", "labelled_at", "ordinal"


@dataclass(frozen=True)
class Truth:
    """The truth about events, found by their row in the history or by their id.

    Attributes:
        fraud: bool[m].
        labelled_at_ms: int64[m], when it became known; UNKNOWN_MS where nothing says so.
        low, high: uint64[m], fingerprints of the events' ids, ascending; None: entry i is about row i.
        source: Where it is from, for people.
    """

    fraud: Bools
    labelled_at_ms: Int64s
    low: npt.NDArray[np.uint64] | None
    high: npt.NDArray[np.uint64] | None
    source: str

    def of(self, batch: Batch, event: Event) -> tuple[Bools, Int64s, int]:
        """bool[n] fraud and int64[n] labelled_at_ms of a batch, and how many events are spoken of; no word: genuine."""
        if self.low is None or self.high is None or event.id is None:
            return self.fraud[batch.offset], self.labelled_at_ms[batch.offset], len(batch)
        low, high, _ = key_of(batch.columns, (event.id,), len(batch))
        place = np.minimum(np.searchsorted(self.low, low), len(self.low) - 1)
        known = (self.low[place] == low) & (self.high[place] == high)
        return known & self.fraud[place], np.where(known, self.labelled_at_ms[place], UNKNOWN_MS), int(known.sum())


def guess_label(names: list[str], event: Event) -> str | None:
    """The column that has a usual name for the truth and is no field of the event."""
    return usual([name for name in names if event.field(name) is None], LABEL_NAMES)


def truth_of_column(path: Path, file: HistoryFile, column: str) -> Truth:
    """The truth as a column of the history tells it.

    Raises:
        DataError: The column is not there, or holds other words.
    """
    require_column(path, column, file.names)
    fraud = _fraud(file.texts(column), path)
    return Truth(fraud, np.full(len(fraud), UNKNOWN_MS, np.int64), None, None, f"the column {column}")


def truth_of_file(path: Path, event: Event, rows: int) -> Truth:
    """The truth as a file of its own tells it.

    It has a column `event_id`, one of the usual names for the truth (`label`, `is_fraud`, …), and may have
    `labelled_at` in epoch milliseconds: the records of a labels topic, or what `fraudstream simulate --truth` writes.
    Where events have no id it goes by `ordinal`, the row in the history.

    Args:
        path: The file.
        event: What the pipeline reads.
        rows: How many rows the history has.

    Raises:
        DataError: It cannot be read, lacks a column, or is about another history.
    """
    table = read_rows(path)
    label = usual(table.columns, LABEL_NAMES)
    if label is None:
        raise DataError(
            f"{path} has no column that says what is fraud; it has {', '.join(table.columns)}.",
            "Call it `label` or `is_fraud`.",
        )
    fraud = _fraud(table[label], path)
    ids = table[ID] if ID in table.columns else None
    if ids is None or event.id is None or ids.null_count() == len(ids):
        return _by_ordinal(path, table, fraud, rows)
    at_ms = np.full(len(table), UNKNOWN_MS, np.int64)
    if LABELLED_AT in table.columns:
        at_ms = table[LABELLED_AT].cast(pl.Int64, strict=False).fill_null(UNKNOWN_MS).to_numpy()
    field = event.field(event.id)
    if field is not None and field.type is FieldType.INTEGER:
        numbers = ids.cast(pl.Int64, strict=False)
        if numbers.null_count():
            raise DataError(f"{path} has ids that are no whole numbers, as {event.id} is.", "Correct the file.")
        low, high = fingerprint_integers(numbers.to_numpy())
    else:
        low, high = fingerprints([text.encode() for text in ids.fill_null("").to_list()])
    # The last word counts; of several at one instant, fraud.
    order = np.lexsort((fraud, at_ms, high, low))
    last = np.ones(len(order), np.bool_)
    last[:-1] = (np.diff(low[order]) != 0) | (np.diff(high[order]) != 0)
    kept = order[last]
    return Truth(fraud[kept], at_ms[kept], low[kept], high[kept], path.name)


def _by_ordinal(path: Path, table: pl.DataFrame, fraud: Bools, rows: int) -> Truth:
    if ORDINAL not in table.columns:
        raise DataError(
            f"{path} does not say which events it is about.", f"It needs {ID}, or {ORDINAL}: the event's row, from 0."
        )
    ordinals = table[ORDINAL].cast(pl.Int64, strict=False).fill_null(-1).to_numpy()
    if len(ordinals) != rows or not np.array_equal(np.sort(ordinals), np.arange(rows)):
        raise DataError(
            f"{path} speaks of {len(ordinals):,} rows, and the history has {rows:,}.",
            "Give the truth that was written together with the history.",
        )
    by_row = np.zeros(rows, np.bool_)
    by_row[ordinals] = fraud
    return Truth(by_row, np.full(rows, UNKNOWN_MS, np.int64), None, None, path.name)


def _fraud(texts: pl.Series, path: Path) -> Bools:
    """Where a column says fraud; every value must be one of the known words."""
    words = texts.str.to_lowercase()
    fraud = words.is_in(FRAUD_WORDS)
    odd = (~(fraud | words.is_in(GENUINE_WORDS))).fill_null(True)
    if odd.any():
        row = int(odd.arg_max() or 0)
        raise DataError(
            f"The column {texts.name!r} of {path} says in {int(odd.sum()):,} of {len(odd):,} rows neither fraud nor "
            f"genuine, first {texts[row]!r} in row {row + 1:,}.",
            "Write 1 or 0, true or false, fraud or legitimate; or name another column with --label.",
        )
    return fraud.to_numpy()
