"""The check of a decoder's work: every record as the reference decoder has it, and no dead letter without a reason."""

from __future__ import annotations

import collections
from typing import Any, NamedTuple

import numpy as np
import orjson

from fraudstream.engine.column import Column
from fraudstream.engine.decode import Decoded, Decoder
from fraudstream.engine.decode_reference import ReferenceDecoder
from fraudstream.engine.kernels.fingerprint import fingerprints
from fraudstream.engine.reject import Reject, RejectClass
from fraudstream.schema.event import Event
from fraudstream.schema.types import Kind

_BEFORE_JSON = {RejectClass.EMPTY, RejectClass.TOO_LARGE, RejectClass.TOO_DEEP}


class Found(NamedTuple):
    """What one call gave.

    Attributes:
        accepted: How many records became events.
        by_scan: How many of them the compiled scan read alone.
        rejects: Dead letters by class.
    """

    accepted: int
    by_scan: int
    rejects: collections.Counter[str]


class _Remembering(ReferenceDecoder):
    """The reference decoder that the compiled one asks; it keeps what it said."""

    def __init__(self, event: Event) -> None:
        super().__init__(event)
        self.said: dict[int, Any] = {}

    def decode(self, record: bytes | None, timestamp_ms: int, row: int = 0) -> Any:
        self.said[row] = super().decode(record, timestamp_ms, row)
        return self.said[row]


class Differential:
    """Decodes chunks of one event both ways and compares.

    Args:
        event: What the records should hold.
    """

    def __init__(self, event: Event) -> None:
        self._asked = _Remembering(event)
        self._reference = ReferenceDecoder(event)
        self._decoder = Decoder(event)
        self._decoder._reference = self._asked
        self._time = event.time

    def check(self, records: list[bytes | None], timestamp_ms: int) -> Found:
        """Decode records as one chunk, and compare every row.

        Raises:
            AssertionError: With the record that differs.
        """
        self._asked.said.clear()
        timestamps = np.full(len(records), timestamp_ms, np.int64)
        decoded = self._decoder.decode(list(records), timestamps)
        said = self._asked.said
        assert decoded.slow_rows == len(said)
        expected = [
            said[row] if row in said else self._reference.decode(record, timestamp_ms, row)
            for row, record in enumerate(records)
        ]
        rejects = [each for each in expected if isinstance(each, Reject)]
        ok = [not isinstance(each, Reject) for each in expected]
        for row in np.flatnonzero(decoded.ok != ok).tolist():
            raise AssertionError(f"{records[row]!r}: accepted is {decoded.ok[row]}, but the reference: {expected[row]}")
        assert decoded.rejects == rejects
        for row, record in enumerate(records):
            reason = unexplained(record, expected[row])
            assert reason is None, (reason, record, expected[row])
        rows = np.flatnonzero(decoded.ok)
        self._compare(decoded, rows, [expected[row] for row in rows.tolist()], records, timestamp_ms)
        return Found(len(rows), len(records) - len(said), collections.Counter(each.kind.value for each in rejects))

    def _compare(
        self, decoded: Decoded, rows: np.ndarray, expected: list[Any], records: list[bytes | None], timestamp_ms: int
    ) -> None:
        for name, column in decoded.columns.items():
            wanted = [values[name] for values in expected]
            found = _values(decoded, column.take(rows))
            if found != wanted and not name.endswith((".lat", ".lon")):
                place = next(i for i in range(len(rows)) if found[i] != wanted[i])
                raise AssertionError(f"{name}: {found[place]!r}, not {wanted[place]!r}: {records[rows[place]]!r}")
            for place, value in enumerate(wanted):  # a city's coordinates are filled in later; given ones stay
                assert value is None or found[place] == value, (name, records[rows[place]])
        times = [timestamp_ms if self._time is None or v[self._time] is None else v[self._time] for v in expected]
        assert decoded.event_at_ms[rows].tolist() == times


def _values(decoded: Decoded, column: Column) -> list[Any]:
    values: list[Any] = column.values.tolist()
    if column.type.kind is Kind.STRING:
        assert column.start is not None and column.length is not None and column.high is not None
        valid = np.ones(len(column), bool) if column.valid is None else column.valid
        spans = zip(column.start.tolist(), column.length.tolist(), valid.tolist(), strict=True)
        texts = [decoded.buffer[start : start + size].tobytes() if there else b"" for start, size, there in spans]
        low, high = fingerprints(texts)
        assert np.array_equal(low[valid], column.values[valid]) and np.array_equal(high[valid], column.high[valid])
        values = [text.decode() for text in texts]
    if column.valid is None:
        return values
    return [value if there else None for value, there in zip(values, column.valid.tolist(), strict=True)]


def unexplained(record: bytes | None, said: Any) -> str | None:
    """Why an independent JSON parser (orjson) contradicts what was said of a record; None where it does not."""
    kind = said.kind if isinstance(said, Reject) else None
    if kind in _BEFORE_JSON:
        return None
    problem = ""
    try:
        parsed = orjson.loads(record or b"")
    except orjson.JSONDecodeError as error:
        problem = str(error)
        if "infinity" in problem:
            return None  # orjson refuses 1e400 anywhere; by RFC 8259 it is a number like any other
    if kind in (RejectClass.NOT_JSON, RejectClass.NOT_UTF8):
        return None if problem else "refused as no JSON, but it is"
    if problem:
        return f"taken for JSON, but {problem}"
    if kind is RejectClass.NOT_OBJECT:
        return "refused as no object, but it is one" if isinstance(parsed, dict) else None
    if kind is RejectClass.DUPLICATE_KEY:
        return None
    return None if isinstance(parsed, dict) else "taken for an object, but it is none"
