"""What is known of an event by its id: whether it was seen before, and its label.

One table serves deduplication and labels. An entry is a row of int64: the id's fingerprint, the event's time and
coordinates, and, where the plan has label features, the newest label with its time and the event's slot in each log.
"""

from __future__ import annotations

import numpy as np
from numba import njit

LOW, HIGH, TIME, ORDER, LABEL, LABELLED, SLOTS = range(7)

FREE = np.int64(-(2**63))
"""In TIME: the place is empty."""
PENDING = np.int64(-(2**63) + 1)
"""In TIME: a label came before its event."""
UNLABELLED = np.int64(-1)

# Counters of the table.
NEWEST, ENTRIES, PENDING_TOTAL, EXPIRED_LABELS = range(4)


@njit(cache=True, nogil=True)
def _place(table, low, high):
    """Where the id stands, or the free place where it belongs."""
    mask = np.uint64(table.shape[0] - 1)
    place = low & mask
    while table[place, TIME] != FREE:
        if np.uint64(table[place, LOW]) == low and np.uint64(table[place, HIGH]) == high:
            break
        place = (place + np.uint64(1)) & mask
    return place


@njit(cache=True, nogil=True)
def _admit_event(table, counters, place, low, high, time, order, slots, event, dedup, label_retention):
    """Makes the event's entry; returns the coordinates of its first copy, or -1 if it is the first."""
    seen = table[place, TIME]
    if seen != FREE and seen != PENDING:
        near = abs(time - seen) < dedup
        if near and seen > counters[NEWEST] - 2 * dedup:
            return table[place, ORDER]
    if seen == FREE:
        counters[ENTRIES] += 1
    table[place, LOW] = np.int64(low)
    table[place, HIGH] = np.int64(high)
    table[place, TIME] = time
    table[place, ORDER] = order
    if label_retention > 0:
        for log in range(slots.shape[0]):
            table[place, SLOTS + log] = slots[log, event]
        if seen != PENDING:
            table[place, LABEL] = UNLABELLED
            table[place, LABELLED] = FREE
    return np.int64(-1)


@njit(cache=True, nogil=True)
def _take_label(table, counters, place, low, high, fraud, labelled, dedup, label_retention):
    """Keeps a label with its id; returns the change in the number of known frauds: -1, 0 or 1."""
    seen = table[place, TIME]
    horizon = counters[NEWEST] - label_retention
    # An entry that no longer matters is as good as dropped, whether or not the table has been cleared since.
    forgotten = seen != FREE and seen != PENDING and seen <= counters[NEWEST] - max(2 * dedup, label_retention)
    if seen == FREE or forgotten:
        if labelled <= horizon:
            counters[EXPIRED_LABELS] += 1
            return 0
        if not forgotten:
            counters[ENTRIES] += 1
        counters[PENDING_TOTAL] += 1
        table[place, LOW] = np.int64(low)
        table[place, HIGH] = np.int64(high)
        table[place, TIME] = PENDING
        table[place, LABEL] = UNLABELLED
        table[place, LABELLED] = FREE
        seen = PENDING
    if seen != PENDING and seen <= horizon:
        counters[EXPIRED_LABELS] += 1
        return 0
    known, known_at = table[place, LABEL], table[place, LABELLED]
    if known != UNLABELLED and (labelled < known_at or (labelled == known_at and fraud <= known)):
        return 0
    table[place, LABEL] = fraud
    table[place, LABELLED] = labelled
    if seen == PENDING:
        return 0
    return fraud - (1 if known == 1 else 0)


