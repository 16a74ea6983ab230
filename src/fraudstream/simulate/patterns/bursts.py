"""A stolen card is drained: many ordinary-looking purchases within a few minutes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudstream.simulate.patterns.pattern import Pattern, victims_events
from fraudstream.simulate.rows import Rows
from fraudstream.simulate.world import World


def _make(world: World, rng: np.random.Generator, starts_ms: NDArray[np.int64]) -> Rows:
    return victims_events(world, rng, starts_ms, rng.integers(8, 17, len(starts_ms)), (2_000, 20_000))


BURSTS = Pattern("bursts", "8 to 16 purchases on one card, 2 to 20 seconds apart", 12.0, _make)
