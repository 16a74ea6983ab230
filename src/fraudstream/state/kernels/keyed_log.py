"""The hot loop: exact sliding windows over the history of each key.

A log keeps, for each key, its events of the retention period in time order. All keys share one pool of rows; a key owns
a block of consecutive rows that grows and shrinks. Column 0 of a row is the event's time; what the others hold is
decided by the plan. Sums are *running* sums that include their row, so any window is the difference of two rows: one
subtraction whatever its length, and late events and look-backs from a delay cost no more than the present. For that
difference the row before a key's first event is kept as well, the *ghost*: the newest forgotten event, or zeros.

    block:   free …   ghost | event | event | event | free …
                        ^base-1 ^base                  length = 3

Times of one key rise, so the start of a window moves little from one event of the key to the next. A key's block
remembers where each window last began, and the search goes on from there: with large histories the kernel's time is
cache misses, and this touches one or two rows a window where a binary search would touch ten. Helpers are inlined by
force: a call between compiled functions counts references to every array it passes, which costs more than most of what
they do.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fraudstream.state.kernels.prefetch import prefetch_row

NULL = np.int64(-(2**63))
"""Stands for null in value columns, and for `never` in times."""

# What a column holds, and the fields of a row of the column table: (kind, contribution, argument, second argument).
TIME, ORDER, SUM, SQUARES_LOW, SQUARES_HIGH, VALUE, PREVIOUS, CHAIN = range(8)

# What a read computes, and the fields of a row of the read table:
# (operation, end cut, start cut, column, second column, contribution, second contribution, prior, output).
COUNT, DIFFERENCE, STD, MIN, MAX, DISTINCT, SINCE_LAST, SINCE_FIRST, LAST_PLACE, COMPLETES = range(10)

# Fields of a key's block; from HINTS on, where each cut was found last, counted from the head.
OFFSET, CLASS, HEAD, LENGTH, HINTS = range(5)

# Fields of the log's counters; from FREE on, one list of free blocks for each size class.
USED, FREED, LATE_TOTAL, STORED_TOTAL, FREE = range(5)
SIZE_CLASSES = 60

# How many events ahead a key's block, and then its rows, are fetched.
FAR, NEAR = 12, 4


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
def _first_after(pool, base, high, instant, hint):
    """The first of a key's events 0…high-1 later than `instant`, `high` if none is; the search begins at `hint`."""
    place = min(max(hint, 0), high)
    if place > 0 and pool[base + place - 1, 0] > instant:
        above = place - 1  # is later
        step = 1
        below = above - 1
        while below >= 0 and pool[base + below, 0] > instant:
            above = below
            step *= 2
            below = above - step
        below = max(below, -1)
    else:
        below = place - 1  # is not later, or before the first
        step = 1
        above = place
        while above < high and pool[base + above, 0] <= instant:
            below = above
            step *= 2
            above = below + step
        above = min(above, high)
    while above - below > 1:
        middle = (above + below) // 2
        if pool[base + middle, 0] > instant:
            above = middle
        else:
            below = middle
    return above


@njit(cache=True, nogil=True, forceinline=True)
def _first_reaching(pool, base, column, start, end, target):
    """The first event in start…end-1 whose running sum is at least `target`; `end` if none is."""
    below, above = start - 1, end
    while above - below > 1:
        middle = (above + below) // 2
        if pool[base + middle, column] >= target:
            above = middle
        else:
            below = middle
    return above


@njit(cache=True, nogil=True, forceinline=True)
def _square(value):
    """A value's square as (low, high) halves of 128 bits."""
    magnitude = np.uint64(-value) if value < 0 else np.uint64(value)
    low32 = magnitude & np.uint64(0xFFFFFFFF)
    high32 = magnitude >> np.uint64(32)
    cross = low32 * high32
    low = low32 * low32
    total = low + (cross << np.uint64(33))
    carry = np.uint64(1) if total < low else np.uint64(0)
    return total, high32 * high32 + (cross >> np.uint64(31)) + carry


@njit(cache=True, nogil=True, forceinline=True)
def _multiply(a, b):
    """The product of two unsigned 64-bit numbers as (low, high) halves of 128 bits."""
    mask = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    a_low, a_high, b_low, b_high = a & mask, a >> shift, b & mask, b >> shift
    low = a_low * b_low
    middle = a_high * b_low + (low >> shift)
    other = a_low * b_high + (middle & mask)
    return (other << shift) | (low & mask), a_high * b_high + (middle >> shift) + (other >> shift)


