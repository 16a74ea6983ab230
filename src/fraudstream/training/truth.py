"""What past events really were: a column of the history, or a file of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from fraudstream.engine.batch import Batch
from fraudstream.engine.contribute import key_of
from fraudstream.engine.event_ids import EventIds
from fraudstream.engine.kernels.fingerprint import fingerprint_integers, fingerprints
from fraudstream.errors import DataError
from fraudstream.schema.event import Event
from fraudstream.training.columns import LABEL_NAMES, require_column, usual
from fraudstream.training.files import HistorySource, as_texts, open_file

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

FRAUD_WORDS = ("1", "1.0", "true", "fraud", "fraudulent", "yes")
GENUINE_WORDS = ("0", "0.0", "false", "legitimate", "legit", "genuine", "no")
UNKNOWN_MS = -1
ID, LABELLED_AT, ORDINAL = "event_id", "labelled_at", "ordinal"


class Words(NamedTuple):
    """Labels: what was said of events, of which several may be about one.

    Attributes:
        low, high: uint64[w], fingerprints of the events' ids.
        fraud: bool[w].
        labelled_at_ms: int64[w]; UNKNOWN_MS where nothing says so.
    """

    low: UInt64s
    high: UInt64s
    fraud: Bools
    labelled_at_ms: Int64s

    def take(self, rows: Int64s | Bools) -> Words:
        """Some of them."""
        return Words(self.low[rows], self.high[rows], self.fraud[rows], self.labelled_at_ms[rows])

    def of(self, batch: Batch, event: Event) -> Words:
        """Those about a batch's events, of words that are in the order of `low`."""
        assert event.id is not None
        low, high, _ = key_of(batch.columns, (event.id,), len(batch))
        first, last = (np.searchsorted(self.low, low, side) for side in ("left", "right"))
        hits = np.flatnonzero(last > first)
        rows = [np.arange(first[hit], last[hit])[self.high[first[hit] : last[hit]] == high[hit]] for hit in hits]
        return self.take(np.unique(np.concatenate(rows)) if rows else np.empty(0, np.int64))


@dataclass(frozen=True)
class Truth:
    """The truth about events, found by their row in the history or by their id.

    Attributes:
        fraud: bool[m].
        labelled_at_ms: int64[m], when it became known; UNKNOWN_MS where nothing says so.
        low, high: uint64[m], fingerprints of the events' ids, ascending; None: entry i is about row i.
        source: Where it is from, for people.
        words: All labels it is drawn from, in the order of `low`; None where there is one a row.
        corrected: Those about events of which fraud was said and the contrary, too; None where there are none.
        still_coming: Whether they are a running system's labels: nobody may have spoken of the latest events yet.
    """

    fraud: Bools
    labelled_at_ms: Int64s
    low: UInt64s | None
    high: UInt64s | None
    source: str
    words: Words | None = None
    corrected: Words | None = None
    still_coming: bool = False

    def of(self, batch: Batch, event: Event) -> tuple[Bools, Int64s, int]:
        """bool[n] fraud and int64[n] labelled_at_ms of a batch, and how many events are spoken of; no word: genuine."""
        if self.low is None or self.high is None or event.id is None:
            return self.fraud[batch.offset], self.labelled_at_ms[batch.offset], len(batch)
        if not len(self.low):
            return np.zeros(len(batch), np.bool_), np.full(len(batch), UNKNOWN_MS, np.int64), 0
        low, high, _ = key_of(batch.columns, (event.id,), len(batch))
        place = np.minimum(np.searchsorted(self.low, low), len(self.low) - 1)
        known = (self.low[place] == low) & (self.high[place] == high)
        return known & self.fraud[place], np.where(known, self.labelled_at_ms[place], UNKNOWN_MS), int(known.sum())

    def as_known_at(self, at_ms: int) -> Truth:
        """What was known at an instant: without the labels that came later, also those that correct an earlier one."""
        if self.words is None:
            return self
        known = truth_of_words(self.words.take(self.words.labelled_at_ms <= at_ms), self.source)
        return replace(known, still_coming=self.still_coming)


def guess_label(names: list[str], event: Event) -> str | None:
    """The column that has a usual name for the truth and is no field of the event."""
    return usual([name for name in names if event.field(name) is None], LABEL_NAMES)


def truth_of_column(source: HistorySource, column: str) -> Truth:
    """The truth as a column of the history tells it.

    Raises:
        DataError: The column is not there, or holds other words.
    """
    require_column(source.name, column, source.names)
    fraud = _fraud(source.texts(column), source.name)
    return Truth(fraud, np.full(len(fraud), UNKNOWN_MS, np.int64), None, None, f"the column {column}")


def truth_of_file(path: Path, event: Event, rows: int) -> Truth:
    """The truth as a file of its own tells it; see `truth_of_source`.

    Raises:
        DataError: It cannot be read, lacks a column, or is about another history.
    """
    return truth_of_source(open_file(path), event, rows)


