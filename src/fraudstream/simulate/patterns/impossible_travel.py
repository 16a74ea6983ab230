"""The customer pays at home, and minutes later her card is used where no aeroplane could have brought her."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudstream.simulate.patterns.pattern import MINUTE_MS, Pattern, one_each, victims_events
from fraudstream.simulate.rows import Rows, concatenate
from fraudstream.simulate.world import World


def _make(world: World, rng: np.random.Generator, starts_ms: NDArray[np.int64]) -> Rows:
    own = victims_events(world, rng, starts_ms, one_each(starts_ms), (0, 0))
    # More than 2,000 km within an hour at most: at least twice an airliner's speed.
    later_ms = starts_ms + rng.integers(5 * MINUTE_MS, 60 * MINUTE_MS + 1, len(starts_ms))
    stolen = world.ordinary(rng, later_ms, own.customer)
    stolen.city = world.places.far_from(own.city, rng)
    stolen.card = own.card
    stolen.amount_minor = (stolen.amount_minor * rng.uniform(1.0, 3.0, len(stolen))).astype(np.int64)
    stolen.is_fraud[:] = True
    stolen.episode = own.episode
    own.is_fraud[:] = False  # the customer's own purchase is what makes the other one impossible
    return concatenate([own, stolen])


IMPOSSIBLE_TRAVEL = Pattern(
    "impossible_travel", "a purchase more than 2,000 km from one the customer made within the last hour", 1.0, _make
)