@njit(cache=True, nogil=True, forceinline=True)
def _to_float(low, high):
    """An unsigned 128-bit number as the nearest float64."""
    if high == np.uint64(0):
        return np.float64(low)
    shift = 0
    while high != np.uint64(0):
        sticky = low & np.uint64(1)
        low = (low >> np.uint64(1)) | (high << np.uint64(63)) | sticky
        high >>= np.uint64(1)
        shift += 1
    # The lowest bit remembers what was shifted out, so that this one conversion rounds correctly.
    return np.float64(low) * 2.0**shift


@njit(cache=True, nogil=True, forceinline=True)
def _variance(count, total, low, high):
    """The sample variance from exact sums: (n·Σx² - (Σx)²) / (n·(n-1)), rounded only where it becomes a float."""
    n = np.uint64(count)
    first_low, carry = _multiply(low, n)
    first_high = high * n + carry
    square_low, square_high = _square(total)
    borrow = np.uint64(1) if first_low < square_low else np.uint64(0)
    numerator = _to_float(first_low - square_low, first_high - square_high - borrow)
    return numerator / np.float64(count * (count - 1))


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
def _make_room(pool, blocks, counters, slot, columns):
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
def _forget(pool, blocks, slot, horizon):
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
def _insert(pool, blocks, slot, position, columns, time, order, contributions, event):
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
        elif kind == SQUARES_LOW:
            low, high = _square(contributions[source, event])
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


@njit(cache=True, nogil=True, forceinline=True)
def _extreme(pool, base, column, start, end, own, largest):
    """The smallest or largest value of events start…end-1 and the event's own; NULL where all are null."""
    best = own
    for row in range(base + start, base + end):
        value = pool[row, column]
        if value != NULL and (best == NULL or (value > best if largest else value < best)):
            best = value
    return best


@njit(cache=True, nogil=True, forceinline=True)
def _distinct(pool, base, columns, column, start, end, own):
    """How many different values events start…end-1 and the event's own have."""
    values = columns[column, 2]
    count = 0
    # A value counts where it comes for the first time in the window: its previous occurrence is older than all of it.
    for row in range(base + start, base + end):
        if pool[row, values] != NULL and pool[row, column] < pool[base + start, 0]:
            count += 1
    if own != NULL:
        for row in range(base + end - 1, base + start - 1, -1):
            if pool[row, values] == own:
                return count
        count += 1
    return count


@njit(cache=True, nogil=True, forceinline=True)
def _prefetch_key(pool, blocks, slot, n_cuts):
    """Starts fetching the rows that an event of the key will touch: the newest, the oldest, and each window's start."""
    if blocks[slot, OFFSET] < 0:
        return
    base = blocks[slot, OFFSET] + blocks[slot, HEAD]
    prefetch_row(pool, base)
    prefetch_row(pool, base + blocks[slot, LENGTH] - 1)
    for cut in range(1, n_cuts):
        prefetch_row(pool, base + blocks[slot, HINTS + cut])


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


@njit(cache=True, nogil=True)
def run_log(
    pool, blocks, counters, columns, cuts, reads, retention,
    slots, times, orders, read, store, own, contributions, out_values, out_floats, out_valid, late, begin,
):  # fmt: skip
    """Reads and stores rows begin…n-1 in order; returns n, or the row at which the pool must grow first.

    Args:
        pool: int64[rows, width], the blocks of all keys.
        blocks: int64[keys, 4 + c], each key's block: offset (-1: none yet), size class, head, length, hints.
        counters: int64, see USED and its neighbours.
        columns: int64[width, 4], what each column of the pool holds.
        cuts: int64[c], rising look-backs in ms, the first 0: a read's window lies between two of them.
        reads: int64[r, 9], what to compute.
        retention: The retention in ms.
        slots: int64[n], each row's key, -1 where it is null.
        times, orders: int64[n], event time and the coordinates as one number.
        read, store, own: bool[n], whether a row is read for, stored, and part of its own windows.
        contributions: int64[k, n], what each row adds.
        out_values, out_floats, out_valid: [r, n], the results; LAST_PLACE fills three outputs.
        late: bool[n], set where a row to be stored is older than the retention.
        begin: The first row to process.
    """
    n = slots.shape[0]
    found = np.zeros(cuts.shape[0], np.int64)
    for event in range(begin, n):
        if event + FAR < n and slots[event + FAR] >= 0:
            prefetch_row(blocks, slots[event + FAR])
        if event + NEAR < n and slots[event + NEAR] >= 0:
            _prefetch_key(pool, blocks, slots[event + NEAR], cuts.shape[0])
        slot = slots[event]
        if slot < 0:
            continue
        time = times[event]
        stored = store[event]
        if stored and not _make_room(pool, blocks, counters, slot, columns):
            return event
        base = np.int64(0)
        length = np.int64(0)
        if blocks[slot, OFFSET] >= 0:
            if stored:
                newest = time
                length = blocks[slot, LENGTH]
                if length > 0:
                    newest = max(newest, pool[blocks[slot, OFFSET] + blocks[slot, HEAD] + length - 1, 0])
                _forget(pool, blocks, slot, newest - retention)
                if time <= newest - retention:
                    late[event] = True
                    stored = False
                    counters[LATE_TOTAL] += 1
            base = blocks[slot, OFFSET] + blocks[slot, HEAD]
            length = blocks[slot, LENGTH]
        position = _first_after(pool, base, length, time, length)
        if read[event]:
            found[0] = position
            for cut in range(1, cuts.shape[0]):
                found[cut] = _first_after(pool, base, found[cut - 1], time - cuts[cut], blocks[slot, HINTS + cut])
                blocks[slot, HINTS + cut] = found[cut]
            _read(
                pool, base, columns, cuts, found, reads, time, own[event], contributions, event,
                out_values, out_floats, out_valid,
            )  # fmt: skip
        if stored:
            _insert(pool, blocks, slot, position, columns, time, orders[event], contributions, event)
            counters[STORED_TOTAL] += 1
    return n


