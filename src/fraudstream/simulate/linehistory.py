"""Past events from JSONL: lines pass through byte for byte, also those that are not JSON."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from fraudstream.errors import DataError
from fraudstream.simulate.history import Columns, PastBatch, epoch_ms, fraud_mask, in_batches, require_columns

_BLOCK_BYTES = 1 << 24
_HEAD_LINES = 100


class LineHistory:
    """A JSONL file, mapped and indexed by 16 bytes a line (24 with times).

    A line that is not a JSON object, or has no time, has the time of the line before it: it reaches the topic in its
    place, and whoever reads the topic has to cope with it.

    Raises:
        DataError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                size = path.stat().st_size
                self._bytes: mmap.mmap | bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        except OSError as failed:
            raise DataError(f"{path} cannot be read: {failed.strerror}.", "Give a file that can.") from None
        self._starts, self._ends = _line_bounds(self._bytes)
        fields: dict[str, None] = {}
        for line in self._lines(np.arange(min(_HEAD_LINES, self.count()))):
            fields.update(dict.fromkeys(_fields(line)))
        self.names = list(fields)
        if self.count() and not fields:
            raise DataError(
                f"None of the first {_HEAD_LINES} lines of {path} is a JSON object with fields.",
                "Give a file with one JSON object a line.",
            )

    def count(self) -> int:
        """How many lines there are; empty ones are none."""
        return len(self._starts)

    def batches(self, columns: Columns, limit: int | None = None) -> Iterator[PastBatch]:
        """The events in time order; lines of equal time keep their order.

        Raises:
            UsageError: None of the first lines has a column.
            DataError: A time is none.
        """
        require_columns(self.path, self.names, columns.named())
        at_ms = np.zeros(self.count(), np.int64) if columns.time is None else self._times(columns.time)
        order = np.argsort(at_ms, kind="stable")
        for start, end in in_batches(self.count(), limit):
            which = order[start:end]
            lines = self._lines(which)
            read = _Reader(name for name in (columns.key, columns.label, columns.id) if name)
            found = dict(zip(read.names, read(lines), strict=True))
            yield PastBatch(
                values=lines if not columns.drop else [_without(line, columns.drop) for line in lines],
                keys=None if columns.key is None else [_key(value) for value in found[columns.key]],
                event_at_ms=at_ms[which],
                is_fraud=np.zeros(len(which), bool)
                if columns.label is None
                else fraud_mask(pl.Series([str(value) for value in found[columns.label]], dtype=pl.String)),
                ids=None if columns.id is None else pl.Series(found[columns.id], strict=False),
            )

    def _lines(self, which: NDArray[np.int64]) -> list[bytes]:
        starts, ends = self._starts[which].tolist(), self._ends[which].tolist()
        return [self._bytes[start:end] for start, end in zip(starts, ends, strict=True)]

    def _times(self, name: str) -> NDArray[np.int64]:
        parts = []
        for start, end in in_batches(self.count(), None):
            (values,) = _Reader([name])(self._lines(np.arange(start, end)))
            parts.append(
                pl.Series(name, [v if isinstance(v, (str, int, float)) else None for v in values], strict=False)
            )
        if not parts:
            return np.empty(0, np.int64)
        return epoch_ms(pl.concat(parts).fill_null(strategy="forward").fill_null(strategy="backward"), self.path)


def _line_bounds(text: mmap.mmap | bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where lines that are not empty start and end, the line feed (and a carriage return before it) left out."""
    breaks = [
        np.flatnonzero(np.frombuffer(text[at : at + _BLOCK_BYTES], np.uint8) == ord("\n")) + at
        for at in range(0, len(text), _BLOCK_BYTES)
    ]
    ends = np.concatenate([*breaks, [len(text)]]).astype(np.int64)
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)
    if len(text):
        whole = np.frombuffer(text, np.uint8)
        ends = ends - ((ends > starts) & (whole[np.maximum(ends - 1, 0)] == ord("\r")))
        del whole
    kept = ends > starts
    return starts[kept], ends[kept]


def _fields(line: bytes) -> dict[str, Any]:
    """The fields of a JSON object; none where the line is none."""
    try:
        found = orjson.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _key(value: Any) -> bytes | None:
    if value is None:
        return None
    return value.encode() if isinstance(value, str) else orjson.dumps(value)


def _without(line: bytes, drop: tuple[str, ...]) -> bytes:
    """The line written again without some fields; a line that is no object as it is."""
    fields = _fields(line)
    return orjson.dumps({name: value for name, value in fields.items() if name not in drop}) if fields else line


class _Reader:
    """Reads a few fields of JSON lines and skips the rest, which costs a quarter of reading all."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(dict.fromkeys(names))
        fields = [(f"f{i}", Any, None) for i in range(len(self.names))]
        renamed = {f"f{i}": name for i, name in enumerate(self.names)}
        self._decoder = msgspec.json.Decoder(msgspec.defstruct("Line", fields, rename=renamed))
        self._nothing = self._decoder.decode(b"{}")

    def __call__(self, lines: list[bytes]) -> list[list[Any]]:
        """For each name the values of all lines; None where a line lacks it or is no JSON object."""
        rows = [self._row(line) for line in lines] if self.names else []
        return [[getattr(row, f"f{i}") for row in rows] for i in range(len(self.names))]

    def _row(self, line: bytes) -> Any:
        try:
            return self._decoder.decode(line)
        except (ValueError, RecursionError):
            return self._nothing