def truth_of_source(source: HistorySource, event: Event, rows: int) -> Truth:
    """The truth as a file or a table of its own tells it.

    It has a column `event_id`, one of the usual names for the truth (`label`, `is_fraud`, …), and may have
    `labelled_at` in epoch milliseconds: the records of a labels topic, or what `fraudstream simulate --truth` writes.
    Where events have no id it goes by `ordinal`, the row in the history.

    Args:
        source: The file or table.
        event: What the pipeline reads.
        rows: How many rows the history has.

    Raises:
        DataError: It lacks a column, or is about another history.
    """
    table, name = as_texts(source), source.name
    label = usual(table.columns, LABEL_NAMES)
    if label is None:
        raise DataError(
            f"{name} has no column that says what is fraud; it has {', '.join(table.columns)}.",
            "Call it `label` or `is_fraud`.",
        )
    fraud = _fraud(table[label], name)
    ids = table[ID] if ID in table.columns else None
    if ids is None or event.id is None or ids.null_count() == len(ids):
        return _by_ordinal(name, table, fraud, rows)
    at_ms = np.full(len(table), UNKNOWN_MS, np.int64)
    if LABELLED_AT in table.columns:
        at_ms = table[LABELLED_AT].cast(pl.Int64, strict=False).fill_null(UNKNOWN_MS).to_numpy()
    return truth_of_ids(ids, fraud, at_ms, event, name)


def truth_of_ids(ids: pl.Series, fraud: Bools, labelled_at_ms: Int64s, event: Event, source: str) -> Truth:
    """The truth from what was said of events by their ids.

    Args:
        ids: w texts.
        fraud: bool[w].
        labelled_at_ms: int64[w], when it was said; UNKNOWN_MS where nothing tells.
        event: What the pipeline reads; it has an id.
        source: Where it is from, for people.

    Raises:
        DataError: Ids are whole numbers, and some here are none.
    """
    assert event.id is not None
    own = EventIds(event)
    if own.integer:
        numbers = ids.cast(pl.Int64, strict=False)
        if numbers.null_count():
            raise DataError(f"{source} has ids that are no whole numbers, as {event.id} is.", "Correct them.")
        low, high = fingerprint_integers(numbers.to_numpy())
    else:
        low, high = fingerprints([own.known_as(text).encode() for text in ids.fill_null("").to_list()])
    return truth_of_words(Words(low, high, fraud, labelled_at_ms), source)


def truth_of_words(words: Words, source: str) -> Truth:
    """The truth from labels: of several about one event the last one counts, of several at one instant fraud.

    It has been known since it was said for the first time, if nobody said otherwise in between.
    """
    words = words.take(np.lexsort((words.fraud, words.labelled_at_ms, words.high, words.low)))
    n = len(words.low)
    last = np.ones(n, np.bool_)
    last[:-1] = (np.diff(words.low) != 0) | (np.diff(words.high) != 0)
    entry = np.cumsum(np.append(0, last[:-1]))[:n]
    frauds, said = np.bincount(entry, words.fraud), np.bincount(entry)
    disputed = ((frauds > 0) & (frauds < said))[entry] & (words.labelled_at_ms != UNKNOWN_MS)
    first = np.append(True, last[:-1])[:n]
    known_at_ms = np.where(disputed[last], words.labelled_at_ms[last], words.labelled_at_ms[first])
    corrected = words.take(disputed) if disputed.any() else None
    return Truth(words.fraud[last], known_at_ms, words.low[last], words.high[last], source, words, corrected)


def _by_ordinal(name: str, table: pl.DataFrame, fraud: Bools, rows: int) -> Truth:
    if ORDINAL not in table.columns:
        raise DataError(
            f"{name} does not say which events it is about.", f"It needs {ID}, or {ORDINAL}: the event's row, from 0."
        )
    ordinals = table[ORDINAL].cast(pl.Int64, strict=False).fill_null(-1).to_numpy()
    if len(ordinals) != rows or not np.array_equal(np.sort(ordinals), np.arange(rows)):
        raise DataError(
            f"{name} speaks of {len(ordinals):,} rows, and the history has {rows:,}.",
            "Give the truth that was written together with the history.",
        )
    by_row = np.zeros(rows, np.bool_)
    by_row[ordinals] = fraud
    return Truth(by_row, np.full(rows, UNKNOWN_MS, np.int64), None, None, name)


def _fraud(texts: pl.Series, source: str) -> Bools:
    """Where a column says fraud; every value must be one of the known words."""
    words = texts.str.to_lowercase()
    fraud = words.is_in(FRAUD_WORDS)
    odd = (~(fraud | words.is_in(GENUINE_WORDS))).fill_null(True)
    if odd.any():
        row = int(odd.arg_max() or 0)
        raise DataError(
            f"The column {texts.name!r} of {source} says in {int(odd.sum()):,} of {len(odd):,} rows neither fraud nor "
            f"genuine, first {texts[row]!r} in row {row + 1:,}.",
            "Write 1 or 0, true or false, fraud or legitimate; or name another column with --label.",
        )
    return fraud.to_numpy()
