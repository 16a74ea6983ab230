"""Account takeover: purchases from a kind of device the customer does not use, above her usual amounts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudstream.simulate.patterns.pattern import MINUTE_MS, Pattern, victims_events
from fraudstream.simulate.rows import Rows
from fraudstream.simulate.world import DEVICES, World


def _make(world: World, rng: np.random.Generator, starts_ms: NDArray[np.int64]) -> Rows:
    sizes = rng.integers(1, 5, len(starts_ms))
    rows = victims_events(world, rng, starts_ms, sizes, (MINUTE_MS, 40 * MINUTE_MS))
    victim = rows.customer[np.cumsum(sizes) - sizes]
    chance = rng.random((len(starts_ms), len(DEVICES)))
    incident = np.arange(len(starts_ms))
    chance[incident, world.device[victim]] = -1.0
    chance[incident, world.second_device[victim]] = -1.0
    rows.device = np.repeat(chance.argmax(axis=1), sizes).astype(np.int32)
    rows.amount_minor = (rows.amount_minor * rng.uniform(2.0, 6.0, len(rows))).astype(np.int64)
    return rows


NEW_DEVICE = Pattern(
    "new_device", "1 to 4 purchases of 2 to 6 times the usual from a kind of device never used", 2.5, _make
)
