"""How many events happen when: evenly, or with the rhythm of day and night."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_DAY_MS = 86_400_000
_SWING = 0.7
_QUIETEST_MS = 4 * 3_600_000
_GRID = 400


class Tempo:
    """The intensity of a stream over event time.

    Args:
        start_at_ms: Where the stream begins.
        per_ms: The mean number of events a millisecond.
        daily_rhythm: Follow a daily wave (UTC) with its low at 4 h and its high at 16 h; otherwise even.
    """

    def __init__(self, start_at_ms: int, per_ms: float, *, daily_rhythm: bool) -> None:
        self._start_at_ms = start_at_ms
        self._per_ms = per_ms
        self._swing = _SWING if daily_rhythm else 0.0

    def events_until(self, at_ms: int) -> int:
        """How many events there are from the start to this instant."""
        return round(self._per_ms * (self._risen(at_ms) - self._risen(self._start_at_ms)))

    def instants(self, rng: np.random.Generator, count: int, from_ms: int, until_ms: int) -> NDArray[np.int64]:
        """Event times within [from_ms, until_ms), ascending: one at random in each of `count` equal shares."""
        shares = (np.arange(count) + rng.random(count)) / max(count, 1)
        if self._swing:
            grid = np.linspace(from_ms, until_ms, _GRID)
            risen = np.array([self._risen(float(at)) for at in grid])
            at = np.interp(risen[0] + shares * (risen[-1] - risen[0]), risen, grid)
        else:
            at = from_ms + shares * (until_ms - from_ms)
        instants: NDArray[np.int64] = np.minimum(at.astype(np.int64), until_ms - 1)
        return instants

    def _risen(self, at_ms: float) -> float:
        """The integral of the intensity, in milliseconds of mean intensity."""
        wave = 2 * math.pi / _DAY_MS
        return at_ms - self._swing / wave * math.sin(wave * (at_ms - _QUIETEST_MS))
