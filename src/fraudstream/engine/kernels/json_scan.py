"""The scan: JSON objects from bytes straight into columns, one pass over each record.

It accepts a record only where the reference decoder would accept it with the same values; the rest it leaves to that.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fraudstream.engine.column import Bools, Int64s
from fraudstream.engine.kernels.fingerprint import fingerprint_span
from fraudstream.engine.kernels.json_text import (
    QUOTE,
    after_literal,
    after_number,
    after_space,
    closing_quote,
    hash_bytes,
    same_bytes,
    unescape,
)
from fraudstream.engine.kernels.memory import Address, address_of, byte_at, float_at, int_at, put_byte, put_int
from fraudstream.engine.kernels.numbers import (
    UNSURE,
    float_bits,
    read_decimal,
    read_epoch,
    read_float,
    read_integer,
    read_iso,
)
from fraudstream.engine.kernels.scan_memory import (
    BOOLEAN,
    DECIMAL,
    DEEPEST,
    EPOCH_S,
    FLOAT,
    INNER,
    INTEGER,
    ISO,
    KEY_SLOTS,
    LEAF,
    LONGEST_TEXT,
    MOST_KEYS,
    SENSITIVE_STRING,
    STRING,
    UNCLEAR,
    Cells,
    Paths,
    Scratch,
)

_UNKNOWN = -1
_KEY, _VALUE = range(2)


@njit(cache=True, nogil=True)
def fill_slots(paths: Paths) -> None:
    """Enter every node but the first into the hash table."""
    mask = paths.slot_mask
    for slot in range(mask + 1):
        put_int(paths.slots, slot, _UNKNOWN)
    for node in range(1, paths.nodes):
        key_hash = hash_bytes(
            paths.keys, int_at(paths.key_start, node), int_at(paths.key_length, node), int_at(paths.parent, node)
        )
        slot = int(key_hash >> np.uint64(40)) & mask
        while int_at(paths.slots, slot) != _UNKNOWN:
            slot = (slot + 1) & mask
        put_int(paths.slots, slot, node)


@njit(cache=True, nogil=True, forceinline=True)
def _find_node(buffer: Address, i: int, length: int, parent: int, paths: Paths) -> int:
    mask = paths.slot_mask
    slot = np.int64(hash_bytes(buffer, i, length, parent) >> np.uint64(40)) & mask
    while int_at(paths.slots, slot) != _UNKNOWN:
        node = int_at(paths.slots, slot)
        fits = int_at(paths.parent, node) == parent and int_at(paths.key_length, node) == length
        if fits and same_bytes(buffer, i, paths.keys, int_at(paths.key_start, node), length):
            return node
        slot = (slot + 1) & mask
    return _UNKNOWN


@njit(cache=True, nogil=True)
def _note_unknown_key(buffer: Address, i: int, length: int, owner: int, row: int, scratch: Scratch) -> bool:
    """Remember an unknown key of an object; False if it may have been there before, or there are too many to tell."""
    key_hash = np.int64(hash_bytes(buffer, i, length, -owner))
    slot = (key_hash >> 40) & (KEY_SLOTS - 1)
    while int_at(scratch.key_row, slot) == row + 1:
        if int_at(scratch.key_hash, slot) == key_hash:
            return False
        slot = (slot + 1) & (KEY_SLOTS - 1)
    keys = int_at(scratch.used, 1) + 1
    put_int(scratch.key_row, slot, row + 1)
    put_int(scratch.key_hash, slot, key_hash)
    put_int(scratch.used, 1, keys)
    return keys < MOST_KEYS


@njit(cache=True, nogil=True, forceinline=True)
def _read_key(
    buffer: Address, i: int, end: int, row: int, level: int, paths: Paths, scratch: Scratch
) -> tuple[int, int]:
    """Read `"key" :` with its quote at i: the index of the value, and the key's node."""
    parent = int_at(scratch.node, level)
    node = _UNKNOWN
    close = UNSURE
    if parent != _UNKNOWN:
        guess = int_at(scratch.follow, int_at(scratch.previous, level))
        length = int_at(paths.key_length, guess)
        fits = i + 1 + length < end and byte_at(buffer, i + 1 + length) == QUOTE
        if fits and same_bytes(buffer, i + 1, paths.keys, int_at(paths.key_start, guess), length):
            node, close = guess, i + 1 + length
    if close == UNSURE:
        close, escapes = closing_quote(buffer, i + 1, end)
        if close == UNSURE or escapes:
            return UNSURE, node
        if parent != _UNKNOWN:
            node = _find_node(buffer, i + 1, close - i - 1, parent, paths)
        if node == _UNKNOWN and not _note_unknown_key(
            buffer, i + 1, close - i - 1, int_at(scratch.number, level), row, scratch
        ):
            return UNSURE, node
    if node != _UNKNOWN:
        if int_at(scratch.seen, node) == row + 1:
            return UNSURE, node
        put_int(scratch.seen, node, row + 1)
        put_int(scratch.follow, int_at(scratch.previous, level), node)
        put_int(scratch.previous, level, node)
    i = after_space(buffer, close + 1)
    if byte_at(buffer, i) != 58:
        return UNSURE, node
    return after_space(buffer, i + 1), node


