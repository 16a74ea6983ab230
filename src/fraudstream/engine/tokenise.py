"""Tokens in the place of sensitive values, in columns and bytes, before anything else sees an event."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Raw

from fraudstream.engine.column import Bools, Column, Int64s
from fraudstream.engine.kernels.fingerprint import fingerprints
from fraudstream.engine.kernels.memory import PADDING
from fraudstream.engine.kernels.splice import moved_texts, splice, tokens_of_rows
from fraudstream.schema.columns import ColumnSpec
from fraudstream.state.kernels.hash_table import find_slots, rehash
from fraudstream.tokens.keys import LONGEST_TOKEN, TokenKeys

if TYPE_CHECKING:
    from fraudstream.engine.decode import Decoded

Matrix = npt.NDArray[np.int64]

MOST_REMEMBERED = 1 << 19
"""How many values have their tokens remembered (some 80 bytes each) before all are forgotten and made anew."""
_FIRST_SIZE = 1 << 12
_members_of = msgspec.json.Decoder(dict[str, Raw]).decode


class Tokeniser:
    """Replaces the values of an event's sensitive columns. Two threads may use it at once.

    A token is made once for each value and remembered by the value's fingerprint, as whatever else is known of a value.

    Args:
        keys: What tokens are made with.
        most: How many values to remember.
    """

    def __init__(self, keys: TokenKeys, most: int = MOST_REMEMBERED) -> None:
        self.keys, self._most = keys, most
        self._lock = threading.Lock()
        self._known = _Known(0)

    def in_records(
        self,
        decoded: Decoded,
        names: Sequence[str],
        value_start: Matrix,
        value_length: Matrix,
        sure: Bools,
        records_end: int,
    ) -> None:
        """Replaces values in columns and JSON, in the rows that the scan was sure of; the others have their tokens.

        Records and texts move into a new buffer. Of records that are no events nothing is left in it.

        Args:
            decoded: The chunk.
            names: Its k sensitive columns, in the order of the matrices' rows.
            value_start: int64[k, ≥ n]: where their values start in the buffer, quotes included.
            value_length: int64[k, ≥ n].
            sure: bool[n]: the rows.
            records_end: Where the records as they came end in the buffer; texts stand behind them.
        """
        count = len(decoded)
        slot = np.full((len(names), count), -1, np.int64)
        token_start = np.zeros((len(names), count), np.int64)
        with self._lock:
            token_length = self._look_up(decoded, names, sure, slot)
            grown = np.where(slot >= 0, token_length + 2 - value_length[:, :count], 0)
            start, length = decoded.start, np.where(decoded.ok, decoded.length, 0)
            decoded.length = length + grown.sum(axis=0)
            decoded.start = np.cumsum(decoded.length) - decoded.length
            end = int(decoded.length.sum())
            behind = decoded.buffer[records_end:]
            buffer = np.empty(end + len(behind), np.uint8)
            buffer[end:] = behind
            splice(
                buffer, decoded.start, decoded.buffer, start, length, value_start, value_length, slot,
                self._known.tokens, token_length, token_start,
            )  # fmt: skip
        for column in decoded.columns.values():
            if column.start is not None:
                column.start = moved_texts(
                    column.start, start, length, decoded.start, end - records_end, grown, value_start
                )
        decoded.buffer = buffer
        _point(decoded, names, slot, token_start, token_length)

    def in_columns(self, decoded: Decoded, names: Sequence[str], sure: Bools) -> None:
        """Replaces values in columns alone, for records that are not passed on as they are.

        Args:
            decoded: The chunk; its tokens will stand behind all else in the buffer.
            names: Its sensitive columns.
            sure: As of `in_records`.
        """
        slot = np.full((len(names), len(decoded)), -1, np.int64)
        with self._lock:
            token_length = self._look_up(decoded, names, sure, slot)
            used = np.unique(slot[slot >= 0])
            tokens = self._known.tokens[used].ravel()
        begin = len(decoded.buffer)
        decoded.buffer = np.concatenate([decoded.buffer, tokens, np.zeros(PADDING, np.uint8)])
        _point(decoded, names, slot, begin + np.searchsorted(used, slot) * LONGEST_TOKEN, token_length)

    def _look_up(self, decoded: Decoded, names: Sequence[str], sure: Bools, slot: Matrix) -> Matrix:
        """Fills in the slots of the columns' values, int64[k, n], and puts the tokens' fingerprints into the columns.

        Returns:
            int64[k, n], the tokens' lengths; 0 where there is none.
        """
        self._make_room(slot.size)
        for place, name in enumerate(names):
            self._find(decoded.columns[name], decoded.buffer, sure, slot[place])
        known = self._known
        for place, name in enumerate(names):
            column = decoded.columns[name]
            tokens_of_rows(slot[place], column.values, column.high, known.low, known.high)
        return np.where(slot >= 0, known.length[slot], 0)

    def _find(self, column: Column, buffer: npt.NDArray[np.uint8], sure: Bools, slot: Int64s) -> None:
        """Fills in the slot of each value, int64[n]; new values get a token."""
        present = sure if column.valid is None else sure & column.valid
        assert column.start is not None and column.length is not None
        known = self._known
        first_new = known.count
        known.count = find_slots(*known.table, column.values, column.high, present, first_new, slot)
        if known.count == first_new:
            return
        new = np.flatnonzero(slot >= first_new)
        rows = new[np.unique(slot[new], return_index=True)[1]]
        raw = buffer.data
        spans = zip(column.start[rows].tolist(), column.length[rows].tolist(), strict=True)
        known.put(first_new, [self.keys.stands_for(str(raw[at : at + size], "utf-8")).encode() for at, size in spans])

    def _make_room(self, rows: int) -> None:
        """Lets all rows be new values."""
        if self._known.count > self._most:
            self._known = _Known(rows)
        elif self._known.count + rows > len(self._known.length):
            self._known = _Known(self._known.count + rows, self._known)


class _Known:
    """Values with their tokens.

    Args:
        room: How many values there must be room for.
        before: Whose values are taken over.

    Attributes:
        table: Fingerprints of values to slots, as `find_slots` wants it.
        count: How many values there are.
        tokens: uint8[slots, LONGEST_TOKEN], each slot's token.
        length: int64[slots].
        low, high: uint64[slots], the tokens' fingerprints.
    """

    def __init__(self, room: int, before: _Known | None = None) -> None:
        size = max(_FIRST_SIZE, 1 << (2 * room).bit_length())
        slots = size // 2
        self.table = (np.zeros(size, np.uint64), np.zeros(size, np.uint64), np.full(size, -1, np.int32))
        self.count = 0
        self.tokens, self.length = np.zeros((slots, LONGEST_TOKEN), np.uint8), np.zeros(slots, np.int64)
        self.low, self.high = np.zeros(slots, np.uint64), np.zeros(slots, np.uint64)
        if before is not None:
            rehash(*before.table, *self.table)
            self.count = before.count
            for name in ("tokens", "length", "low", "high"):
                getattr(self, name)[: self.count] = getattr(before, name)[: self.count]

    def put(self, slot: int, tokens: list[bytes]) -> None:
        """Fills the slots from `slot` on."""
        end = slot + len(tokens)
        text = b"".join(token.ljust(LONGEST_TOKEN, b"\0") for token in tokens)
        self.tokens[slot:end] = np.frombuffer(text, np.uint8).reshape(-1, LONGEST_TOKEN)
        self.length[slot:end] = [len(token) for token in tokens]
        self.low[slot:end], self.high[slot:end] = fingerprints(tokens)


def _point(decoded: Decoded, names: Sequence[str], slot: Matrix, start: Matrix, length: Matrix) -> None:
    """Lets columns point to tokens where there are some."""
    for place, name in enumerate(names):
        column = decoded.columns[name]
        column.start = np.where(slot[place] >= 0, start[place], np.asarray(column.start))
        column.length = np.where(slot[place] >= 0, length[place], np.asarray(column.length))


def with_tokens(record: bytes, columns: Sequence[ColumnSpec], keys: TokenKeys) -> bytes:
    """An event's JSON with a token for whatever stands at a sensitive field's path, also at one that was not read."""
    base = _address(record)
    found = [_value_at(record, path.split(".")) for spec in columns if spec.sensitive for path in spec.paths]
    done, parts = 0, []
    for start, value in sorted((_address(raw) - base, bytes(raw)) for raw in found if raw is not None):
        # Of all integers only -0 is written otherwise than it is read.
        number = b"0" if value == b"-0" else value
        text = msgspec.json.decode(value, type=str) if value.startswith(b'"') else number.decode()
        parts += [record[done:start], msgspec.json.encode(keys.stands_for(text))]
        done = start + len(value)
    return b"".join([*parts, record[done:]])


def _value_at(record: bytes | Raw, path: list[str]) -> Raw | None:
    """The JSON of a value, which is a view of the record; None where nothing stands there, or null."""
    if not bytes(record).lstrip().startswith(b"{"):
        return None  # where a field has several paths, not all need be there
    value = _members_of(record).get(path[0])
    if value is not None and path[1:]:
        return _value_at(value, path[1:])
    return None if value is None or bytes(value) == b"null" else value


def _address(data: bytes | Raw) -> int:
    start: int = np.frombuffer(data, np.uint8).__array_interface__["data"][0]
    return start
