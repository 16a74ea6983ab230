"""Where labels stood among events: not on record to the last one, but in one of three orders.

The scorer merges what it has fetched by time: an event is decided before a label of a later time that waits beside it.
While it catches up all records wait beside each other, and time alone decides. Live it knows a label as soon as it has
come. Where it was stopped for a while both hold: a label had to have come, and to be no later than the event.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from fraudstream.engine.column import Int64s
from fraudstream.replay.past import PastLabels
from fraudstream.state.ids import Labels

_FIRST = np.iinfo(np.int64).min


class LabelOrder(StrEnum):
    """When an event knows a label."""

    BY_TIME = "by the time they were given, as while catching up"
    BY_BOTH = "by the time they were given, once they had come"
    BY_ARRIVAL = "by when they had come, as live"


class RecordedLabels:
    """The labels of a log, handed out in an order.

    Args:
        labels: The labels; None: there are none.
        order: When an event knows one.

    Attributes:
        taken: How many were handed out.
    """

    def __init__(self, labels: PastLabels | None, order: LabelOrder) -> None:
        self.taken = 0
        self._labels = labels
        if labels is None:
            return
        given, come = labels.decoded.labelled_at_ms.copy(), labels.timestamp_ms.copy()
        for partition in np.unique(labels.partition):
            rows = labels.partition == partition  # a partition's records keep their order
            given[rows], come[rows] = np.maximum.accumulate(given[rows]), np.maximum.accumulate(come[rows])
        if order is LabelOrder.BY_ARRIVAL:
            given[:] = _FIRST
        if order is LabelOrder.BY_TIME:
            come[:] = _FIRST
        self._given, self._come = given, come
        self._left = np.argsort(np.maximum(given, come), kind="stable")
        self._newest = [_FIRST, _FIRST]

    def due(self, event_at_ms: Int64s, decided_at_ms: Int64s) -> Labels:
        """The labels that come before the last of these events, with their places among them."""
        if self._labels is None:
            return Labels.none()
        position = np.zeros(len(self._left), np.int64)
        for which, (at_ms, of_label) in enumerate(((event_at_ms, self._given), (decided_at_ms, self._come))):
            instants = np.maximum(np.maximum.accumulate(at_ms), self._newest[which])
            self._newest[which] = int(instants[-1])
            position = np.maximum(position, np.searchsorted(instants, of_label[self._left], side="left"))
        ready = position < len(event_at_ms)
        rows, places = self._left[ready], position[ready]
        self._left = self._left[~ready]
        self.taken += len(rows)
        order = np.argsort(places, kind="stable")
        rows, found = rows[order], self._labels.decoded
        return Labels(places[order], found.low[rows], found.high[rows], found.fraud[rows], found.labelled_at_ms[rows])
