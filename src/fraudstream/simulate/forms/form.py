"""What an event form is: the columns of its events, their JSON, and the key of its records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fraudstream.simulate.forms.text import json_lines
from fraudstream.simulate.rows import Rows
from fraudstream.simulate.world import World


@dataclass(frozen=True)
class Form:
    """A form that simulated events take.

    Attributes:
        name: The reference pipeline that reads it.
        topic: Where its events go unless said otherwise.
        id_column: The column of `columns` that identifies an event; None where events have no id.
        columns: From events, their running numbers (int64) and a source of chance to a frame, one column a JSON key.
        keys: The record key of each event, UTF-8.
        encode: From that frame to one JSON text an event.
    """

    name: str
    topic: str
    id_column: str | None
    columns: Callable[[World, Rows, NDArray[np.int64], np.random.Generator], pl.DataFrame]
    keys: Callable[[World, Rows], list[bytes]]
    encode: Callable[[pl.DataFrame], list[bytes]] = json_lines
