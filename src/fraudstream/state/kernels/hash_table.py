"""Open-addressing hash tables of 128-bit fingerprints: keys to slots, event ids to what is known of them."""

from __future__ import annotations

import numpy as np
from numba import njit

EMPTY = np.int64(-1)


@njit(cache=True, nogil=True)
def find_slots(table_low, table_high, table_slot, low, high, valid, next_slot, slots):
    """Finds or makes the slot of each row's key; returns the next free slot.

    The table's size is a power of two and leaves room for all rows to be new: the caller grows it before.

    Args:
        table_low, table_high: uint64[size], the fingerprints.
        table_slot: int32[size], the slot, or -1 where the place is empty.
        low, high: uint64[n], the rows' keys.
        valid: bool[n], False where the key is null: its slot is -1.
        next_slot: The slot for the next new key.
        slots: int64[n], filled in.
    """
    mask = np.uint64(table_slot.shape[0] - 1)
    for row in range(low.shape[0]):
        if not valid[row]:
            slots[row] = -1
            continue
        place = low[row] & mask
        while True:
            slot = table_slot[place]
            if slot < 0:
                table_low[place] = low[row]
                table_high[place] = high[row]
                table_slot[place] = next_slot
                slots[row] = next_slot
                next_slot += 1
                break
            if table_low[place] == low[row] and table_high[place] == high[row]:
                slots[row] = slot
                break
            place = (place + np.uint64(1)) & mask
    return next_slot


@njit(cache=True, nogil=True)
def rehash(old_low, old_high, old_slot, table_low, table_high, table_slot):
    """Puts every key of the old table into the new, larger one."""
    mask = np.uint64(table_slot.shape[0] - 1)
    for row in range(old_slot.shape[0]):
        if old_slot[row] < 0:
            continue
        place = old_low[row] & mask
        while table_slot[place] >= 0:
            place = (place + np.uint64(1)) & mask
        table_low[place] = old_low[row]
        table_high[place] = old_high[row]
        table_slot[place] = old_slot[row]


@njit(cache=True, nogil=True)
def find_slots_seen(table_low, table_high, table_slot, low, high, valid, times, seen, next_slot, most, slots):
    """As `find_slots`, for a table of at most `most` keys that remembers when each was last seen, by event time.

    Args:
        times: int64[n], event times.
        seen: int64[≥ most], each slot's newest event time; kept up.
        most: How many keys there may be.

    Returns:
        The next free slot, and how many rows were done: all n, or those before the first new key without room. The
        rows done can be looked up again: they find the same slots, and nothing changes.
    """
    mask = np.uint64(table_slot.shape[0] - 1)
    for row in range(low.shape[0]):
        if not valid[row]:
            slots[row] = -1
            continue
        place = low[row] & mask
        while True:
            slot = table_slot[place]
            if slot < 0:
                if next_slot == most:
                    return next_slot, row
                table_low[place] = low[row]
                table_high[place] = high[row]
                table_slot[place] = next_slot
                seen[next_slot] = times[row]
                slots[row] = next_slot
                next_slot += 1
                break
            if table_low[place] == low[row] and table_high[place] == high[row]:
                seen[slot] = max(seen[slot], times[row])
                slots[row] = slot
                break
            place = (place + np.uint64(1)) & mask
    return next_slot, low.shape[0]


@njit(cache=True, nogil=True)
def renumber(old_low, old_high, old_slot, new_of, table_low, table_high, table_slot):
    """Puts the keys that stay into an empty table, under their new slots: `new_of[slot]`, -1 for those that go."""
    mask = np.uint64(table_slot.shape[0] - 1)
    for row in range(old_slot.shape[0]):
        if old_slot[row] < 0 or new_of[old_slot[row]] < 0:
            continue
        place = old_low[row] & mask
        while table_slot[place] >= 0:
            place = (place + np.uint64(1)) & mask
        table_low[place] = old_low[row]
        table_high[place] = old_high[row]
        table_slot[place] = new_of[old_slot[row]]
