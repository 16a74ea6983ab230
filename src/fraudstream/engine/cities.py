"""Cities' coordinates: what gives a location known by its city's name a place on the globe."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from fraudstream.engine.column import Column, Floats, Int64s, UInt64s
from fraudstream.engine.kernels.fingerprint import fingerprints


@dataclass(frozen=True, slots=True)
class Cities:
    """The cities of `schema/cities.csv` by their names' fingerprints.

    A name is found as it stands in the file, in lower case, in upper case and in title case. Where several cities share
    a name, it means the one with most inhabitants.

    Attributes:
        low: uint64[m], ascending: the low halves of the fingerprints.
        high: uint64[m]: the high halves.
        lat: float64[m]: degrees north.
        lon: float64[m]: degrees east.
    """

    low: UInt64s
    high: UInt64s
    lat: Floats
    lon: Floats

    def locate(self, name: Column) -> Int64s:
        """int64[n]: each name's place in the table, or -1 where it is unknown or null."""
        high = name.high
        assert high is not None, "a location's name is a string column"
        place = np.minimum(np.searchsorted(self.low, name.values.view(np.uint64)), len(self.low) - 1)
        known = (self.low[place] == name.values) & (self.high[place] == high)
        if name.valid is not None:
            known &= name.valid
        return np.where(known, place, -1)

    def fill(self, name: Column, lat: Column, lon: Column) -> None:
        """Give a location's rows that have a known city's name, and neither coordinate, the city's coordinates."""
        if lat.valid is None or lon.valid is None:
            return
        place = self.locate(name)
        rows = np.flatnonzero((place >= 0) & ~lat.valid & ~lon.valid)
        lat.values[rows] = self.lat[place[rows]]
        lon.values[rows] = self.lon[place[rows]]
        lat.valid[rows] = lon.valid[rows] = True


@cache
def known_cities() -> Cities:
    """The cities that come with the package; read once a process."""
    text = (files("fraudstream.schema") / "cities.csv").read_text(encoding="utf-8")
    rows = sorted(csv.DictReader(text.splitlines()), key=lambda row: -float(row["population"] or 0))
    places: dict[bytes, tuple[float, float]] = {}
    for row in rows:
        city, place = row["city"], (float(row["lat"]), float(row["lon"]))
        for spelling in (city, city.lower(), city.upper(), city.title()):
            places.setdefault(spelling.encode(), place)
    low, high = fingerprints(list(places))
    order = np.argsort(low)
    coordinates = np.array(list(places.values()))[order]
    return Cities(low[order], high[order], coordinates[:, 0].copy(), coordinates[:, 1].copy())