@njit(cache=True, nogil=True)
def _read_text(
    buffer: Address, i: int, end: int, row: int, column: int, paths: Paths, cells: Cells, scratch: Scratch
) -> int:
    if byte_at(buffer, i) != QUOTE:
        return UNSURE
    close, escapes = closing_quote(buffer, i + 1, end)
    if close == UNSURE:
        return UNSURE
    start, length = i + 1, close - i - 1
    text = int_at(paths.text, column)
    if escapes:
        at = int_at(scratch.used, 0)
        if at + length > cells.side_size:
            return UNSURE
        after = unescape(buffer, start, close, cells.side, at)
        if after == UNSURE:
            return UNSURE
        put_int(scratch.used, 0, after)
        start, length = at + cells.side_at, after - at
        low, high = fingerprint_span(cells.side, at, length)
    else:
        low, high = fingerprint_span(buffer, start, length)
    if length > LONGEST_TEXT:
        return UNSURE
    cell = text * cells.stride + row
    put_int(cells.numbers, column * cells.stride + row, np.int64(low))
    put_int(cells.high, cell, np.int64(high))
    put_int(cells.start, cell, start)
    put_int(cells.length, cell, length)
    return close + 1


@njit(cache=True, nogil=True)
def _read_sensitive(
    buffer: Address, i: int, end: int, row: int, column: int, paths: Paths, cells: Cells, scratch: Scratch
) -> int:
    """Read a text, or an integer as one, and note where it stands."""
    if int_at(paths.kind, column) == SENSITIVE_STRING:
        after = _read_text(buffer, i, end, row, column, paths, cells, scratch)
    else:
        after, _ = read_integer(buffer, i)
        if byte_at(buffer, i) == 45:
            return UNSURE  # -0 is written otherwise than it is read
        if after != UNSURE:
            low, high = fingerprint_span(buffer, i, after - i)
            cell = int_at(paths.text, column) * cells.stride + row
            put_int(cells.numbers, column * cells.stride + row, np.int64(low))
            put_int(cells.high, cell, np.int64(high))
            put_int(cells.start, cell, i)
            put_int(cells.length, cell, after - i)
    cell = int_at(paths.sensitive, column) * cells.stride + row
    put_int(cells.value_start, cell, i)
    put_int(cells.value_length, cell, after - i)
    return after


@njit(cache=True, nogil=True, forceinline=True)
def _read_value(
    buffer: Address, i: int, end: int, row: int, column: int, paths: Paths, cells: Cells, scratch: Scratch
) -> int:
    """Read a value that is neither null nor an object into a column's cell."""
    kind = int_at(paths.kind, column)
    cell = column * cells.stride + row
    if byte_at(cells.valid, cell):
        return UNSURE
    put_byte(cells.valid, cell, 1)
    if kind == STRING:
        return _read_text(buffer, i, end, row, column, paths, cells, scratch)
    number = 0
    if kind == FLOAT:
        i, real = read_float(buffer, i)
        if abs(real) > float_at(paths.bound, column):
            return UNSURE
        number = float_bits(real)
    elif kind == DECIMAL:
        i, number = read_decimal(buffer, i, int_at(paths.scale, column))
    elif kind == INTEGER:
        i, number = read_integer(buffer, i)
    elif kind == ISO:
        i, number = read_iso(buffer, i)
    elif kind == BOOLEAN:
        i, number = after_literal(buffer, i)
    elif kind >= SENSITIVE_STRING:
        return _read_sensitive(buffer, i, end, row, column, paths, cells, scratch)
    else:
        i, number = read_epoch(buffer, i, 3 if kind == EPOCH_S else 0)
    put_int(cells.numbers, cell, number)
    return i


@njit(cache=True, nogil=True, forceinline=True)
def _skip_value(buffer: Address, i: int, end: int) -> int:
    """The index behind a value that nobody wants and that is no object or array."""
    byte = byte_at(buffer, i)
    if byte == QUOTE:
        close, _ = closing_quote(buffer, i + 1, end)
        return UNSURE if close == UNSURE else close + 1
    if byte == 45 or 48 <= byte <= 57:
        return after_number(buffer, i)
    after, _ = after_literal(buffer, i)
    return after


