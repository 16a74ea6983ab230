"""Counts of values by size, added a batch at a time: what native histograms of client libraries cannot do quickly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Edges for durations, from a millisecond to a minute."""


class Counted(NamedTuple):
    """A histogram at one moment.

    Attributes:
        cumulative: For each edge how many values were not above it; the last is the number of all values.
        total: The sum of all values.
    """

    cumulative: list[int]
    total: float


class Histogram:
    """One thread adds, any thread may read.

    Args:
        edges: The greatest value of each bucket, ascending; greater ones are counted in one more bucket.
    """

    def __init__(self, edges: Sequence[float]) -> None:
        self.edges = tuple(edges)
        self._edges = np.array(edges, np.float64)
        self._counts = np.zeros(len(edges) + 1, np.int64)
        self._total = 0.0

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Counts float64[n]; what is not a number is left out."""
        values = values[~np.isnan(values)]
        buckets = np.searchsorted(self._edges, values, side="left")
        self._counts += np.bincount(buckets, minlength=len(self._counts))
        self._total += float(values.sum())

    def add_one(self, value: float) -> None:
        """Counts one value."""
        self._counts[np.searchsorted(self._edges, value, side="left")] += 1
        self._total += value

    def read(self) -> Counted:
        """What was counted so far."""
        return Counted(np.cumsum(self._counts).tolist(), self._total)
