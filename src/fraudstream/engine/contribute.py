"""What each event brings to a keyed log: its columns as the int64 contributions the kernel adds up."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from fraudstream.engine.column import Bools, Column, Floats, Int64s, UInt64s
from fraudstream.engine.evaluate import compile_predicate
from fraudstream.engine.kernels.fingerprint import combine, fingerprint_integers
from fraudstream.plan.expression import Node
from fraudstream.schema.types import Kind
from fraudstream.state.kernels.log_rows import NULL
from fraudstream.state.layout import Contribution, Source

Predicate = Callable[[Mapping[str, Column], int], Bools]

_SIGN = np.int64(-(2**63))


def order_of_float(numbers: Floats) -> Int64s:
    """int64[n] that compare as the floats do, and are equal where the floats are (-0.0 is 0.0)."""
    bits = (numbers + 0.0).view(np.int64)
    return np.where(bits < 0, ~bits ^ _SIGN, bits)


def float_of_order(ordered: Int64s) -> Floats:
    """The floats that `order_of_float` was made from."""
    return np.where(ordered < 0, ~(ordered ^ _SIGN), ordered).view(np.float64)


def value_of(column: Column) -> Int64s:
    """int64[n]: each value so that order and equality stay; of a text half its fingerprint, for equality only."""
    if column.type.kind is Kind.STRING:
        return column.values.view(np.int64)
    if column.type.kind is Kind.FLOAT:
        return order_of_float(column.values.astype(np.float64, copy=False))
    return column.values.astype(np.int64, copy=False)


def key_of(columns: Mapping[str, Column], by: tuple[str, ...], n: int) -> tuple[UInt64s, UInt64s, Bools]:
    """The fingerprints of a key, one field or several, and bool[n] where no field is null."""
    lows, highs = [], []
    valid = np.ones(n, np.bool_)
    for name in by:
        column = columns[name]
        if column.type.kind is Kind.STRING:
            low, high = column.values.astype(np.uint64, copy=False), column.high
            assert high is not None
        else:
            low, high = fingerprint_integers(column.values.astype(np.int64, copy=False))
        lows.append(low)
        highs.append(high)
        if column.valid is not None:
            valid = valid & column.valid
    if len(by) == 1:
        return lows[0], highs[0], valid
    low, high = combine(lows, highs)
    return low, high, valid


class Contributor:
    """Computes the contributions of batches to one log; filters are compiled once."""

    def __init__(self, contributions: list[Contribution]) -> None:
        self._contributions = contributions
        self._predicates: dict[Node, Predicate] = {
            contribution.where: compile_predicate(contribution.where)
            for contribution in contributions
            if contribution.where is not None
        }

    def __call__(self, columns: Mapping[str, Column], n: int) -> Int64s:
        """int64[k, n], a row for each contribution."""
        masks = {node: predicate(columns, n) for node, predicate in self._predicates.items()}
        rows: Int64s = np.empty((len(self._contributions), n), np.int64)
        for row, contribution in zip(rows, self._contributions, strict=True):
            mask = masks[contribution.where] if contribution.where is not None else None
            row[:] = self._row(contribution, columns, mask)
        return rows

    def _row(self, contribution: Contribution, columns: Mapping[str, Column], mask: Bools | None) -> Int64s | int:
        column = columns[contribution.of] if contribution.of is not None else None
        if column is not None and column.valid is not None:
            mask = column.valid if mask is None else mask & column.valid
        if contribution.source is Source.VALUE:
            assert column is not None
            values = value_of(column)
            return values if mask is None else np.where(mask, values, NULL)
        if contribution.source is Source.NUMBER:
            assert column is not None
            numbers = column.values.astype(np.int64, copy=False)
            return numbers if mask is None else np.where(mask, numbers, 0)
        return 1 if mask is None else mask.astype(np.int64)
