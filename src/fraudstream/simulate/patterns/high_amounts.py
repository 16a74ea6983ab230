"""A stolen card is used for purchases far above what its owner spends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudstream.simulate.patterns.pattern import HOUR_MS, MINUTE_MS, Pattern, victims_events
from fraudstream.simulate.rows import Rows
from fraudstream.simulate.world import World

LOWEST_MINOR = 90_000


def _make(world: World, rng: np.random.Generator, starts_ms: NDArray[np.int64]) -> Rows:
    rows = victims_events(world, rng, starts_ms, rng.integers(1, 4, len(starts_ms)), (10 * MINUTE_MS, 6 * HOUR_MS))
    factor = rng.uniform(8.0, 25.0, len(rows))
    above = np.rint(world.mean_amount[rows.customer] * factor * 100).astype(np.int64)
    rows.amount_minor = np.maximum(above, LOWEST_MINOR + rng.integers(0, 60_000, len(rows)))
    return rows


HIGH_AMOUNTS = Pattern("high_amounts", "one to three purchases of 900 and more, 8 to 25 times the usual", 2.0, _make)
