"""What a fraud pattern is: a function from the instants its incidents begin to the events they consist of."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudstream.simulate.rows import Rows
from fraudstream.simulate.world import World

MINUTE_MS = 60_000
HOUR_MS = 3_600_000


class Pattern(NamedTuple):
    """A kind of fraud that adds events to the ordinary traffic.

    Attributes:
        name: As in `--fraud NAME=SHARE` and in the truth.
        what: What happens, for the documentation.
        fraud_events: The mean number of fraudulent events of an incident; turns a share into a rate of incidents.
        make: Events of all incidents that begin at the given instants, with `is_fraud` and `episode` set, the
            episodes counted from 0. Events lie at or after the beginning of their incident.
    """

    name: str
    what: str
    fraud_events: float
    make: Callable[[World, np.random.Generator, NDArray[np.int64]], Rows]


def victims_events(
    world: World,
    rng: np.random.Generator,
    starts_ms: NDArray[np.int64],
    sizes: NDArray[np.int64],
    gap_ms: tuple[int, int],
) -> Rows:
    """Fraudulent events in a row on one card each of one victim an incident, otherwise like the victim's own.

    Args:
        world: The cast.
        rng: Source of chance.
        starts_ms: When each incident begins.
        sizes: How many events each incident has, at least 1.
        gap_ms: Shortest and longest time between two events of an incident.
    """
    victim = np.repeat(world.pick_customers(rng, len(starts_ms)), sizes)
    episode = np.repeat(np.arange(len(starts_ms)), sizes)
    gaps = rng.integers(gap_ms[0], gap_ms[1] + 1, len(victim))
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    elapsed = np.cumsum(gaps)
    rows = world.ordinary(rng, np.repeat(starts_ms, sizes) + elapsed - elapsed[first], victim)
    rows.card = rows.card[first]
    rows.is_fraud[:] = True
    rows.episode = episode
    return rows


def one_each(starts_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sizes of incidents of a single event."""
    return np.ones(len(starts_ms), np.int64)
