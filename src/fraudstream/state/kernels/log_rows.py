"""How a keyed log lies in memory: what the columns of its rows, its reads and its counters mean.

A log keeps, for each key, its events of the retention period in time order. All keys share one pool of rows; a key owns
a block of consecutive rows that grows and shrinks. Column 0 of a row is the event's time; what the others hold is
decided by the plan. Sums are *running* sums that include their row, so any window is the difference of two rows: one
subtraction whatever its length, and late events and look-backs from a delay cost no more than the present. For that
difference the row before a key's first event is kept as well, the *ghost*: the newest forgotten event, or zeros.

    block:   free …   ghost | event | event | event | free …
                        ^base-1 ^base                  length = 3
"""

from __future__ import annotations

import numpy as np

NULL = np.int64(-(2**63))
"""Stands for null in value columns, and for `never` in times."""

# What a column holds, and the fields of a row of the column table: (kind, contribution, argument, second argument).
# A FRAUD column is the running sum of its argument, a SUM column (-1: of events), over events known to be fraud.
TIME, ORDER, SUM, SQUARES_LOW, SQUARES_HIGH, VALUE, PREVIOUS, CHAIN, FRAUD = range(9)

# What a read computes, and the fields of a row of the read table:
# (operation, end cut, start cut, column, second column, contribution, second contribution, prior, output).
COUNT, DIFFERENCE, STD, MIN, MAX, DISTINCT, SINCE_LAST, SINCE_FIRST, LAST_PLACE, COMPLETES, RUN, ABOVE = range(12)

# What the limit of an ABOVE read rests on: outputs of earlier reads of its mean's window (-1: none), and the FRAUD
# column that tells which events to leave out (-1: none).
MEAN_COUNT, MEAN_TOTAL, MEAN_FRAUDS, MEAN_FRAUD_TOTAL, LEFT_OUT = range(5)

# Fields of a key's block; from HINTS on, where each cut was found last, counted from the head.
OFFSET, CLASS, HEAD, LENGTH, HINTS = range(5)

# Fields of the log's counters; from FREE on, one list of free blocks for each size class.
USED, FREED, LATE_TOTAL, STORED_TOTAL, FREE = range(5)
SIZE_CLASSES = 60
