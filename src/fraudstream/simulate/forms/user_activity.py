"""What users do where: the location is a city's name, or for some events coordinates near it."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fraudstream.simulate.forms.form import Form
from fraudstream.simulate.forms.names import user_ids, user_keys
from fraudstream.simulate.forms.text import iso_text
from fraudstream.simulate.rows import Rows
from fraudstream.simulate.world import World

COORDINATES_SHARE = 0.2
_JITTER_DEGREES = 0.05


def _columns(world: World, rows: Rows, numbers: NDArray[np.int64], rng: np.random.Generator) -> pl.DataFrame:
    """Columns as in the JSON, but `location` (city or null) beside `location_lat` and `location_lon` (or null)."""
    coordinates = rng.random(len(rows)) < COORDINATES_SHARE
    jitter = rng.uniform(-_JITTER_DEGREES, _JITTER_DEGREES, (2, len(rows)))
    raw = pl.DataFrame(
        {
            "at": rows.at_ms,
            "coordinates": coordinates,
            "lat": np.round(world.places.lat[rows.city] + jitter[0], 4),
            "lon": np.round(world.places.lon[rows.city] + jitter[1], 4),
        }
    )
    return raw.select(
        user_id=user_ids(world)[0].gather(rows.customer),
        amount=pl.Series(rows.amount_minor / 100),
        location=pl.when(~pl.col("coordinates")).then(pl.Series(world.places.names).gather(rows.city)),
        location_lat=pl.when("coordinates").then("lat"),
        location_lon=pl.when("coordinates").then("lon"),
        timestamp=iso_text(pl.col("at")),
    )


def _encode(frame: pl.DataFrame) -> list[bytes]:
    """The location changes its type from event to event, which no column can: it is put together as text."""
    cities = frame["location"].unique().drop_nulls()
    quoted = pl.Series([json.dumps(city, ensure_ascii=False) for city in cities], dtype=pl.String)
    by_name = pl.col("location").replace_strict(cities, quoted, default=None, return_dtype=pl.String)
    by_degrees = pl.concat_str(pl.lit('{"lat":'), "location_lat", pl.lit(',"lon":'), "location_lon", pl.lit("}"))
    lines = frame.select(
        pl.concat_str(
            pl.lit('{"user_id":"'),
            "user_id",
            pl.lit('","amount":'),
            "amount",
            pl.lit(',"location":'),
            pl.coalesce(by_name, by_degrees),
            pl.lit(',"timestamp":"'),
            "timestamp",
            pl.lit('"}'),
        )
    ).to_series()
    return [line.encode() for line in lines.to_list()]


USER_ACTIVITY = Form(
    name="user-activity",
    topic="user-activity",
    id_column=None,
    columns=_columns,
    keys=user_keys,
    encode=_encode,
)
