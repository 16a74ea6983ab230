"""The hot loop: a batch of events through the history of each of their keys (`log_rows.py` says how it lies).

Times of one key rise, so the start of a window moves little from one event of the key to the next. A key's block
remembers where each window last began, and the search goes on from there: with large histories the kernel's time is
cache misses, and this touches one or two rows a window where a binary search would touch ten. Helpers are inlined by
force: a call between compiled functions counts references to every array it passes, which costs more than most of what
they do.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fraudstream.state.kernels.blocks import forget, insert, make_room, mark_fraud
from fraudstream.state.kernels.log_rows import HEAD, HINTS, LATE_TOTAL, LENGTH, OFFSET, STORED_TOTAL
from fraudstream.state.kernels.prefetch import prefetch_row
from fraudstream.state.kernels.windows import first_after, read_windows

# How many events ahead a key's block, and then its rows, are fetched.
FAR, NEAR = 12, 4


@njit(cache=True, nogil=True, forceinline=True)
def prefetch_key(pool, blocks, slot, n_cuts):
    """Starts fetching the rows that an event of the key will touch: the newest, the oldest, and each window's start."""
    if blocks[slot, OFFSET] < 0:
        return
    base = blocks[slot, OFFSET] + blocks[slot, HEAD]
    prefetch_row(pool, base)
    prefetch_row(pool, base + blocks[slot, LENGTH] - 1)
    for cut in range(1, n_cuts):
        prefetch_row(pool, base + blocks[slot, HINTS + cut])


@njit(cache=True, nogil=True)
def run_log(
    pool, blocks, counters, columns, cuts, reads, means, multiples, retention,
    slots, times, orders, read, store, own, contributions,
    change_position, change_slots, change_times, change_orders, changes,
    out_values, out_floats, out_valid, late, begin,
):  # fmt: skip
    """Reads and stores rows begin…n-1 in order; returns n, or the row at which the pool must grow first.

    Args:
        pool: int64[rows, width], the blocks of all keys.
        blocks: int64[keys, 4 + c], each key's block: offset (-1: none yet), size class, head, length, hints.
        counters: int64, see USED and its neighbours.
        columns: int64[width, 4], what each column of the pool holds.
        cuts: int64[c], rising look-backs in ms, the first 0: a read's window lies between two of them.
        reads: int64[r, 9], what to compute.
        means: int64[a, 5], multiples: float64[a], what the limits of ABOVE reads rest on.
        retention: The retention in ms.
        slots: int64[n], each row's key, -1 where it is null.
        times, orders: int64[n], event time and the coordinates as one number.
        read, store, own: bool[n], whether a row is read for, stored, and part of its own windows.
        contributions: int64[k, n], what each row adds.
        change_position: int64[c], rising: how many rows come before each change of what is known as fraud; with the
            labelled event's key, time, coordinates, and 1 or -1 in the arrays beside it.
        out_values, out_floats, out_valid: [r, n], the results; LAST_PLACE fills three outputs.
        late: bool[n], set where a row to be stored is older than the retention.
        begin: The first row to process.
    """
    n = slots.shape[0]
    found = np.zeros(cuts.shape[0], np.int64)
    change = np.searchsorted(change_position, begin)  # those before it are done
    for event in range(begin, n):
        if event + FAR < n and slots[event + FAR] >= 0:
            prefetch_row(blocks, slots[event + FAR])
        if event + NEAR < n and slots[event + NEAR] >= 0:
            prefetch_key(pool, blocks, slots[event + NEAR], cuts.shape[0])
        slot = slots[event]
        stored = store[event]
        if slot >= 0 and stored and not make_room(pool, blocks, counters, slot, columns):
            return event
        while change < changes.shape[0] and change_position[change] <= event:
            mark_fraud(
                pool, blocks, change_slots[change], columns, change_times[change], change_orders[change],
                changes[change],
            )  # fmt: skip
            change += 1
        if slot < 0:
            continue
        time = times[event]
        base = np.int64(0)
        length = np.int64(0)
        if blocks[slot, OFFSET] >= 0:
            if stored:
                newest = time
                length = blocks[slot, LENGTH]
                if length > 0:
                    newest = max(newest, pool[blocks[slot, OFFSET] + blocks[slot, HEAD] + length - 1, 0])
                forget(pool, blocks, slot, newest - retention)
                if time <= newest - retention:
                    late[event] = True
                    stored = False
                    counters[LATE_TOTAL] += 1
            base = blocks[slot, OFFSET] + blocks[slot, HEAD]
            length = blocks[slot, LENGTH]
        position = first_after(pool, base, length, time, length)
        if read[event]:
            found[0] = position
            for cut in range(1, cuts.shape[0]):
                found[cut] = first_after(pool, base, found[cut - 1], time - cuts[cut], blocks[slot, HINTS + cut])
                blocks[slot, HINTS + cut] = found[cut]
            read_windows(
                pool, base, columns, found, reads, means, multiples, time, own[event], contributions, event,
                out_values, out_floats, out_valid,
            )  # fmt: skip
        if stored:
            insert(pool, blocks, slot, position, columns, time, orders[event], contributions, event)
            counters[STORED_TOTAL] += 1
    for last in range(change, changes.shape[0]):
        mark_fraud(
            pool, blocks, change_slots[last], columns, change_times[last], change_orders[last], changes[last]
        )  # fmt: skip
    return n