@njit(cache=True, nogil=True, forceinline=True)
def _read_node(
    buffer: Address, i: int, end: int, row: int, node: int, paths: Paths, cells: Cells, scratch: Scratch
) -> int:
    """Read the value at a wanted path that is not an object."""
    if byte_at(buffer, i) == 110:
        after, _ = after_literal(buffer, i)
        return after
    if int_at(paths.mode, node) == INNER or int_at(paths.mode, node) == UNCLEAR:
        return UNSURE
    after = UNSURE
    for place in range(int_at(paths.first, node), int_at(paths.first, node + 1)):
        after = _read_value(buffer, i, end, row, int_at(paths.columns, place), paths, cells, scratch)
        if after == UNSURE:
            return UNSURE
    return after


@njit(cache=True, nogil=True, forceinline=True)
def _has(cells: Cells, column: int, row: int) -> bool:
    return byte_at(cells.valid, column * cells.stride + row) != 0


@njit(cache=True, nogil=True, forceinline=True)
def complete(row: int, paths: Paths, cells: Cells) -> bool:
    """Whether everything required is there."""
    for place in range(paths.required_count):
        if not _has(cells, int_at(paths.required, place), row):
            return False
    for place in range(0, 3 * paths.location_count, 3):
        if not _has(cells, int_at(paths.locations, place), row):
            lat, lon = int_at(paths.locations, place + 1), int_at(paths.locations, place + 2)
            if not (_has(cells, lat, row) and _has(cells, lon, row)):
                return False
    return True


@njit(cache=True, nogil=True)
def _scan_record(buffer: Address, i: int, end: int, row: int, paths: Paths, cells: Cells, scratch: Scratch) -> bool:
    """Scan one record; False if it is not certain to be right."""
    i = after_space(buffer, i)
    if byte_at(buffer, i) != 123 or i >= end:
        return False
    level = -1
    objects = 0
    node = 0
    state = _VALUE
    while True:
        if state == _KEY:
            if byte_at(buffer, i) != QUOTE:
                return False
            i, node = _read_key(buffer, i, end, row, level, paths, scratch)
            if i == UNSURE:
                return False
        byte = byte_at(buffer, i)
        if byte == 123 or byte == 91:
            level += 1
            if level == DEEPEST or (node > 0 and (byte == 91 or int_at(paths.mode, node) in (LEAF, UNCLEAR))):
                return False
            objects += byte == 123
            put_int(scratch.node, level, node)
            put_int(scratch.previous, level, node + paths.nodes)
            put_int(scratch.number, level, objects if byte == 123 else 0)
            i = after_space(buffer, i + 1)
            if byte_at(buffer, i) != byte + 2:
                state = _KEY if byte == 123 else _VALUE
                node = _UNKNOWN
                continue
        elif node == _UNKNOWN:
            i = _skip_value(buffer, i, end)
        else:
            i = _read_node(buffer, i, end, row, node, paths, cells, scratch)
        # Behind a value, or at the bracket that closes an empty object or array.
        if i == UNSURE or i > end:
            return False
        i = after_space(buffer, i)
        while byte_at(buffer, i) == (125 if int_at(scratch.number, level) else 93):
            level -= 1
            i = after_space(buffer, i + 1)
            if level < 0:
                return i == end and complete(row, paths, cells)
        if byte_at(buffer, i) != 44:
            return False
        i = after_space(buffer, i + 1)
        state = _KEY if int_at(scratch.number, level) else _VALUE
        node = _UNKNOWN


@njit(cache=True, nogil=True)
def scan(
    buffer: np.ndarray, start: Int64s, length: Int64s, most_bytes: int, paths: Paths, cells: Cells, scratch: Scratch
) -> Bools:
    """Scan n records.

    Args:
        buffer: uint8: the records' bytes and `PADDING` spare zero bytes.
        start: int64[n].
        length: int64[n].
        most_bytes: A longer record is not scanned.
        paths: What to read.
        cells: Where the values go.
        scratch: Working memory, all zeros but for `follow`.

    Returns:
        bool[n], False where the reference decoder has to decide.
    """
    base = address_of(buffer)
    sure = np.zeros(len(start), np.bool_)
    for row in range(len(start)):
        if length[row] <= most_bytes:
            put_int(scratch.used, 1, 0)
            sure[row] = _scan_record(base, start[row], start[row] + length[row], row, paths, cells, scratch)
    return sure
