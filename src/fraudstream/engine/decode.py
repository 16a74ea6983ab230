"""Decode: the bytes of a chunk of Kafka records to columns, strictly, with nothing per event in Python.

A compiled scan reads each record's bytes straight into the columns. It accepts only what it is certain of; every other
record goes to `decode_reference.py`, which decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from fraudstream.engine.cities import Cities, known_cities
from fraudstream.engine.column import Bools, Column, Int64s
from fraudstream.engine.decode_cells import SPARE, Bytes, Matrices, column_of, joined, store
from fraudstream.engine.decode_paths import compile_paths, first_guess
from fraudstream.engine.decode_reference import ReferenceDecoder
from fraudstream.engine.decode_values import Value
from fraudstream.engine.kernels.fingerprint import fingerprint
from fraudstream.engine.kernels.json_scan import scan
from fraudstream.engine.kernels.memory import PADDING
from fraudstream.engine.kernels.scan_memory import scratch_of, scratch_size
from fraudstream.engine.reject import Reject
from fraudstream.engine.tokenise import Tokeniser, with_tokens
from fraudstream.schema.columns import columns_of
from fraudstream.schema.event import Event, FieldType
from fraudstream.tokens.held import held_keys
from fraudstream.units import parse_duration


@dataclass(slots=True)
class Decoded:
    """A chunk of n records as columns.

    Attributes:
        buffer: uint8: the records' bytes one after another, with tokens for sensitive values, then texts that had
            escapes, then spare bytes.
        start: int64[n]: where each record's bytes start in it.
        length: int64[n]: how many they are.
        ok: bool[n]: which records are events; the others are in `rejects`, and anything may stand in their rows.
        columns: A column for every `ColumnSpec` of the event, by name.
        event_at_ms: int64[n]: event time: the event's time field, or the Kafka timestamp.
        timestamp_ms: int64[n]: the records' Kafka timestamps.
        rejects: Why the others are not, by row.
        slow_rows: How many records the scan left to the reference decoder; a cost, not a fault.
    """

    buffer: Bytes
    start: Int64s
    length: Int64s
    ok: Bools
    columns: dict[str, Column]
    event_at_ms: Int64s
    timestamp_ms: Int64s
    rejects: list[Reject] = field(default_factory=list)
    slow_rows: int = 0

    def __len__(self) -> int:
        return len(self.start)

    def texts(self, start: Int64s, length: Int64s, there: Bools) -> list[bytes | None]:
        """n spans of the buffer as bytes; None where there is none."""
        raw = self.buffer.data
        spans = zip(start.tolist(), length.tolist(), there.tolist(), strict=True)
        return [bytes(raw[at : at + size]) if is_there else None for at, size, is_there in spans]

    def take(self, rows: Int64s) -> Decoded:
        """The given rows, in that order, over the same buffer. `rejects` keeps its own row numbers."""
        return replace(
            self,
            start=self.start[rows],
            length=self.length[rows],
            ok=self.ok[rows],
            columns={name: column.take(rows) for name, column in self.columns.items()},
            event_at_ms=self.event_at_ms[rows],
            timestamp_ms=self.timestamp_ms[rows],
        )


class Scanned(NamedTuple):
    """What a scan of n records left.

    Attributes:
        buffer: uint8: the records' bytes, and `PADDING` spare ones.
        start, length: int64[n], of each record in it.
        cells: The values.
        ok: bool[n], which records it was certain of.
        used: How many bytes of `cells.side` it used.
    """

    buffer: Bytes
    start: Int64s
    length: Int64s
    cells: Matrices
    ok: Bools
    used: int = 0


class Decoder:
    """Decodes chunks of records of one event, each a JSON object. Two threads may use it at once.

    Args:
        event: What the records hold.

    Raises:
        UsageError, SettingError: It has sensitive fields, and this process has no token keys.
    """

    def __init__(self, event: Event) -> None:
        self._event = event
        self._columns = columns_of(event)
        self._compiled = compile_paths(event)
        self._scan_bytes = event.max_bytes if self._compiled.plain else -1
        self._guess = first_guess(self._compiled.arrays["parent"])
        self._reference = ReferenceDecoder(event)
        self._max_future_ms = parse_duration(event.max_future)
        self._locations = [item.name for item in event.fields if item.type is FieldType.LOCATION]
        self._cities: Cities | None = known_cities() if self._locations else None
        self._sensitive = [spec.name for spec in self._columns if spec.sensitive]
        self._tokeniser: Tokeniser | None = Tokeniser(held_keys()) if self._sensitive else None

    @property
    def waits_for(self) -> str | None:
        """What keeps it from decoding now; None where nothing does. For any thread."""
        return None

    def give_up(self) -> None:
        """Ends what it waits for, which raises then; may be called from a signal handler."""

    def decode(self, values: list[bytes | None], timestamps_ms: Int64s) -> Decoded:
        """Decode n records.

        Args:
            values: The records' values.
            timestamps_ms: int64[n]: their Kafka timestamps; negative where a record has none.
        """
        scanned = self._scan(values)
        buffer, cells, ok = scanned.buffer, scanned.cells, scanned.ok
        event_at_ms = self._event_times(cells, timestamps_ms)
        ok &= (event_at_ms >= 0) & ~self._in_future(event_at_ms, timestamps_ms)
        decoded = Decoded(buffer, scanned.start, scanned.length, ok, {}, event_at_ms, timestamps_ms)
        sure = ok.copy()
        unescaped = [cells.side[: scanned.used].tobytes()] if scanned.used else []
        end = len(buffer) + scanned.used
        for row in np.flatnonzero(~ok).tolist():
            end = self._decode_slowly(values[row], row, decoded, cells, unescaped, end)
        if unescaped:
            decoded.buffer = np.frombuffer(bytearray().join([buffer.data, *unescaped, SPARE]), np.uint8)
        decoded.columns = {
            spec.name: column_of(spec, index, self._compiled.text[index], cells, len(values))
            for index, spec in enumerate(self._columns)
        }
        if self._tokeniser is not None:
            self._replace(self._tokeniser, decoded, cells, sure, len(buffer) - PADDING)
        self._finish(decoded)
        if self._cities is not None:
            for name in self._locations:
                columns = (decoded.columns[name + part] for part in ("", ".lat", ".lon"))
                self._cities.fill(*columns)
        return decoded

    def _scan(self, values: list[bytes | None]) -> Scanned:
        """Reads what is certain."""
        buffer, start, length = joined(values)
        cells = Matrices(self._columns, len(values), len(buffer))
        paths = self._compiled.paths
        work = np.zeros(scratch_size(paths.nodes), np.int64)
        scratch = scratch_of(work, self._guess, paths.nodes)
        ok = scan(buffer, start, length, self._scan_bytes, paths, cells.addresses(len(buffer)), scratch)
        return Scanned(buffer, start, length, cells, ok, int(work[0]))

    def _refer(self, record: bytes | None, timestamp_ms: int, row: int) -> dict[str, Value] | Reject:
        """Lets the reference decide on a record."""
        return self._reference.decode(record, timestamp_ms, row)

    def _replace(self, tokeniser: Tokeniser, decoded: Decoded, cells: Matrices, sure: Bools, records_end: int) -> None:
        """Puts tokens into columns and records, of the rows that the scan was sure of; the others have them."""
        values = cells.value_start, cells.value_length
        tokeniser.in_records(decoded, self._sensitive, *values, sure, records_end)

    def _rewritten(self, tokeniser: Tokeniser, record: bytes) -> bytes:
        """A record that the reference read, with tokens."""
        return with_tokens(record, self._columns, tokeniser.keys)

    def _finish(self, decoded: Decoded) -> None:
        """What is left to do for records that are not JSON."""

    def _event_times(self, cells: Matrices, timestamps_ms: Int64s) -> Int64s:
        if self._event.time is None:
            return timestamps_ms.copy()
        rows = len(timestamps_ms)
        index = next(place for place, spec in enumerate(self._columns) if spec.name == self._event.time)
        return np.where(cells.valid[index, :rows], cells.numbers[index, :rows], timestamps_ms)

    def _in_future(self, event_at_ms: Int64s, timestamps_ms: Int64s) -> Bools:
        return (timestamps_ms >= 0) & (event_at_ms - timestamps_ms > self._max_future_ms)

    def _decode_slowly(
        self, record: bytes | None, row: int, decoded: Decoded, cells: Matrices, unescaped: list[bytes], end: int
    ) -> int:
        """Let the reference decoder decide on a row; the new end of the buffer, to which its texts are appended."""
        decoded.slow_rows += 1
        timestamp_ms = int(decoded.timestamp_ms[row])
        values = self._refer(record, timestamp_ms, row)
        if isinstance(values, Reject):
            decoded.rejects.append(values)
            return end
        decoded.ok[row] = True
        decoded.event_at_ms[row] = self._reference.event_at_ms(values, timestamp_ms)
        for index, spec in enumerate(self._columns):
            value = values[spec.name]
            cells.valid[index, row] = value is not None
            if isinstance(value, str):
                text = value.encode()
                place = self._compiled.text[index]
                low, cells.high[place, row] = fingerprint(text)
                cells.numbers[index].view(np.uint64)[row] = low
                cells.start[place, row], cells.length[place, row] = end, len(text)
                unescaped.append(text)
                end += len(text)
            elif value is not None:
                store(spec, cells, index, row, value)
        if self._tokeniser is not None and record is not None:
            rewritten = self._rewritten(self._tokeniser, record)
            unescaped.append(rewritten)
            decoded.start[row], decoded.length[row] = end, len(rewritten)
            end += len(rewritten)
        return end