@njit(cache=True, nogil=True, forceinline=True)
def _read(
    pool, base, columns, cuts, found, reads, time, own, contributions, event, out_values, out_floats, out_valid
):  # fmt: skip
    """Computes every read of one event. The event's own contribution is added where it belongs to the window."""
    for index in range(reads.shape[0]):
        operation = reads[index, 0]
        end, start = found[reads[index, 1]], found[reads[index, 2]]
        column, second = reads[index, 3], reads[index, 4]
        source, second_source = reads[index, 5], reads[index, 6]
        itself = own and reads[index, 7] == 0
        out = reads[index, 8]
        if operation == COUNT:
            out_values[out, event] = end - start + (1 if itself else 0)
            out_valid[out, event] = True
        elif operation == DIFFERENCE:
            total = pool[base + end - 1, column] - pool[base + start - 1, column] if end > start else 0
            out_values[out, event] = total + (contributions[source, event] if itself else 0)
            out_valid[out, event] = True
        elif operation == STD:
            # Earlier reads have put the same window's sum and tally into the outputs `source` and `second_source`;
            # `column` is the low half of the squares, and `second` the contribution that is summed.
            count, total = out_values[second_source, event], out_values[source, event]
            low, high = np.uint64(0), np.uint64(0)
            if end > start:
                last_low, first_low = np.uint64(pool[base + end - 1, column]), np.uint64(pool[base + start - 1, column])
                borrow = np.uint64(1) if last_low < first_low else np.uint64(0)
                low = last_low - first_low
                high = (
                    np.uint64(pool[base + end - 1, column + 1]) - np.uint64(pool[base + start - 1, column + 1]) - borrow
                )
            if itself:
                own_low, own_high = _square(contributions[second, event])
                low += own_low
                high += own_high + (np.uint64(1) if low < own_low else np.uint64(0))
            if count >= 2:
                out_floats[out, event] = np.sqrt(_variance(count, total, low, high))
                out_valid[out, event] = True
        elif operation == MIN or operation == MAX:
            mine = contributions[source, event] if itself else NULL
            best = _extreme(pool, base, column, start, end, mine, operation == MAX)
            out_values[out, event] = best
            out_valid[out, event] = best != NULL
        elif operation == DISTINCT:
            mine = contributions[source, event] if itself else NULL
            out_values[out, event] = _distinct(pool, base, columns, column, start, end, mine)
            out_valid[out, event] = True
        elif operation == SINCE_LAST or operation == SINCE_FIRST:
            row = np.int64(-1)
            if end > start:
                row = end - 1 if operation == SINCE_LAST else start
                if column >= 0:
                    before, after = pool[base + start - 1, column], pool[base + end - 1, column]
                    target = after if operation == SINCE_LAST else before + 1
                    row = _first_reaching(pool, base, column, start, end, target) if after > before else np.int64(-1)
            out_valid[out, event] = row >= 0
            if row >= 0:
                out_values[out, event] = time - pool[base + row, 0]
        elif operation == LAST_PLACE:
            for row in range(base + end - 1, base + start - 1, -1):
                if pool[row, column] != NULL and pool[row, second] != NULL:
                    out_values[out, event] = pool[row, column]
                    out_values[out + 1, event] = pool[row, second]
                    out_values[out + 2, event] = time - pool[row, 0]
                    out_valid[out, event] = True
                    break
        elif operation == COMPLETES:
            # The chain's start must be remembered still: a late event's window may reach back to forgotten ones.
            reached = end > start and pool[base + end - 1, column] >= pool[base + start, 0]
            out_values[out, event] = 1 if reached and contributions[source, event] != 0 else 0
            out_valid[out, event] = True
