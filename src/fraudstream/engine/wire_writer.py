"""A template for binary output records: literals and columns in their order, then written for many rows at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fraudstream.engine.column import Bools, Column, Floats, Int64s
from fraudstream.engine.decode_cells import SPARE, Bytes
from fraudstream.engine.kernels import wire_write as op
from fraudstream.engine.kernels.scan_memory import address

_NUMBER_BYTES, _DECIMAL_BYTES, _INSTANT_BYTES = 10, 40, 24
_SHIFT = 40


class WireWriter:
    """Put together a record's template part by part, then `write` it for the rows of a batch.

    Arrays have an element for each row of the batch; `each=True` says that they have one for each written record.

    Args:
        rows: int64[m]: the rows to write, in this order.
        zigzag: Whether numbers and lengths are signed: they are in Avro, and not in Protobuf.
    """

    def __init__(self, rows: Int64s, *, zigzag: bool) -> None:
        self._rows = rows
        self._zigzag = int(zigzag)
        self._parts: list[list[int]] = []
        self._literals = bytearray()
        self._prefix_at = 0
        self._choices: list[tuple[int, int]] = []
        self._kept: list[npt.NDArray[np.generic]] = []
        self._most_bytes = np.zeros(len(rows), np.int64)

    def literal(self, data: bytes) -> None:
        """Bytes as they are."""
        self._literals += data

    def long(self, values: npt.NDArray[np.integer]) -> None:
        """A whole number."""
        self._most_bytes += _NUMBER_BYTES
        self._add(op.LONG, self._keep(values.astype(np.int64, copy=False)))

    def double(self, values: Floats) -> None:
        """A float64."""
        self._most_bytes += 8
        self._add(op.DOUBLE, self._keep(values.astype(np.float64, copy=False)))

    def decimal(self, values: Int64s) -> None:
        """Minor units as a length and big-endian bytes."""
        self._most_bytes += _NUMBER_BYTES
        self._add(op.DECIMAL, self._keep(values))

    def decimal_text(self, values: Int64s, scale: int) -> None:
        """Minor units as a text in plain notation."""
        self._most_bytes += _DECIMAL_BYTES
        self._add(op.DECIMAL_TEXT, self._keep(values), scale)

    def flag(self, values: Bools) -> None:
        """0 or 1."""
        self._most_bytes += 1
        self._add(op.FLAG, self._keep(values.astype(np.bool_, copy=False)))

    def instant(self, values: Int64s) -> None:
        """Epoch ms as Protobuf's Timestamp, with its length."""
        self._most_bytes += _INSTANT_BYTES
        self._add(op.INSTANT, self._keep(values))

    def text(self, buffer: Bytes, start: Int64s, length: Int64s, *, each: bool = False) -> None:
        """Bytes of a buffer behind their length."""
        self._most_bytes += _NUMBER_BYTES + (length if each else length[self._rows])
        self._add(op.TEXT, self._keep(buffer), self._keep(start), self._keep(length), each=each)

    def column_text(self, column: Column, buffer: Bytes) -> None:
        """A text column's texts; where null, nothing may be written (`option`)."""
        assert column.start is not None and column.length is not None
        length = column.length if column.valid is None else np.where(column.valid, column.length, 0)
        self.text(buffer, column.start, length)

    def choice(self, index: npt.NDArray[np.integer], literals: Sequence[bytes], *, each: bool = False) -> None:
        """One of several literals."""
        first = self._choose(literals)
        self._most_bytes += max(map(len, literals))
        self._add(op.CHOICE, self._keep(index.astype(np.int8, copy=False)), first, each=each)

    def texts(self, hits: Bools, elements: Sequence[bytes]) -> None:
        """Those of K elements, each written as one, whose flags, bool[K, n], are set."""
        first = self._choose(elements)
        self._most_bytes += _NUMBER_BYTES + 1 + sum(map(len, elements))
        self._add(op.TEXTS, self._keep(hits), first, len(elements) << _SHIFT | hits.shape[1])

    def sized(self, data: bytes) -> bytes:
        """Bytes behind their length, as a literal."""
        length, found = len(data) << self._zigzag, bytearray()
        while length >= 0x80:
            found.append(length & 0x7F | 0x80)
            length >>= 7
        return bytes([*found, length]) + data

    @contextmanager
    def option(self, valid: Bools | None, present: bytes, absent: bytes) -> Iterator[None]:
        """What is added meanwhile is written behind `present` where valid; elsewhere `absent` is, alone."""
        if valid is None:
            self.literal(present)
            yield
            return
        first = self._choose((present, absent))
        self._most_bytes += max(len(present), len(absent))
        self._add(op.OPTION, self._keep(valid), 0, first)
        place = len(self._parts)
        yield
        self._add(op.LITERAL)
        self._parts[place - 1][4] = len(self._parts) - place

    def message(self, inner: WireWriter) -> None:
        """What another writer of the same rows writes, behind its length."""
        data, length = inner.write_joined()
        self.text(np.frombuffer(data + SPARE, np.uint8), np.cumsum(length) - length, length, each=True)

    def write(self, head: bytes = b"") -> list[bytes]:
        """The records, each behind `head`."""
        data, offsets = self._written()
        return [head + data[start:end] for start, end in pairwise(offsets.tolist())]

    def write_joined(self) -> tuple[bytes, Int64s]:
        """The records one behind the other, and the length of each, int64[m]."""
        data, offsets = self._written()
        return data, np.diff(offsets)

    def _written(self) -> tuple[bytes, Int64s]:
        self._add(op.LITERAL)
        literals = np.frombuffer(self._literals + SPARE, np.uint8)
        choices = np.array(self._choices, np.int64).reshape(-1, 2)
        most = int(self._most_bytes.sum()) + len(self._literals) * len(self._rows)
        out = np.empty(most + len(SPARE), np.uint8)
        offsets = op.write_wire(np.array(self._parts, np.int64), self._rows, literals, choices, out)
        return out[: offsets[-1]].tobytes(), offsets

    def _choose(self, literals: Sequence[bytes]) -> int:
        """Put literals where parts choose from them; the place of the first."""
        first = len(self._choices)
        prefix = self._literals[self._prefix_at :]
        del self._literals[self._prefix_at :]
        for literal in literals:
            self._choices.append((len(self._literals), len(literal)))
            self._literals += literal
        self._prefix_at = len(self._literals)
        self._literals += prefix
        return first

    def _keep(self, array: npt.NDArray[np.generic]) -> int:
        """The address of an array, contiguous and kept until the records are written."""
        self._kept.append(np.ascontiguousarray(array))
        return address(self._kept[-1])

    def _add(self, kind: int, a: int = 0, b: int = 0, c: int = 0, *, each: bool = False) -> None:
        prefix = len(self._literals) - self._prefix_at
        self._parts.append([kind, self._prefix_at, prefix, a, b, c, self._zigzag, int(each)])
        self._prefix_at = len(self._literals)
