"""Payments at terminals, written like the fraud detection handbook's data."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fraudstream.simulate.forms.form import Form
from fraudstream.simulate.forms.text import datetime_text, json_lines
from fraudstream.simulate.rows import Rows
from fraudstream.simulate.world import World


def _columns(world: World, rows: Rows, numbers: NDArray[np.int64], rng: np.random.Generator) -> pl.DataFrame:
    raw = pl.DataFrame({"at": rows.at_ms})
    return raw.select(
        TRANSACTION_ID=pl.Series(numbers),
        TX_DATETIME=pl.col("at").cast(pl.Datetime("ms")),
        CUSTOMER_ID=pl.Series(rows.customer),
        TERMINAL_ID=pl.Series(rows.terminal),
        TX_AMOUNT=pl.Series(rows.amount_minor / 100),
    )


def _encode(frame: pl.DataFrame) -> list[bytes]:
    return json_lines(frame.with_columns(datetime_text(pl.col("TX_DATETIME"))))


TERMINAL_PAYMENTS = Form(
    name="terminal-payments",
    topic="terminal-transactions",
    id_column="TRANSACTION_ID",
    columns=_columns,
    keys=lambda world, rows: [b"%d" % customer for customer in rows.customer.tolist()],
    encode=_encode,
)
