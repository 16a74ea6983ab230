"""Laundering through a mule: 50 transfers of exactly 1,000 from 50 accounts to one within 24 hours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudstream.simulate.patterns.pattern import HOUR_MS, MINUTE_MS, Pattern
from fraudstream.simulate.rows import Rows
from fraudstream.simulate.world import World

TRANSFERS = 50
AMOUNT_MINOR = 100_000
_SHORTEST_MS, _LONGEST_MS = MINUTE_MS, 20 * HOUR_MS


def _make(world: World, rng: np.random.Generator, starts_ms: NDArray[np.int64]) -> Rows:
    # One draw without repetition gives the mule and the 50 who pay, all different.
    people = [rng.choice(world.customers, TRANSFERS + 1, replace=False) for _ in starts_ms]
    cast = np.array(people, np.int32).reshape(len(starts_ms), TRANSFERS + 1)
    # As often minutes as hours, so that a short live run shows complete ones too.
    span_ms = np.exp(rng.uniform(np.log(_SHORTEST_MS), np.log(_LONGEST_MS), len(starts_ms)))
    after_ms = (rng.random((len(starts_ms), TRANSFERS)) * span_ms[:, None]).astype(np.int64)
    rows = world.ordinary(rng, (starts_ms[:, None] + after_ms).ravel(), cast[:, 1:].ravel())
    rows.payee = np.repeat(cast[:, 0], TRANSFERS)
    rows.amount_minor[:] = AMOUNT_MINOR
    rows.is_fraud[:] = True
    rows.episode = np.repeat(np.arange(len(starts_ms)), TRANSFERS)
    return rows


MULE_FAN_IN = Pattern("mule_fan_in", "50 transfers of exactly 1,000 from 50 accounts to one within 24 h", 50.0, _make)
