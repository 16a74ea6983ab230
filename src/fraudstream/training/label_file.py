"""Labels from a file that people or other systems made: every row is a label, or is told apart with its reason."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import polars as pl

from fraudstream.engine.event_ids import EventIds
from fraudstream.errors import DataError, UsageError
from fraudstream.runner.labels import FRAUD, LEGITIMATE
from fraudstream.schema.event import Event
from fraudstream.training.columns import LABEL_NAMES, require_column, usual
from fraudstream.training.files import KINDS
from fraudstream.training.truth import FRAUD_WORDS, GENUINE_WORDS
from fraudstream.units import parse_instant

COLUMNS = ("event_id", "label", "labelled_at", "event_at", "source", "by")
"""What a row may say; the first two it must."""
_ID_NAMES = ("event_id", "transaction_id", "id")
_HEAD_LINES = 100
_ROWS = 65_536


class LabelRow(NamedTuple):
    """One label of a file; None is what the row does not say.

    Attributes:
        event_id: The event's id.
        label: `fraud` or `legitimate`.
        labelled_at_ms, event_at_ms: Epoch milliseconds.
        source: How it became known.
        by: Who said so.
    """

    event_id: str
    label: str
    labelled_at_ms: int | None
    event_at_ms: int | None
    source: str | None
    by: str | None


class BadRow(NamedTuple):
    """A row that is no label.

    Attributes:
        line: Its line in the file, from 1; of a Parquet file its row.
        reason: Why not.
    """

    line: int
    reason: str


class LabelFile:
    """A .csv, .jsonl or .parquet file of labels.

    Args:
        path: The file.
        event: What the pipeline reads.
        columns: Columns by what they say (`COLUMNS`), where their names differ.

    Attributes:
        columns: The column of each of `COLUMNS` that the file has.

    Raises:
        UsageError: What is given names none of `COLUMNS`.
        DataError: It cannot be read, or does not say which event is what.
    """

    def __init__(self, path: Path, event: Event, columns: Mapping[str, str]) -> None:
        if path.suffix not in KINDS or not path.is_file():
            what = "is not a file of a known kind" if path.is_file() else "is not there"
            raise DataError(f"{path} {what}.", f"Give a file that ends with {', '.join(KINDS)}.")
        self.path = path
        self._table = _parquet(path) if path.suffix == ".parquet" else None
        self._ids = EventIds(event)
        names = self._names()
        for name in columns:
            if name not in COLUMNS:
                raise UsageError(f"--column {name}=… is nothing that a label says.", f"It says {', '.join(COLUMNS)}.")
        for column in columns.values():
            require_column(path, column, names)
        own = [event.id.lower()] if event.id else []
        guesses = {"event_id": usual(names, [*own, *_ID_NAMES]), "label": usual(names, LABEL_NAMES)}
        guesses |= {name: usual(names, [name]) for name in COLUMNS[2:]}
        self.columns = {name: found for name in COLUMNS if (found := columns.get(name) or guesses[name])}
        for name, what in (("event_id", "which events it is about"), ("label", "what they were")):
            if name not in self.columns:
                raise DataError(
                    f"{path} does not say {what}; its columns: {', '.join(names)}.",
                    f"Name the column that does with --column {name}=COLUMN.",
                )

    def rows(self) -> Iterator[tuple[int, LabelRow | BadRow]]:
        """Each row with its line."""
        for line, row in self._raw():
            if isinstance(row, str):
                yield line, BadRow(line, row)
                continue
            try:
                yield line, self._label(row)
            except ValueError as wrong:
                yield line, BadRow(line, str(wrong))

    def count(self) -> int:
        """About how many rows there are: for the progress shown."""
        if self._table is not None:
            return len(self._table)
        with self.path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))

    def _label(self, row: Mapping[str, Any]) -> LabelRow:
        said = {name: _text(row.get(column)) for name, column in self.columns.items()}
        event_id, word = said["event_id"], (said["label"] or "").lower()
        if event_id is None:
            raise ValueError(f"{self.columns['event_id']} is empty; it names the event")
        event_id = self._ids.known_as(event_id)
        if word not in FRAUD_WORDS and word not in GENUINE_WORDS:
            raise ValueError(
                f"{self.columns['label']} is {said['label'] or ''!r}; write {FRAUD} or {LEGITIMATE}, 1 or 0, true or "
                "false"
            )
        return LabelRow(
            event_id,
            FRAUD if word in FRAUD_WORDS else LEGITIMATE,
            _instant(said, self.columns, "labelled_at"),
            _instant(said, self.columns, "event_at"),
            said.get("source"),
            said.get("by"),
        )

    def _names(self) -> list[str]:
        if self._table is not None:
            return self._table.columns
        if self.path.suffix == ".csv":
            _, first = next(self._csv_lines(), (0, []))
            return first if isinstance(first, list) else []
        names: dict[str, None] = {}
        for place, (_, row) in enumerate(self._raw()):
            names.update(dict.fromkeys(row if isinstance(row, dict) else ()))
            if place == _HEAD_LINES:
                break
        return list(names)

    def _raw(self) -> Iterator[tuple[int, dict[str, Any] | str]]:
        """Each row with its line, or why it is none."""
        if self._table is not None:
            for start in range(0, len(self._table), _ROWS):
                yield from enumerate(self._table[start : start + _ROWS].iter_rows(named=True), start + 1)
        elif self.path.suffix == ".csv":
            lines = self._csv_lines()
            _, names = next(lines)
            for line, cells in lines:
                yield line, _of_cells(names, cells)
        else:
            with self.path.open("rb") as file:
                for line, text in enumerate(file, 1):
                    if text.strip():
                        yield line, _of_json(text)

    def _csv_lines(self) -> Iterator[tuple[int, list[str] | str]]:
        # Bytes that are no UTF-8 must not end the reading: they make one bad row.
        with self.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file)
            while True:
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as wrong:
                    yield reader.line_num, f"it is not CSV: {wrong}"
                    continue
                if cells:
                    yield reader.line_num, cells


def _of_cells(names: Sequence[str], cells: Sequence[str] | str) -> dict[str, Any] | str:
    if isinstance(cells, str):
        return cells
    if len(cells) != len(names):
        return f"it has {len(cells)} cells, and the head line {len(names)}"
    return dict(zip(names, cells, strict=True))


def _parquet(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as failed:
        reason = str(failed).splitlines()[0].rstrip(".")
        raise DataError(f"{path} cannot be read as parquet: {reason}.", "Give a file that can.") from None


def _of_json(text: bytes) -> dict[str, Any] | str:
    try:
        found = orjson.loads(text)
    except ValueError as wrong:
        return f"it is not JSON: {wrong}"
    return found if isinstance(found, dict) else "it is not a JSON object"


def _text(value: Any) -> str | None:
    """A cell's value as text; None where it says nothing."""
    if isinstance(value, bool):
        return str(value).lower()
    text = "" if value is None else str(value).strip()
    if not text.isprintable():
        raise ValueError(f"{text[:40]!r} holds characters that are no text")
    return text or None


def _instant(said: Mapping[str, str | None], columns: Mapping[str, str], name: str) -> int | None:
    text = said.get(name)
    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError as wrong:
        raise ValueError(f"{columns[name]}: {wrong}") from None
