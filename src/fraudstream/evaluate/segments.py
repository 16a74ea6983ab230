"""How well alerts do in parts of the traffic."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Segments(NamedTuple):
    """Counts of k segments, int64[k] each: their events, frauds, alerts, and alerts that were right."""

    events: Int64s
    frauds: Int64s
    alerts: Int64s
    right: Int64s


def count_segments(segment: Int64s, count: int, fraud: Bools, alert: Bools) -> Segments:
    """The counts of segments.

    Args:
        segment: int64[n], which of `count` segments each event is in; -1: none.
        count: How many there are.
        fraud: bool[n], the truth.
        alert: bool[n].
    """
    inside = segment >= 0

    def number(chosen: Bools) -> Int64s:
        return np.bincount(segment[inside & chosen], minlength=count).astype(np.int64)

    return Segments(number(inside), number(fraud), number(alert), number(alert & fraud))
