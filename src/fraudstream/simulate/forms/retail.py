"""Retail purchases with the customer's name, home, place of purchase and device."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fraudstream.simulate.forms.form import Form
from fraudstream.simulate.forms.names import people, user_ids, user_keys
from fraudstream.simulate.forms.text import iso_text
from fraudstream.simulate.rows import Rows
from fraudstream.simulate.world import DEVICES, World


def _columns(world: World, rows: Rows, numbers: NDArray[np.int64], rng: np.random.Generator) -> pl.DataFrame:
    raw = pl.DataFrame({"number": numbers, "at": rows.at_ms})
    person = people(world)[rows.customer]
    cities = pl.Series(world.places.names)
    return raw.select(
        user_id=user_ids(world)[0].gather(rows.customer),
        transaction_id=pl.format("tx-{}", pl.col("number")),
        timestamp=iso_text(pl.col("at")),
        first_name=person["first_name"],
        last_name=person["last_name"],
        email=person["email"],
        location=cities.gather(world.home[rows.customer]),
        transaction_location=cities.gather(rows.city),
        amount=pl.Series(rows.amount_minor / 100),
        device=pl.Series(DEVICES).gather(rows.device),
    )


RETAIL = Form(
    name="retail",
    topic="transactions-data",
    id_column="transaction_id",
    columns=_columns,
    keys=user_keys,
)
