"""Labels come late: what an event really was is known days after it, on a topic of its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fraudstream.simulate.forms.text import json_lines

NEVER = 2**62
_STREAM = 92


class DueLabels(NamedTuple):
    """Labels whose time has come, as records."""

    values: list[bytes]
    keys: list[bytes]


class LabelQueue:
    """Labels that wait for their time.

    A label is `{"event_id", "label": "fraud" | "legitimate", "event_at", "labelled_at", "source"}`, instants in epoch
    milliseconds, keyed by the event id.

    Args:
        delay_ms: The mean delay; each label's own lies at half of it or later (a gamma distribution).
        seed: Of the delays.
        source: Who says so.
        label_all: Also label what is legitimate.
    """

    def __init__(self, delay_ms: int, seed: int, source: str, *, label_all: bool = False) -> None:
        self._delay_ms = delay_ms
        self._rng = np.random.default_rng([seed, _STREAM])
        self._source = source
        self._label_all = label_all
        self._waiting: pl.DataFrame | None = None
        self.next_at_ms = NEVER

    def __len__(self) -> int:
        return 0 if self._waiting is None else len(self._waiting)

    def add(self, ids: pl.Series, event_at_ms: NDArray[np.int64], is_fraud: NDArray[np.bool_]) -> None:
        """Takes note of events; their labels become due later."""
        which = np.arange(len(ids)) if self._label_all else np.flatnonzero(is_fraud)
        delay_ms = self._delay_ms * (0.5 + self._rng.gamma(4.0, 0.125, len(which)))
        if not len(which):
            return
        new = pl.DataFrame(
            {
                "event_id": ids.gather(which),
                "label": pl.Series(["legitimate", "fraud"]).gather(is_fraud[which].astype(np.int64)),
                "event_at": event_at_ms[which],
                "labelled_at": event_at_ms[which] + delay_ms.astype(np.int64),
                "source": pl.repeat(self._source, len(which), eager=True),
            }
        )
        waiting = new if self._waiting is None else pl.concat([self._waiting, new])
        self._waiting = waiting.sort("labelled_at", maintain_order=True)
        self.next_at_ms = self._waiting.item(0, "labelled_at")

    def due(self, now_ms: int) -> DueLabels:
        """Labels whose time is at or before this instant, in the order of their times; each is given out once."""
        if self._waiting is None or now_ms < self.next_at_ms:
            return DueLabels([], [])
        count = int(self._waiting["labelled_at"].search_sorted(now_ms, side="right"))
        ready, rest = self._waiting.head(count), self._waiting.slice(count)
        self._waiting = rest
        self.next_at_ms = rest.item(0, "labelled_at") if len(rest) else NEVER
        return DueLabels(json_lines(ready), [str(event_id).encode() for event_id in ready["event_id"].to_list()])
