"""Files that simulated events and their truth are written to."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from fraudstream.errors import UsageError
from fraudstream.simulate.forms.text import json_lines
from fraudstream.simulate.stream import Chunk

KINDS = (".jsonl", ".parquet")
_PART_ROWS = 50_000


class TableFile:
    """A JSONL or Parquet file that grows by whole tables; memory stays bounded. Use it as a context.

    Raises:
        UsageError: The file's name ends with neither, or it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix not in KINDS:
            raise UsageError(
                f"{path} is not a kind of file that can be written.", f"Let it end with {' or '.join(KINDS)}."
            )
        self.path = path
        self._parts: Path | None = None
        self._count = 0
        self._waiting: list[pl.DataFrame] = []
        self._waiting_rows = 0
        try:
            self._lines = path.open("wb")
        except OSError as failed:
            raise UsageError(f"{path} cannot be written: {failed.strerror}.", "Choose another place.") from None
        if path.suffix == ".parquet":
            # Parquet has its table of contents at the end: parts first, put together at the end.
            self._parts = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))

    def __enter__(self) -> TableFile:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def add(self, frame: pl.DataFrame, lines: list[bytes] | None = None) -> None:
        """Appends rows; `lines` are their JSON texts where they are at hand."""
        if not len(frame):
            return
        if self._parts is not None:
            self._waiting.append(frame)
            self._waiting_rows += len(frame)
            if self._waiting_rows >= _PART_ROWS:
                self._write_part(self._parts)
        else:
            self._lines.write(b"\n".join(json_lines(frame) if lines is None else lines) + b"\n")

    def close(self) -> None:
        """Finishes the file; again is harmless."""
        self._lines.close()
        if self._parts is None:
            return
        self._write_part(self._parts)
        if self._count:
            pl.scan_parquet(self._parts / "*.parquet").sink_parquet(self.path)
        else:
            pl.DataFrame().write_parquet(self.path)
        shutil.rmtree(self._parts)
        self._parts = None

    def _write_part(self, folder: Path) -> None:
        if self._waiting:
            pl.concat(self._waiting).write_parquet(folder / f"{self._count:06d}.parquet")
            self._count += 1
            self._waiting, self._waiting_rows = [], 0


def truth_of(chunk: Chunk, part: slice) -> pl.DataFrame:
    """The truth about events: ordinal, event_id (text; null where events have none), event_at, is_fraud, pattern."""
    count = part.stop - part.start
    ids = chunk.ids
    return pl.DataFrame(
        {
            "ordinal": chunk.first_ordinal + part.start + np.arange(count, dtype=np.int64),
            "event_id": pl.Series([None] * count, dtype=pl.String)
            if ids is None
            else ids.slice(part.start, count).cast(pl.String),
            "event_at": chunk.event_at_ms[part],
            "is_fraud": chunk.is_fraud[part],
            "pattern": chunk.pattern_names.slice(part.start, count),
        }
    )
