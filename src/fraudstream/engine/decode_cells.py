"""The arrays a decoder fills, and the columns they become: shared by the forms in which records come."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fraudstream.engine.column import Bools, Column, Int64s
from fraudstream.engine.decode_values import Value
from fraudstream.engine.kernels.memory import PADDING
from fraudstream.engine.kernels.scan_memory import Cells, address
from fraudstream.schema.columns import ColumnSpec
from fraudstream.schema.event import FieldType
from fraudstream.schema.types import STRING, Kind, ValueType

Bytes = npt.NDArray[np.uint8]
SPARE = bytes(PADDING)


class Matrices:
    """The arrays behind `Cells`, in which it says what they are."""

    def __init__(self, columns: tuple[ColumnSpec, ...], rows: int, bytes_: int) -> None:
        texts = sum(spec.is_text for spec in columns)
        sensitive = sum(spec.sensitive for spec in columns)
        # A stride that is no multiple of 4 KiB keeps one row's cells of many columns from competing for one cache set.
        stride = (rows | 63) + 10
        self.numbers = np.zeros((len(columns), stride), np.int64)
        self.valid = np.zeros((len(columns), stride), np.bool_)
        self.high = np.zeros((texts, stride), np.uint64)
        self.start = np.zeros((texts, stride), np.int64)
        self.length = np.zeros((texts, stride), np.int64)
        self.value_start = np.zeros((sensitive, stride), np.int64)
        self.value_length = np.zeros((sensitive, stride), np.int64)
        self.side = np.empty(bytes_, np.uint8)

    def addresses(self, side_at: int) -> Cells:
        """Where the kernels find them; what they write to `side` will stand from `side_at` on."""
        matrices = (self.numbers, self.valid, self.high, self.start, self.length, self.value_start, self.value_length)
        return Cells(self.numbers.shape[1], side_at, len(self.side), *map(address, (*matrices, self.side)))


def store(spec: ColumnSpec, cells: Matrices, index: int, row: int, value: Value) -> None:
    """Put a value that is no text into a column's cell."""
    numbers = cells.numbers[index]
    (numbers.view(np.float64) if spec.type is FieldType.FLOAT else numbers)[row] = value


def joined(values: list[bytes | None]) -> tuple[Bytes, Int64s, Int64s]:
    """The records' bytes in one buffer with spare bytes, and their starts and lengths."""
    present = [value or b"" for value in values] if None in values else values
    length = np.fromiter(map(len, present), np.int64, len(values))  # type: ignore[arg-type]
    buffer = bytearray().join([*present, SPARE])
    return np.frombuffer(buffer, np.uint8), np.cumsum(length) - length, length


def column_of(spec: ColumnSpec, index: int, text: int, cells: Matrices, rows: int) -> Column:
    """A column of filled cells; `text` is its index among the columns of texts."""
    valid: Bools | None = None if spec.required else cells.valid[index, :rows]
    if valid is not None and spec.location is None and valid.all():
        valid = None
    numbers = cells.numbers[index, :rows]
    if spec.is_text:
        return Column(
            STRING,
            numbers.view(np.uint64),
            valid,
            cells.high[text, :rows],
            cells.start[text, :rows],
            cells.length[text, :rows],
        )
    if spec.type is FieldType.DECIMAL:
        return Column(ValueType(Kind.DECIMAL, spec.scale), numbers, valid)
    kind = Kind(spec.type.value)
    if spec.type is FieldType.FLOAT:
        return Column(ValueType(kind), numbers.view(np.float64), valid)
    return Column(ValueType(kind), numbers != 0 if spec.type is FieldType.BOOLEAN else numbers, valid)
