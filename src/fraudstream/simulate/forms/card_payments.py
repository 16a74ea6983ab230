"""Card payments with the principal components V1…V28 of features the bank keeps to itself."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fraudstream.simulate.forms.form import Form
from fraudstream.simulate.forms.names import card_hashes, keys_of
from fraudstream.simulate.forms.text import iso_text
from fraudstream.simulate.patterns.catalog import NAMES
from fraudstream.simulate.rows import Rows
from fraudstream.simulate.world import CATEGORIES, World

COMPONENTS = 28
SPREAD = np.linspace(1.95, 0.33, COMPONENTS)
"""Standard deviations fall from the first component to the last, as they do in the ULB card data."""
_SHIFTED = 9
_SHIFT = 1.6


@lru_cache(maxsize=1)
def _shifts() -> NDArray[np.float64]:
    """Where each pattern's events lie, in standard deviations: a few components of its own, [patterns, 28]."""
    shifts = np.zeros((len(NAMES), COMPONENTS))
    for code in range(1, len(NAMES)):
        rng = np.random.default_rng([28, code])
        shifts[code, rng.choice(COMPONENTS, _SHIFTED, replace=False)] = rng.choice([-_SHIFT, _SHIFT], _SHIFTED)
    return shifts


def components(rows: Rows, rng: np.random.Generator) -> NDArray[np.float64]:
    """V1…V28 with 6 decimals, float64 [28, n].

    Gaussian; fraud is moved towards its pattern's place by a strength of its own, from not at all to clearly, so a
    model can learn it and cannot be perfect.
    """
    values = rng.standard_normal((COMPONENTS, len(rows)))
    fraud = np.flatnonzero(rows.is_fraud)
    strength = rng.gamma(2.0, 0.5, len(fraud))
    values[:, fraud] += _shifts()[rows.pattern[fraud]].T * strength
    values *= SPREAD[:, None]
    values *= 1e6
    return np.divide(np.rint(values, out=values), 1e6, out=values)


def _columns(world: World, rows: Rows, numbers: NDArray[np.int64], rng: np.random.Generator) -> pl.DataFrame:
    raw = pl.DataFrame({"number": numbers, "at": rows.at_ms})
    known = raw.select(
        transaction_id=pl.format("tx-{}", pl.col("number")),
        card_hash=card_hashes(world)[0].gather(rows.card),
        amount=pl.Series(rows.amount_minor / 100),
        timestamp=iso_text(pl.col("at")),
        merchant_category=pl.Series(CATEGORIES).gather(world.category[rows.terminal]),
    )
    hidden = components(rows, rng)
    return known.with_columns([pl.Series(f"V{i + 1}", hidden[i]) for i in range(COMPONENTS)])


CARD_PAYMENTS = Form(
    name="card-payments",
    topic="transactions",
    id_column="transaction_id",
    columns=_columns,
    keys=lambda world, rows: keys_of(card_hashes(world)[1], rows.card),
)
