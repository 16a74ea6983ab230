"""Cash-like purchases of round amounts, hundreds exactly, several within a day."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudstream.simulate.patterns.pattern import HOUR_MS, MINUTE_MS, Pattern, victims_events
from fraudstream.simulate.rows import Rows
from fraudstream.simulate.world import World


def _make(world: World, rng: np.random.Generator, starts_ms: NDArray[np.int64]) -> Rows:
    rows = victims_events(world, rng, starts_ms, rng.integers(2, 6, len(starts_ms)), (5 * MINUTE_MS, 4 * HOUR_MS))
    rows.amount_minor = rng.choice(np.array([10_000, 20_000, 30_000, 50_000, 80_000]), len(rows))
    return rows


ROUND_AMOUNTS = Pattern(
    "round_amounts", "2 to 5 purchases of exactly 100, 200, 300, 500 or 800 within a day", 3.5, _make
)
