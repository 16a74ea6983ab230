"""A terminal is compromised for days: every transaction at it is fraud, and looks like any other.

Unlike the other patterns this one adds no events, it turns the ordinary ones at the terminal into fraud; what gives
it away is only the terminal's history of labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudstream.simulate.rows import ORDINARY, Rows
from fraudstream.simulate.world import DAY_MS, World

NAME = "terminal_compromise"
WHAT = "every transaction at a terminal is fraud for 3 to 9 days"
SHORTEST_DAYS, LONGEST_DAYS = 3, 9
_STREAM = 77


class Compromises:
    """Which terminals are compromised when.

    On each day of the calendar as many terminals fall as keep the wanted share compromised. Whatever began before
    the run and still lasts is there from its first event.
    """

    def __init__(self, world: World, seed: int, share: float) -> None:
        self._world = world
        self._seed = seed
        self._falls_per_day = share * world.terminals / ((SHORTEST_DAYS + LONGEST_DAYS) / 2)
        self._days: dict[int, tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = {}

    def mark(self, rows: Rows, code: int) -> None:
        """Turns the ordinary rows at compromised terminals into fraud of this pattern's code, in place."""
        if not len(rows):
            return
        first_day, last_day = int(rows.at_ms.min()) // DAY_MS, int(rows.at_ms.max()) // DAY_MS
        fallen = [self._fallen_on(day) for day in range(first_day - LONGEST_DAYS, last_day + 1)]
        terminal, from_ms, until_ms = (np.concatenate(part) for part in zip(*fallen, strict=True))
        episode = np.concatenate(
            [day * 1_000_000 + np.arange(len(f[0])) for day, f in enumerate(fallen, first_day - LONGEST_DAYS)]
        )
        # Few terminals are compromised at once: go through those, over only the rows at any of them.
        compromised = np.zeros(self._world.terminals, bool)
        compromised[terminal] = True
        touched = np.flatnonzero(compromised[rows.terminal] & (rows.pattern == ORDINARY))
        by_terminal = touched[np.argsort(rows.terminal[touched], kind="stable")]
        places = rows.terminal[by_terminal]
        for t, start, end, incident in zip(terminal, from_ms, until_ms, episode, strict=True):
            here = by_terminal[np.searchsorted(places, t) : np.searchsorted(places, t, side="right")]
            hit = here[(rows.at_ms[here] >= start) & (rows.at_ms[here] < end)]
            rows.is_fraud[hit] = True
            rows.pattern[hit] = code
            rows.episode[hit] = incident

    def _fallen_on(self, day: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Terminals that fall on that day since 1970, from when until when."""
        if day not in self._days:
            rng = np.random.default_rng([self._seed, _STREAM, day])
            count = rng.poisson(self._falls_per_day)
            from_ms = day * DAY_MS + rng.integers(0, DAY_MS, count)
            lasts_ms = rng.integers(SHORTEST_DAYS * DAY_MS, LONGEST_DAYS * DAY_MS, count)
            self._days[day] = (rng.integers(0, self._world.terminals, count), from_ms, from_ms + lasts_ms)
        return self._days[day]
