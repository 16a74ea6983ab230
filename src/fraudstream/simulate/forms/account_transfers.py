"""Transfers between accounts, with neither id nor time of their own."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fraudstream.simulate.forms.form import Form
from fraudstream.simulate.forms.names import accounts, keys_of
from fraudstream.simulate.rows import Rows
from fraudstream.simulate.world import CURRENCIES, World


def _columns(world: World, rows: Rows, numbers: NDArray[np.int64], rng: np.random.Generator) -> pl.DataFrame:
    names = accounts(world)[0]
    return pl.DataFrame(
        {
            "source": names.gather(rows.customer),
            "target": names.gather(rows.payee),
            "amount": rows.amount_minor / 100,
            "currency": pl.Series(CURRENCIES).gather(world.currency[rows.customer]),
        }
    )


ACCOUNT_TRANSFERS = Form(
    name="account-transfers",
    topic="queueing.transactions",
    id_column=None,
    columns=_columns,
    keys=lambda world, rows: keys_of(accounts(world)[1], rows.customer),
)
