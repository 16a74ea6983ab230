"""Past events as tables (Parquet, CSV, a database) and as lines of JSON (a file, a topic, the lake, the store)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from fraudstream.errors import DataError
from fraudstream.schema.event import Event
from fraudstream.training.columns import FieldColumns
from fraudstream.training.rows import json_rows

Int64s = npt.NDArray[np.int64]
KINDS = (".parquet", ".csv", ".jsonl", ".ndjson")
_LOOKED_AT = 1_000


class HistorySource(Protocol):
    """Past events, by row.

    Attributes:
        name: What it is called, for people: a file's path, or a topic.
        names: Its columns, or the members of its objects.
        timestamp_ms: int64[n], Kafka's timestamps; None of a table or file.
    """

    name: str
    names: list[str]
    timestamp_ms: Int64s | None

    def __len__(self) -> int: ...

    def texts(self, column: str) -> pl.Series:
        """A column's values as texts."""

    def records(self, rows: Int64s, event: Event, columns: FieldColumns) -> list[bytes]:
        """The rows, in that order, as the records of the event."""


def open_file(path: Path) -> HistorySource:
    """A history file.

    Raises:
        DataError: It is not there, of no known kind, damaged, or empty.
    """
    if path.suffix not in KINDS or not path.is_file():
        what = "is not a file of a known kind" if path.is_file() else "is a folder" if path.is_dir() else "is not there"
        raise DataError(f"{path} {what}.", f"Give a file that ends with {', '.join(KINDS)}.")
    file: HistorySource = _table_of(path) if path.suffix in (".parquet", ".csv") else _lines_of(path)
    if not len(file):
        raise DataError(f"{path} has no rows.", "Give a file with past events.")
    return file


class Table:
    """A table: of a Parquet or CSV file, or of a database.

    Args:
        name: What it is called, for people.
        frame: Its rows.
    """

    def __init__(self, name: str, frame: pl.DataFrame) -> None:
        self.name, self.names, self._frame = name, frame.columns, frame
        self.timestamp_ms: Int64s | None = None

    def __len__(self) -> int:
        return len(self._frame)

    def texts(self, column: str) -> pl.Series:
        """A column's values as texts."""
        return self._frame[column].cast(pl.String)

    def records(self, rows: Int64s, event: Event, columns: FieldColumns) -> list[bytes]:
        """The rows, in that order, as the records of the event."""
        in_order = len(rows) > 0 and int(rows[-1]) - int(rows[0]) == len(rows) - 1 and bool((np.diff(rows) == 1).all())
        frame = self._frame[int(rows[0]) : int(rows[-1]) + 1] if in_order else self._frame[rows]
        return json_rows(frame, event, columns)


class Lines:
    """Lines of JSON: they are the records, byte for byte, unless columns are given other names.

    Args:
        name: What they are called, for people.
        lines: The lines.
        timestamp_ms: int64[n], Kafka's timestamps, where they come from a topic.
    """

    def __init__(self, name: str, lines: list[bytes], timestamp_ms: Int64s | None = None) -> None:
        self.name, self._lines, self.timestamp_ms = name, lines, timestamp_ms
        names: dict[str, None] = {}
        for line in lines[:: max(1, len(lines) // _LOOKED_AT)]:
            names.update(dict.fromkeys(_object(line)))
        self.names = list(names)

    def __len__(self) -> int:
        return len(self._lines)

    def texts(self, column: str) -> pl.Series:
        """A field's values as texts, as JSON where they are none."""
        return pl.Series(column, [_text(_object(line).get(column)) for line in self._lines], pl.String)

    def records(self, rows: Int64s, event: Event, columns: FieldColumns) -> list[bytes]:
        """The lines of the rows, in that order."""
        lines = [self._lines[row] for row in rows.tolist()]
        paths = {field.name: field.path or field.name for field in event.fields}
        moved = {
            paths[name]: found[0]
            for name, found in columns.items()
            if found and found[0] and found[0] != paths[name].partition(".")[0]
        }
        return [_moved(line, moved) for line in lines] if moved else lines


def _table_of(path: Path) -> Table:
    """A CSV file's values are all texts: what they are is said by the event, not guessed."""
    try:
        return Table(
            str(path), pl.read_csv(path, infer_schema=False) if path.suffix == ".csv" else pl.read_parquet(path)
        )
    except pl.exceptions.NoDataError:
        return Table(str(path), pl.DataFrame())
    except (pl.exceptions.PolarsError, OSError) as failed:
        reason = str(failed).splitlines()[0].rstrip(".")
        raise DataError(
            f"{path} cannot be read as {path.suffix[1:]}: {reason}.", "Give a .parquet, .csv or .jsonl file."
        ) from None


def _lines_of(path: Path) -> Lines:
    try:
        return Lines(str(path), [line for line in map(bytes.strip, path.read_bytes().split(b"\n")) if line])
    except OSError as failed:
        raise DataError(f"{path} cannot be read: {failed.strerror}.", "Give a file that can.") from None


def _object(line: bytes) -> dict[str, Any]:
    """The members of a JSON object; none where the line is none."""
    try:
        found = orjson.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else orjson.dumps(value).decode()


def _moved(line: bytes, moved: dict[str, str]) -> bytes:
    """The line with members moved to the paths where the event looks for them; what is no object stays as it is."""
    found = _object(line)
    if not found:
        return line
    for path, name in moved.items():
        place: Any = found
        *above, last = path.split(".")
        for part in above:
            place = place.setdefault(part, {})
        if isinstance(place, dict):
            place[last] = found.pop(name, None)
    return orjson.dumps(found)


def as_texts(source: HistorySource) -> pl.DataFrame:
    """A small source as a table of texts: labels, or the truth of a simulation."""
    return pl.DataFrame([source.texts(name) for name in source.names])
