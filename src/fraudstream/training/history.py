"""A history as the pipeline's events: in event-time order, read by the very decoder of the stream.

Every row becomes the JSON bytes the stream would have carried, and the stream's decoder decides what it is: types,
minor units and fingerprints cannot differ, and what would be a dead letter there is rejected here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fraudstream.engine.batch import Batch
from fraudstream.engine.decode import Decoder
from fraudstream.errors import DataError
from fraudstream.schema.event import Event, Field, FieldType, TimeFormat
from fraudstream.training.columns import match_columns, match_time
from fraudstream.training.files import HistorySource, Lines, open_file
from fraudstream.units import EPOCH_SECONDS_BELOW

Int64s = npt.NDArray[np.int64]
BATCH_EVENTS = 16_384


@dataclass
class Rejected:
    """The rows that are no events.

    Attributes:
        rows: How many, by the class of `engine.reject.RejectClass`.
        first: Of each class the reason of the first, with its row in the file (from 1).
    """

    rows: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return "; ".join(f"{count:,} {kind} (first {self.first[kind]})" for kind, count in self.rows.most_common())


class History:
    """The past events of a pipeline.

    Args:
        source: A .parquet, .csv or .jsonl file, or past events from elsewhere (`training/topic.py`).
        event: What the pipeline reads.
        columns: Columns by field, where their names differ.
        time: The column of event time, where the event itself has no time; guessed unless given, and Kafka's timestamp
            where there is one.

    Attributes:
        name: What the history is called, for people.
        source: Where its rows are.
        absent: Optional fields it has no column for: they are null.
        rejected: The rows met so far that are no events.

    Raises:
        DataError: It cannot be read, or lacks columns; the message lists those it has.
    """

    def __init__(
        self,
        source: Path | HistorySource,
        event: Event,
        columns: Mapping[str, str] | None = None,
        time: str | None = None,
    ) -> None:
        self.event = event
        self.source = open_file(source) if isinstance(source, Path) else source
        self.name = Path(self.source.name).name
        self.columns = match_columns(self.source.name, self.source.names, event, columns or {})
        self.absent = [name for name, found in self.columns.items() if not found]
        self.rejected = Rejected()
        self._decoder = Decoder(event)
        self._at_ms = self._times(time)
        self._order: Int64s = np.argsort(self._at_ms, kind="stable").astype(np.int64)

    def __len__(self) -> int:
        return len(self._at_ms)

    @property
    def last_at_ms(self) -> int:
        """The latest event time of its rows."""
        return int(self._at_ms[self._order[-1]])

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Where what is done here with its events fails for want of some, the error says how many rows are none."""
        try:
            yield
        except DataError as failed:
            if not self.rejected.rows:
                raise
            count = f"{self.rejected.rows.total():,} of the {len(self):,} rows are no events"
            raise DataError(f"{failed.found} {count}: {self.rejected}.", failed.advice) from None

    def batches(self) -> Iterator[Batch]:
        """The events in time order, those of equal time in the file's; partition 0, the offset is the row, from 0.

        Rows that are no events are counted in `rejected`.

        Raises:
            DataError: No row is an event.
        """
        self.rejected = Rejected()
        events = 0
        for start in range(0, len(self), BATCH_EVENTS):
            rows = self._order[start : start + BATCH_EVENTS]
            # What stands for Kafka's timestamp: event time, where events have none of their own.
            timestamps_ms = self._at_ms[rows] if self.event.time is None else np.full(len(rows), -1, np.int64)
            decoded = self._decoder.decode(list(self.source.records(rows, self.event, self.columns)), timestamps_ms)
            for reject in decoded.rejects:
                self.rejected.rows[reject.kind] += 1
                self.rejected.first.setdefault(reject.kind, f"in row {int(rows[reject.row]) + 1:,}: {reject.reason}")
            batch = Batch.of(decoded, self.name, np.zeros(len(rows), np.int32), rows)
            good = np.flatnonzero(decoded.ok)
            events += len(good)
            if len(good):
                yield batch if len(good) == len(rows) else batch.take(good)
        if not events:
            raise DataError(
                f"None of the {len(self):,} rows of {self.source.name} is an event of the pipeline: {self.rejected}.",
                "Compare the file with the fields that `fraudstream explain` shows.",
            )

    def _times(self, given: str | None) -> Int64s:
        """int64[n]: event time by row, read by the decoder too; a row without one goes with the one before."""
        if self.event.time is None and given is None and self.source.timestamp_ms is not None:
            return self.source.timestamp_ms
        column, reader = self._time_field(given)
        event = Event(fields=(reader,), time=reader.name, max_bytes=self.event.max_bytes)
        decoder = Decoder(event)
        found = []
        for start in range(0, len(self.source), BATCH_EVENTS):
            rows = np.arange(start, min(start + BATCH_EVENTS, len(self.source)))
            records = self.source.records(rows, event, {reader.name: (column,)})
            decoded = decoder.decode(list(records), np.full(len(rows), -1, np.int64))
            found.append(np.where(decoded.ok, decoded.event_at_ms, -1))
        at_ms = np.concatenate(found)
        known = at_ms >= 0
        if not known.any():
            raise DataError(
                f"The column {column!r} of {self.source.name} gives no event time; its first value is "
                f"{self.source.texts(column)[0]!r}.",
                "Write instants like 2026-01-31T08:00:00Z, or name another column.",
            )
        # Rejected rows have to stand somewhere; they are met there and counted.
        before = np.maximum.accumulate(np.where(known, np.arange(len(at_ms)), -1))
        return np.where(before >= 0, at_ms[before], at_ms[known][0]).astype(np.int64)

    def _time_field(self, given: str | None) -> tuple[str, Field]:
        """The column of event time, and the field it is read as."""
        own = self.event.field(self.event.time or "")
        if own is not None:
            return self.columns[own.name][0], own
        column = match_time(self.source.name, self.source.names, given)
        form = TimeFormat.ISO8601
        if isinstance(self.source, Lines):
            first = next((text for text in self.source.texts(column) if text), "")
            if first.replace(".", "", 1).isdigit():
                form = TimeFormat.EPOCH_S if float(first) < EPOCH_SECONDS_BELOW else TimeFormat.EPOCH_MS
        return column, Field(name="event_time", path=column, type=FieldType.TIMESTAMP, format=form)
