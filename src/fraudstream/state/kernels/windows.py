"""What is read from a key's events: where windows begin, and what they hold."""

from __future__ import annotations

import numpy as np
from numba import njit

from fraudstream.state.kernels.exact import square, variance
from fraudstream.state.kernels.log_rows import (
    ABOVE,
    COMPLETES,
    COUNT,
    DIFFERENCE,
    DISTINCT,
    LAST_PLACE,
    LEFT_OUT,
    MAX,
    MEAN_COUNT,
    MEAN_FRAUD_TOTAL,
    MEAN_FRAUDS,
    MEAN_TOTAL,
    MIN,
    NULL,
    RUN,
    SINCE_FIRST,
    SINCE_LAST,
    STD,
)

STEPS = 8
"""So far a window's start is sought event by event: in most cases it has moved by one or two."""


@njit(cache=True, nogil=True, forceinline=True)
def first_after(pool, base, high, instant, hint):
    """The first of a key's events 0…high-1 later than `instant`, `high` if none is; the search begins at `hint`."""
    place = min(max(hint, 0), high)
    begin = place
    near = min(high, place + STEPS)
    while place < near and pool[base + place, 0] <= instant:
        place += 1
    if place > begin:
        if place < near or place == high:
            return place
        below, above = place - 1, place  # further on: in growing steps
        step = 1
        while above < high and pool[base + above, 0] <= instant:
            below = above
            step *= 2
            above = below + step
        above = min(above, high)
    else:
        if place == 0 or pool[base + place - 1, 0] <= instant:
            return place
        above = place - 1  # back, in growing steps
        step = 1
        below = above - 1
        while below >= 0 and pool[base + below, 0] > instant:
            above = below
            step *= 2
            below = above - step
        below = max(below, -1)
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
def _above(pool, base, column, left_out, start, end, own, limit):
    """How many values of events start…end-1 and the event's own are above the limit."""
    count = 1 if own != NULL and float(own) > limit else 0
    for row in range(base + start, base + end):
        value = pool[row, column]
        if value != NULL and float(value) > limit:
            count += 1 if left_out < 0 or pool[row, left_out] == pool[row - 1, left_out] else 0
    return count


@njit(cache=True, nogil=True, forceinline=True)
def _limit(mean, multiple, event, out_values):
    """So many times the mean that earlier reads have measured; NaN where there is none."""
    count, total = out_values[mean[MEAN_COUNT], event], out_values[mean[MEAN_TOTAL], event]
    if mean[MEAN_FRAUDS] >= 0:
        count -= out_values[mean[MEAN_FRAUDS], event]
        total -= out_values[mean[MEAN_FRAUD_TOTAL], event]
    return multiple * (float(total) / float(count)) if count > 0 else np.nan


@njit(cache=True, nogil=True, forceinline=True)
def read_windows(
    pool, base, columns, found, reads, means, multiples, time, own, contributions, event,
    out_values, out_floats, out_valid,
):  # fmt: skip
    """Computes every read of one event. The event's own contribution is added where it belongs to the window.

    Counts and sums come first, in loops of their own: they are most of the reads, and always valid.
    """
    index = 0
    while index < reads.shape[0] and reads[index, 0] == COUNT:
        itself = own and reads[index, 7] == 0
        width = found[reads[index, 1]] - found[reads[index, 2]]
        out_values[reads[index, 8], event] = width + 1 if itself else width
        index += 1
    while index < reads.shape[0] and reads[index, 0] == DIFFERENCE:
        itself = own and reads[index, 7] == 0
        column = reads[index, 3]
        last, first = base + found[reads[index, 1]] - 1, base + found[reads[index, 2]] - 1
        total = pool[last, column] - pool[first, column]
        out_values[reads[index, 8], event] = total + contributions[reads[index, 5], event] if itself else total
        index += 1
    for index in range(index, reads.shape[0]):  # noqa: B020 - goes on where the loops above ended
        operation = reads[index, 0]
        end, start = found[reads[index, 1]], found[reads[index, 2]]
        column, second = reads[index, 3], reads[index, 4]
        source, second_source = reads[index, 5], reads[index, 6]
        itself = own and reads[index, 7] == 0
        out = reads[index, 8]
        if operation == STD:
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
                own_low, own_high = square(contributions[second, event])
                low += own_low
                high += own_high + (np.uint64(1) if low < own_low else np.uint64(0))
            if count >= 2:
                out_floats[out, event] = np.sqrt(variance(count, total, low, high))
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
        elif operation == RUN:
            # How long the run of known frauds at the window's end is, and times since the event before and its first.
            row = base + end - 1
            while row >= base + start and pool[row, column] > pool[row - 1, column]:
                row -= 1
            run = base + end - 1 - row
            out_values[out, event] = run
            out_valid[out, event] = True
            if row >= base + start:
                out_values[out + 1, event] = time - pool[row, 0]
                out_valid[out + 1, event] = True
            if run > 0:
                out_values[out + 2, event] = time - pool[row + 1, 0]
                out_valid[out + 2, event] = True
        elif operation == ABOVE:
            limit = _limit(means[second], multiples[second], event, out_values)
            if not np.isnan(limit):
                mine = contributions[source, event] if itself else NULL
                out_values[out, event] = _above(pool, base, column, means[second, LEFT_OUT], start, end, mine, limit)
                out_valid[out, event] = True
        elif operation == COMPLETES:
            # The chain's start must be remembered still: a late event's window may reach back to forgotten ones.
            reached = end > start and pool[base + end - 1, column] >= pool[base + start, 0]
            out_values[out, event] = 1 if reached and contributions[source, event] != 0 else 0
            out_valid[out, event] = True
