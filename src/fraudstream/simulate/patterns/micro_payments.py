"""Card testing: a few tiny payments to see whether the card works, then one big purchase."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudstream.simulate.patterns.pattern import MINUTE_MS, Pattern, victims_events
from fraudstream.simulate.rows import Rows
from fraudstream.simulate.world import World

HIGHEST_TEST_MINOR = 200


def _make(world: World, rng: np.random.Generator, starts_ms: NDArray[np.int64]) -> Rows:
    sizes = rng.integers(4, 8, len(starts_ms))
    rows = victims_events(world, rng, starts_ms, sizes, (20_000, 3 * MINUTE_MS))
    rows.amount_minor = rng.integers(10, HIGHEST_TEST_MINOR + 1, len(rows))
    big = np.cumsum(sizes) - 1
    rows.amount_minor[big] = rng.integers(40_000, 200_000, len(big))
    return rows


MICRO_PAYMENTS = Pattern(
    "micro_payments", "3 to 6 payments of at most 2.00 within minutes, then 400 to 2,000", 5.5, _make
)
