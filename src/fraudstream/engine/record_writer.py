"""A template for output records: literals and columns in their order, then written for many rows at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import orjson

from fraudstream.engine.column import Bools, Column, Floats, Int64s
from fraudstream.engine.kernels import json_write
from fraudstream.engine.kernels.memory import PADDING
from fraudstream.engine.kernels.scan_memory import address
from fraudstream.schema.types import Kind

Bytes = npt.NDArray[np.uint8]

_INTEGER_BYTES, _DECIMAL_BYTES, _INSTANT_BYTES, _FLOAT_BYTES, _BOOLEAN_BYTES, _NULL_BYTES = 20, 40, 26, 26, 5, 4
_LIST_SHIFT = 40
_ESCAPED_BYTES = 6
_BLOCK = 512
"""How many records are written at a time: few enough for a processor's cache to hold them until they are copied."""


class OutputMemory:
    """The memory that records are written to, kept between batches: fresh memory costs more than what is written."""

    def __init__(self) -> None:
        self._bytes = np.empty(0, np.uint8)

    def of(self, size: int) -> Bytes:
        """uint8[size or more]; what it held before is lost."""
        if len(self._bytes) < size:
            self._bytes = np.empty(size + size // 4, np.uint8)
        return self._bytes


class RecordWriter:
    """Put together a record's template part by part, then `write` it for the rows of a batch.

    Arrays have an element for each row of the batch; `each=True` says that they have one for each written record.

    Args:
        rows: int64[m]: the rows to write, in this order.
        memory: Where to write; memory of its own unless given.
    """

    def __init__(self, rows: Int64s, memory: OutputMemory | None = None) -> None:
        self._rows = rows
        self._memory = memory or OutputMemory()
        self._parts: list[tuple[int, int, int, int, int, int, int, int]] = []
        self._literals = bytearray()
        self._prefix_at = 0
        self._choices: list[tuple[int, int]] = []
        self._floats: list[tuple[int, Floats]] = []
        self._kept: list[npt.NDArray[np.generic]] = []
        self._record_bytes = 0
        self._text_bytes = np.zeros(len(rows), np.int64)

    def literal(self, text: str) -> None:
        """Text as it is."""
        self._literals += text.encode()

    def span(self, buffer: Bytes, start: Int64s, length: Int64s, *, each: bool = False) -> None:
        """Raw bytes of a buffer with spare bytes."""
        self._text_bytes += length if each else length[self._rows]
        self._add(json_write.SPAN, self._keep(buffer), self._keep(start), self._keep(length), each=each)

    def text(
        self, buffer: Bytes, start: Int64s, length: Int64s, valid: Bools | None = None, *, each: bool = False
    ) -> None:
        """UTF-8 text of a buffer with spare bytes, as a JSON string."""
        if valid is not None:  # where null, anything may stand
            length = np.where(valid, length, 0)
        self._text_bytes += _ESCAPED_BYTES * (length if each else length[self._rows])
        self._record_bytes += 2 + _NULL_BYTES
        self._add(json_write.TEXT, self._keep(buffer), self._keep(start), self._keep(length), valid, each=each)

    def integer(self, values: npt.NDArray[np.integer], valid: Bools | None = None) -> None:
        """A whole number."""
        self._record_bytes += _INTEGER_BYTES
        self._add(json_write.INTEGER, self._keep(values.astype(np.int64, copy=False)), valid=valid)

    def decimal(self, values: Int64s, scale: int, valid: Bools | None = None) -> None:
        """Minor units of 10^-scale as a number in plain notation."""
        self._record_bytes += _DECIMAL_BYTES
        self._add(json_write.DECIMAL, self._keep(values), scale, valid=valid)

    def boolean(self, values: Bools, valid: Bools | None = None) -> None:
        """`true` or `false`."""
        self._record_bytes += _BOOLEAN_BYTES
        self._add(json_write.BOOLEAN, self._keep(values), valid=valid)

    def instant(self, values: Int64s) -> None:
        """Epoch ms as ISO 8601 in UTC, a JSON string."""
        self._record_bytes += _INSTANT_BYTES
        self._add(json_write.INSTANT, self._keep(values))

    def number(self, values: Floats, valid: Bools | None = None) -> None:
        """A float64 in its shortest text that reads back as the same; NaN as null."""
        chosen = values[self._rows]
        if valid is not None:
            chosen[~valid[self._rows]] = np.nan
        self._record_bytes += _FLOAT_BYTES
        self._floats.append((len(self._parts), chosen))
        self._add(json_write.SPAN, each=True)

    def choice(self, index: npt.NDArray[np.integer], literals: Sequence[str], *, each: bool = False) -> None:
        """One of several literals."""
        first = self._choose(literals)
        self._record_bytes += max(map(len, literals)) * 4
        self._add(json_write.CHOICE, self._keep(index.astype(np.int8, copy=False)), first, each=each)

    def hits(self, hits: Bools, names: Sequence[str]) -> None:
        """A JSON array of those of K names whose flags, bool[K, n], are set."""
        literals = [orjson.dumps(name).decode() for name in names]
        first = self._choose(literals)
        self._record_bytes += 2 + sum(4 * len(literal) + 1 for literal in literals)
        self._add(json_write.LIST, self._keep(hits), first, len(names) << _LIST_SHIFT | hits.shape[1])

    def nothing_where_null(self, valid: Bools, parts: int) -> None:
        """`null` instead of the next `parts` parts (each with the literals in front of it), where not valid."""
        self._record_bytes += _NULL_BYTES
        self._add(json_write.UNLESS_NULL, parts, valid=valid)

    def nothing(self) -> None:
        """An empty part: it ends what `nothing_where_null` leaves out, with the literals in front of it."""
        self._add(json_write.LITERAL)

    def column(self, column: Column, buffer: Bytes) -> None:
        """A column's value as JSON: instants as epoch ms, texts from the batch's buffer."""
        match column.type.kind:
            case Kind.STRING:
                assert column.start is not None
                assert column.length is not None
                self.text(buffer, column.start, column.length, column.valid)
            case Kind.FLOAT:
                self.number(column.values.astype(np.float64, copy=False), column.valid)
            case Kind.BOOLEAN:
                self.boolean(column.values.astype(np.bool_, copy=False), column.valid)
            case _:
                self.decimal(column.values.astype(np.int64, copy=False), column.type.scale, column.valid)

    def write(self) -> list[bytes]:
        """The records."""
        records: list[bytes] = []
        for written, offsets in self._blocks():
            records += [written[start:end] for start, end in pairwise(offsets.tolist())]
        return records

    def write_joined(self) -> tuple[bytes, Int64s]:
        """The records one behind the other, and the length of each, int64[m]."""
        blocks = list(self._blocks())
        lengths = [np.diff(offsets) for _, offsets in blocks]
        return b"".join(written for written, _ in blocks), np.concatenate([np.empty(0, np.int64), *lengths])

    def _blocks(self) -> Iterator[tuple[bytes, Int64s]]:
        """The records of some rows after another, and where each begins, and the last ends."""
        self._add(json_write.LITERAL)
        parts = np.array(self._parts, np.int64)
        self._write_floats(parts)
        literals = np.frombuffer(self._literals + bytes(PADDING), np.uint8)
        choices = np.array(self._choices, np.int64).reshape(-1, 2)
        longest = self._text_bytes + (self._record_bytes + len(self._literals))
        for first in range(0, len(self._rows), _BLOCK):
            last = min(first + _BLOCK, len(self._rows))
            out = self._memory.of(int(longest[first:last].sum()) + PADDING)
            offsets = json_write.write_rows(parts, self._rows, first, last, literals, choices, out)
            yield out[: offsets[-1]].tobytes(), offsets

    def _write_floats(self, parts: npt.NDArray[np.int64]) -> None:
        """Make texts of all numbers in one go, and point their parts to them."""
        if not self._floats:
            return
        numbers = np.concatenate([values for _, values in self._floats])
        listed = orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)
        text = np.frombuffer(bytearray().join([listed, bytes(PADDING)]), np.uint8)
        start, length = json_write.split_at_commas(text, len(numbers))
        buffer = self._keep(text)
        starts, lengths = self._keep(start), self._keep(length)
        for place, (part, _) in enumerate(self._floats):
            skipped = 8 * place * len(self._rows)
            parts[part, 3:6] = buffer, starts + skipped, lengths + skipped

    def _choose(self, literals: Sequence[str]) -> int:
        """Put literals where parts choose from them; the place of the first."""
        first = len(self._choices)
        prefix = self._literals[self._prefix_at :]
        del self._literals[self._prefix_at :]
        for literal in literals:
            self._choices.append((len(self._literals), len(literal.encode())))
            self._literals += literal.encode()
        self._prefix_at = len(self._literals)
        self._literals += prefix
        return first

    def _keep(self, array: npt.NDArray[np.generic]) -> int:
        """The address of an array, contiguous and kept until the records are written."""
        self._kept.append(np.ascontiguousarray(array))
        return address(self._kept[-1])

    def _add(
        self, kind: int, a: int = 0, b: int = 0, c: int = 0, valid: Bools | None = None, each: bool = False
    ) -> None:
        prefix = len(self._literals) - self._prefix_at
        flags = 0 if valid is None else self._keep(valid)
        self._parts.append((kind, self._prefix_at, prefix, a, b, c, flags, int(each)))
        self._prefix_at = len(self._literals)
