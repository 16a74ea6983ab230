"""What is known of events by now: the labels that have come, the last word on each event."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fraudstream.engine.column import Bools, Int64s, UInt64s
from fraudstream.engine.event_ids import EventIds
from fraudstream.runner.labels import DecodedLabels, decode_labels


class KnownLabels:
    """The labels of a pipeline's topic as they come.

    Args:
        ids: How they name events.

    Attributes:
        passed_over: Records that were no labels.
    """

    def __init__(self, ids: EventIds) -> None:
        self._ids = ids
        self._low = np.empty(0, np.uint64)
        self._fraud = np.empty(0, np.int64)
        self._at_ms = np.empty(0, np.int64)
        self._waiting: list[DecodedLabels] = []
        self.passed_over = 0

    def add(self, values: Sequence[bytes | None], timestamps_ms: Int64s) -> DecodedLabels:
        """Takes note of label records; returns what they say."""
        decoded = decode_labels(list(values), timestamps_ms, self._ids)
        self.passed_over += len(decoded.rejects)
        self._waiting.append(decoded)
        return decoded

    def __len__(self) -> int:
        self._settle()
        return len(self._low)

    def of(self, id_low: UInt64s) -> tuple[Bools, Bools]:
        """bool[n], of which events something is known, and bool[n], which of them are fraud."""
        self._settle()
        if not len(self._low):
            return np.zeros(len(id_low), np.bool_), np.zeros(len(id_low), np.bool_)
        place = np.minimum(np.searchsorted(self._low, id_low), len(self._low) - 1)
        known = self._low[place] == id_low
        return known, known & (self._fraud[place] == 1)

    def _settle(self) -> None:
        """Joins what has come: of several labels of an event the latest is believed; of two as late, fraud."""
        if not self._waiting:
            return
        rows = [np.flatnonzero(each.ok) for each in self._waiting]
        parts = list(zip(self._waiting, rows, strict=True))
        low = np.concatenate([self._low, *(each.low[ok] for each, ok in parts)])
        fraud = np.concatenate([self._fraud, *(each.fraud[ok] for each, ok in parts)])
        at_ms = np.concatenate([self._at_ms, *(each.labelled_at_ms[ok] for each, ok in parts)])
        order = np.lexsort((fraud, at_ms, low))
        last = np.append(low[order][1:] != low[order][:-1], True) if len(order) else np.empty(0, np.bool_)
        kept = order[last]
        self._low, self._fraud, self._at_ms = low[kept], fraud[kept], at_ms[kept]
        self._waiting = []
