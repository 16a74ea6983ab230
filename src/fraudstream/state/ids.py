"""What is known of events by their id: first copies, for deduplication, and labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fraudstream.state.kernels import event_ids as kernel

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]

_SMALLEST_TABLE = 1_024
_FULLEST = 0.5


@dataclass(slots=True)
class Labels:
    """The labels of a batch, in processing order.

    Attributes:
        position: int64[m], rising: how many events of the batch come before the label.
        low, high: uint64[m], the fingerprint of the labelled event's id.
        fraud: int64[m], 1 for fraud, 0 for legitimate.
        labelled_at_ms: int64[m], when the label was given.
    """

    position: Int64s
    low: UInt64s
    high: UInt64s
    fraud: Int64s
    labelled_at_ms: Int64s

    @classmethod
    def none(cls) -> Labels:
        """No labels."""
        return cls(
            np.empty(0, np.int64),
            np.empty(0, np.uint64),
            np.empty(0, np.uint64),
            np.empty(0, np.int64),
            np.empty(0, np.int64),
        )

    def __len__(self) -> int:
        return len(self.position)

    def between(self, begin: int, end: int, *, to_the_end: bool) -> Labels:
        """The labels that come before events begin…end-1 of the batch; at its end also those behind all events."""
        first = int(np.searchsorted(self.position, begin, "left")) if begin else 0
        last = len(self) if to_the_end else int(np.searchsorted(self.position, end, "left"))
        rows = slice(first, last)
        return Labels(
            self.position[rows] - begin, self.low[rows], self.high[rows], self.fraud[rows], self.labelled_at_ms[rows]
        )


@dataclass(slots=True)
class LabelChanges:
    """Changes in what is known as fraud, in processing order.

    Attributes:
        position: int64[c], how many events of the batch come before the change.
        times, orders: int64[c], time and coordinates of the labelled event.
        change: int64[c], 1 where an event became known as fraud, -1 where it was cleared.
        slots: int64[L, c], the event's key in each log that reads labels; int64[c] in the changes of one log.
    """

    position: Int64s
    times: Int64s
    orders: Int64s
    change: Int64s
    slots: Int64s

    @classmethod
    def none(cls) -> LabelChanges:
        """No changes."""
        return cls(*(np.empty(0, np.int64) for _ in range(5)))

    def of_log(self, log: int) -> LabelChanges:
        """The changes of one of the logs that read labels."""
        return replace(self, slots=np.ascontiguousarray(self.slots[log]))


class EventIds:
    """The table of event ids.

    Args:
        dedup_ms: The horizon within which a repeated id is a duplicate.
        label_retention_ms: How long an event waits for its label; 0: labels are not read.
        n_label_logs: How many logs read labels.
    """

    def __init__(self, dedup_ms: int, label_retention_ms: int, n_label_logs: int) -> None:
        self.dedup_ms = dedup_ms
        self.label_retention_ms = label_retention_ms
        self.n_label_logs = n_label_logs
        width = kernel.SLOTS + n_label_logs if label_retention_ms else kernel.LABEL
        self.table: Int64s = _empty(_SMALLEST_TABLE, width)
        self.counters: Int64s = np.zeros(4, np.int64)
        self.counters[kernel.NEWEST] = -(2**62)  # before any event, and far from overflow

    @property
    def pending_labels(self) -> int:
        """How many labels wait for their event."""
        return int(self.counters[kernel.PENDING_TOTAL])

    @property
    def expired_labels_total(self) -> int:
        """How many labels came too late to be seen by any feature."""
        return int(self.counters[kernel.EXPIRED_LABELS])

    def admit(
        self, low: UInt64s, high: UInt64s, times: Int64s, orders: Int64s, slots: Int64s, labels: Labels
    ) -> tuple[Int64s, LabelChanges]:
        """Admits a batch in processing order.

        Args:
            low, high: uint64[n], the events' ids.
            times, orders: int64[n], event time and coordinates as one number.
            slots: int64[L, n], each event's key in each log that reads labels.
            labels: The batch's labels.

        Returns:
            int64[n], the coordinates of the first copy of a duplicate, -1 for others; and the changes to apply.
        """
        n, m = len(low), len(labels)
        self._make_room(n + m)
        first: Int64s = np.full(n, -1, np.int64)
        room = n + m if self.label_retention_ms else 0
        position, applied_times, applied_orders, change = (np.empty(room, np.int64) for _ in range(4))
        applied_slots: Int64s = np.empty((self.n_label_logs, room), np.int64)
        count = kernel.admit(
            self.table, self.counters, self.dedup_ms, self.label_retention_ms,
            low, high, times, orders, slots,
            labels.position, labels.low, labels.high, labels.fraud, labels.labelled_at_ms,
            first, position, applied_times, applied_orders, change, applied_slots,
        )  # fmt: skip
        changes = LabelChanges(
            position[:count], applied_times[:count], applied_orders[:count], change[:count], applied_slots[:, :count]
        )
        return first, changes

    def renumber(self, log: int, new_of: Int64s) -> None:
        """Follows a change of slots in one of the logs that read labels; see `KeyTable.evict`."""
        kernel.renumber_slots(self.table, log, new_of)

    def _make_room(self, rows: int) -> None:
        """Drops what can no longer matter where the table is full, and doubles it where that is not enough."""
        size = len(self.table)
        if self.counters[kernel.ENTRIES] + rows <= size * _FULLEST:
            return
        horizons = (self.counters, self.dedup_ms, self.label_retention_ms)
        needed = kernel.count_live(self.table, *horizons) + rows
        # A quarter free after the clearing, so that the next one is not soon.
        while needed > size * _FULLEST * 0.75:
            size *= 2
        table = _empty(size, self.table.shape[1])
        kernel.carry_over(self.table, table, *horizons)
        self.table = table


def _empty(size: int, width: int) -> Int64s:
    table: Int64s = np.zeros((size, width), np.int64)
    table[:, kernel.TIME] = kernel.FREE
    return table
