"""A column of values: the form in which everything moves between the stages of the engine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fraudstream.schema.types import Kind, ValueType

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Column:
    """n values of one type.

    Attributes:
        type: What the values are.
        values: By kind: INTEGER, DECIMAL (minor units) and TIMESTAMP (epoch ms) int64[n]; FLOAT float64[n]; BOOLEAN
            bool[n]; STRING uint64[n], the low half of the text's 128-bit fingerprint. Where null, anything.
        valid: bool[n], False where null; None means that no value is null.
        high: STRING only: uint64[n], the high half of the fingerprint. Equal fingerprints are equal texts.
        start: STRING only: int64[n], where the text's UTF-8 bytes stand in the batch's buffer.
        length: STRING only: int64[n], how many bytes they are.
    """

    type: ValueType
    values: npt.NDArray[np.generic]
    valid: Bools | None = None
    high: UInt64s | None = None
    start: Int64s | None = None
    length: Int64s | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Int64s) -> Column:
        """The column of the given rows, in that order."""
        return Column(
            self.type,
            self.values[rows],
            None if self.valid is None else self.valid[rows],
            None if self.high is None else self.high[rows],
            None if self.start is None else self.start[rows],
            None if self.length is None else self.length[rows],
        )

    def as_float(self) -> Floats:
        """float64[n]: decimals in major units, booleans as 0 and 1, null as NaN. Not defined for strings."""
        numbers: Floats = self.values.astype(np.float64, copy=False)
        if self.type.kind is Kind.DECIMAL:
            numbers = numbers / 10.0**self.type.scale
        if self.valid is not None:
            numbers = np.where(self.valid, numbers, np.nan)
        return numbers