@njit(cache=True, nogil=True)
def admit(
    table, counters, dedup, label_retention,
    low, high, times, orders, slots,
    label_position, label_low, label_high, label_fraud, label_at,
    first_order, applied_before, applied_time, applied_order, applied_change, applied_slot,
):  # fmt: skip
    """Admits a batch's events and labels in processing order; returns how many label changes to apply.

    Args:
        table: int64[size, width], a power of two of places with room for every row to be new.
        counters: int64, see NEWEST and its neighbours.
        dedup, label_retention: Horizons in ms; a label retention of 0 means that labels are not kept.
        low, high, times, orders: [n], the events' ids, times and coordinates.
        slots: int64[L, n], each event's key in each log that reads labels.
        label_position: int64[m], rising: how many events of the batch come before the label.
        label_low, label_high, label_fraud, label_at: [m], the labels.
        first_order: int64[n], set to the coordinates of the first copy, or -1.
        applied_before: int64, set to how many events come before each change; with its event's time, coordinates,
            change (-1 or 1) and slots ([L, …]) in the arrays beside it. Room for n + m changes.
    """
    n, m = low.shape[0], label_low.shape[0]
    applied = 0
    label = 0
    for event in range(n + 1):
        while label < m and label_position[label] <= event:
            place = _place(table, label_low[label], label_high[label])
            change = _take_label(
                table, counters, place, label_low[label], label_high[label], label_fraud[label], label_at[label],
                dedup, label_retention,
            )  # fmt: skip
            if change != 0:
                applied_before[applied] = event
                applied_change[applied] = change
                applied_time[applied] = table[place, TIME]
                applied_order[applied] = table[place, ORDER]
                for log in range(slots.shape[0]):
                    applied_slot[log, applied] = table[place, SLOTS + log]
                applied += 1
            label += 1
        if event == n:
            break
        counters[NEWEST] = max(counters[NEWEST], times[event])
        place = _place(table, low[event], high[event])
        waiting = table[place, TIME] == PENDING
        first_order[event] = _admit_event(
            table, counters, place, low[event], high[event], times[event], orders[event], slots, event, dedup,
            label_retention,
        )  # fmt: skip
        if waiting:
            horizon = counters[NEWEST] - label_retention
            counters[PENDING_TOTAL] -= 1
            if times[event] <= horizon or table[place, LABELLED] <= horizon:
                counters[EXPIRED_LABELS] += 1
                table[place, LABEL] = UNLABELLED
                table[place, LABELLED] = FREE
            elif table[place, LABEL] == 1:
                applied_before[applied] = event + 1
                applied_change[applied] = 1
                applied_time[applied] = times[event]
                applied_order[applied] = orders[event]
                for log in range(slots.shape[0]):
                    applied_slot[log, applied] = slots[log, event]
                applied += 1
    return applied


@njit(cache=True, nogil=True)
def carry_over(old, table, counters, dedup, label_retention):
    """Puts the entries that can still matter into the new table, and counts them."""
    horizon = counters[NEWEST] - max(2 * dedup, label_retention)
    entries = 0
    pending = 0
    for row in range(old.shape[0]):
        time = old[row, TIME]
        if time == FREE:
            continue
        if (old[row, LABELLED] if time == PENDING else time) <= horizon:
            continue
        place = _place(table, np.uint64(old[row, LOW]), np.uint64(old[row, HIGH]))
        for column in range(old.shape[1]):
            table[place, column] = old[row, column]
        entries += 1
        pending += 1 if time == PENDING else 0
    counters[ENTRIES] = entries
    counters[PENDING_TOTAL] = pending


@njit(cache=True, nogil=True)
def count_live(table, counters, dedup, label_retention):
    """How many entries can still matter."""
    horizon = counters[NEWEST] - max(2 * dedup, label_retention)
    live = 0
    for row in range(table.shape[0]):
        time = table[row, TIME]
        if time != FREE and (table[row, LABELLED] if time == PENDING else time) > horizon:
            live += 1
    return live


@njit(cache=True, nogil=True)
def renumber_slots(table, log, new_of):
    """Follows a change of a label log's slots; a label of an event whose key is gone has nowhere to go: -1.

    Args:
        table: The table of ids.
        log: Which of the logs that read labels.
        new_of: int64[keys], each slot's new one, -1 for those that go.
    """
    for row in range(table.shape[0]):
        if table[row, TIME] != FREE and table[row, TIME] != PENDING and table[row, SLOTS + log] >= 0:
            table[row, SLOTS + log] = new_of[table[row, SLOTS + log]]
