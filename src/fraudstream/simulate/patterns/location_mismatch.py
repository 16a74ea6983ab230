"""A purchase in a city thousands of kilometres from the customer's home."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudstream.simulate.patterns.pattern import Pattern, one_each, victims_events
from fraudstream.simulate.rows import Rows
from fraudstream.simulate.world import World


def _make(world: World, rng: np.random.Generator, starts_ms: NDArray[np.int64]) -> Rows:
    rows = victims_events(world, rng, starts_ms, one_each(starts_ms), (0, 0))
    rows.city = world.places.far_from(world.home[rows.customer], rng)
    rows.amount_minor = (rows.amount_minor * rng.uniform(1.5, 4.0, len(rows))).astype(np.int64)
    return rows


LOCATION_MISMATCH = Pattern("location_mismatch", "a purchase in a city more than 2,000 km from home", 1.0, _make)
