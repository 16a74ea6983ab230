"""The blocks of a pool: made, grown, shrunk, moved together; and events put into them and forgotten."""

from __future__ import annotations

import numpy as np
from numba import njit

from fraudstream.state.kernels.exact import square
from fraudstream.state.kernels.log_rows import (
    CHAIN,
    CLASS,
    FRAUD,
    FREE,
    FREED,
    HEAD,
    HINTS,
    LENGTH,
    NULL,
    OFFSET,
    ORDER,
    PREVIOUS,
    SQUARES_LOW,
    SUM,
    TIME,
    USED,
    VALUE,
)


@njit(cache=True, nogil=True, forceinline=True)
def _block_size(size_class):
    """Rows in a block: 4, 6, 8, 12, 16, 24, …; two classes an octave keep the unused part small."""
    return (4 if size_class % 2 == 0 else 6) << (size_class // 2)


@njit(cache=True, nogil=True, forceinline=True)
def _roomy_class(rows):
    """The smallest class that holds so many rows with a quarter to spare."""
    size_class = 0
    while _block_size(size_class) * 4 < rows * 5:
        size_class += 1
    return size_class


@njit(cache=True, nogil=True, forceinline=True)
def _allocate(pool, counters, size_class):
    """A free block of that class, or -1 where the pool must grow first."""
    offset = counters[FREE + size_class]
    size = _block_size(size_class)
    if offset >= 0:
        counters[FREE + size_class] = pool[offset, 0]
        counters[FREED] -= size
        return offset
    offset = counters[USED]
    if offset + size > pool.shape[0]:
        return -1
    counters[USED] = offset + size
    return offset


@njit(cache=True, nogil=True, forceinline=True)
def _release(pool, counters, offset, size_class):
    pool[offset, 0] = counters[FREE + size_class]
    counters[FREE + size_class] = offset
    counters[FREED] += _block_size(size_class)


@njit(cache=True, nogil=True, forceinline=True)
def _move(pool, source, target, count):
    """Copies rows to a lower or separate place."""
    cells = pool.reshape(-1)
    width = pool.shape[1]
    shift = (source - target) * width
    for cell in range(target * width, (target + count) * width):
        cells[cell] = cells[cell + shift]


@njit(cache=True, nogil=True, forceinline=True)
def make_room(pool, blocks, counters, slot, columns):
    """Makes sure that the key's block has a free row at its end. False where the pool must grow first."""
    offset = blocks[slot, OFFSET]
    if offset < 0:
        offset = _allocate(pool, counters, 0)
        if offset < 0:
            return False
        blocks[slot, OFFSET] = offset
        blocks[slot, CLASS] = 0
        blocks[slot, HEAD] = 1
        blocks[slot, LENGTH] = 0
        for column in range(pool.shape[1]):
            kind = columns[column, 0]
            pool[offset, column] = NULL if kind == TIME or kind == PREVIOUS or kind == CHAIN else 0
        return True
    head, length, size_class = blocks[slot, HEAD], blocks[slot, LENGTH], blocks[slot, CLASS]
    size = _block_size(size_class)
    if head + length < size:
        return True
    needed = length + 2  # the ghost, the events, and the new one
    if needed * 5 <= size * 4 and size <= needed * 3:
        _move(pool, offset + head - 1, offset, length + 1)
    else:
        wanted = _roomy_class(needed)
        target = _allocate(pool, counters, wanted)
        if target < 0:
            return False
        _move(pool, offset + head - 1, target, length + 1)
        _release(pool, counters, offset, size_class)
        blocks[slot, OFFSET] = target
        blocks[slot, CLASS] = wanted
    blocks[slot, HEAD] = 1
    return True


@njit(cache=True, nogil=True, forceinline=True)
def forget(pool, blocks, slot, horizon):
    """Drops the key's events at or before `horizon`; the newest of them becomes the ghost."""
    base = blocks[slot, OFFSET] + blocks[slot, HEAD]
    length = blocks[slot, LENGTH]
    dropped = 0
    while dropped < length and pool[base + dropped, 0] <= horizon:
        dropped += 1
    if dropped > 0:
        blocks[slot, HEAD] += dropped
        blocks[slot, LENGTH] = length - dropped
        for hint in range(HINTS, blocks.shape[1]):
            blocks[slot, hint] -= dropped


@njit(cache=True, nogil=True, forceinline=True)
def _last_equal(pool, base, column, end, value):
    """The time of the last of events 0…end-1 with that value, or NULL."""
    for row in range(base + end - 1, base - 1, -1):
        if pool[row, column] == value:
            return pool[row, 0]
    return NULL


@njit(cache=True, nogil=True, forceinline=True)
def insert(pool, blocks, slot, position, columns, time, order, contributions, event):
    """Puts an event at its place in time order; the block has room."""
    base = blocks[slot, OFFSET] + blocks[slot, HEAD]
    length = blocks[slot, LENGTH]
    width = pool.shape[1]
    # Among equal times the coordinates decide, so that the log does not depend on the order of arrival.
    if width > 1 and columns[1, 0] == ORDER:
        while position > 0 and pool[base + position - 1, 0] == time and pool[base + position - 1, 1] > order:
            position -= 1
    for row in range(base + length - 1, base + position - 1, -1):
        for column in range(width):
            pool[row + 1, column] = pool[row, column]
    row = base + position
    blocks[slot, LENGTH] = length + 1
    last = base + length
    for column in range(width):
        kind, source, argument = columns[column, 0], columns[column, 1], columns[column, 2]
        if kind == TIME:
            pool[row, column] = time
        elif kind == ORDER:
            pool[row, column] = order
        elif kind == VALUE:
            pool[row, column] = contributions[source, event]
        elif kind == SUM:
            added = contributions[source, event]
            pool[row, column] = pool[row - 1, column] + added
            for later in range(row + 1, last + 1):
                pool[later, column] += added
        elif kind == FRAUD:  # nothing is known of it yet
            pool[row, column] = pool[row - 1, column]
        elif kind == SQUARES_LOW:
            low, high = square(contributions[source, event])
            before = np.uint64(pool[row - 1, column])
            total = before + low
            carry = np.uint64(1) if total < low else np.uint64(0)
            pool[row, column] = np.int64(total)
            pool[row, column + 1] = np.int64(np.uint64(pool[row - 1, column + 1]) + high + carry)
            for later in range(row + 1, last + 1):
                total = np.uint64(pool[later, column]) + low
                carry = np.uint64(1) if total < low else np.uint64(0)
                pool[later, column] = np.int64(total)
                pool[later, column + 1] = np.int64(np.uint64(pool[later, column + 1]) + high + carry)
        elif kind == PREVIOUS:
            value = contributions[source, event]
            pool[row, column] = NULL if value == NULL else _last_equal(pool, base, argument, position, value)
            for later in range(row + 1, last + 1):
                if value != NULL and pool[later, argument] == value:
                    pool[later, column] = time
                    break
        elif kind == CHAIN:
            # A late event can complete a step for events that came before it, so the later rows follow.
            flag, before = argument, columns[column, 3]
            for current in range(row, last + 1):
                start = NULL
                if pool[current, flag] != 0:
                    start = pool[current, 0] if before < 0 else pool[current - 1, before]
                pool[current, column] = max(pool[current - 1, column], start)


@njit(cache=True, nogil=True)
def mark_fraud(pool, blocks, slot, columns, time, order, change):
    """Makes one of the key's events known as fraud (1), or no longer (-1); does nothing where it is not remembered."""
    if slot < 0 or blocks[slot, OFFSET] < 0:
        return
    base, length = blocks[slot, OFFSET] + blocks[slot, HEAD], blocks[slot, LENGTH]
    below, above = np.int64(-1), length
    while above - below > 1:
        middle = (above + below) // 2
        at, place = pool[base + middle, 0], pool[base + middle, 1]
        if at > time or (at == time and place >= order):
            above = middle
        else:
            below = middle
    row = base + above
    if above == length or pool[row, 0] != time or pool[row, 1] != order:
        return
    for column in range(pool.shape[1]):
        if columns[column, 0] == FRAUD:
            of = columns[column, 2]
            added = change if of < 0 else change * (pool[row, of] - pool[row - 1, of])
            for later in range(row, base + length):
                pool[later, column] += added


@njit(cache=True, nogil=True)
def release_blocks(pool, blocks, counters, new_of):
    """Frees the blocks of keys that go, and moves the others to their new slots; returns how many slots there are.

    Args:
        pool, blocks, counters: The log.
        new_of: int64[keys], each slot's new one, rising, -1 for those that go. There may be fewer blocks than keys.
    """
    slots = min(blocks.shape[0], new_of.shape[0])
    used = 0
    for slot in range(slots):
        if new_of[slot] >= 0:
            if used != slot:
                blocks[used] = blocks[slot]
            used += 1
        elif blocks[slot, OFFSET] >= 0:
            _release(pool, counters, blocks[slot, OFFSET], blocks[slot, CLASS])
    blocks[used:slots] = -1
    return used


@njit(cache=True, nogil=True)
def compact_size(blocks):
    """How many rows `compact` needs."""
    rows = 0
    for slot in range(blocks.shape[0]):
        if blocks[slot, OFFSET] >= 0:
            rows += _block_size(_roomy_class(blocks[slot, LENGTH] + 2))
    return rows


@njit(cache=True, nogil=True)
def compact(pool, blocks, counters, target):
    """Moves every block into the empty pool `target`, close together and no larger than it need be."""
    counters[FREE:] = -1
    used = 0
    for slot in range(blocks.shape[0]):
        if blocks[slot, OFFSET] < 0:
            continue
        length = blocks[slot, LENGTH]
        first = blocks[slot, OFFSET] + blocks[slot, HEAD] - 1
        target[used : used + length + 1] = pool[first : first + length + 1]
        size_class = _roomy_class(length + 2)
        blocks[slot, OFFSET] = used
        blocks[slot, CLASS] = size_class
        blocks[slot, HEAD] = 1
        used += _block_size(size_class)
    counters[USED] = used
    counters[FREED] = 0
