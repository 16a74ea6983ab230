"""Where cities are, as the decoder knows it, said plainly: a location's name gives it coordinates."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files


@cache
def coordinates_of_cities() -> dict[str, tuple[float, float]]:
    """Latitude and longitude by name; of several cities with one name, those of the one with most inhabitants."""
    text = (files("fraudstream.schema") / "cities.csv").read_text(encoding="utf-8")
    places: dict[str, tuple[float, float]] = {}
    for row in sorted(csv.DictReader(text.splitlines()), key=lambda row: -float(row["population"] or 0)):
        for name in (row["city"], row["city"].lower(), row["city"].upper(), row["city"].title()):
            places.setdefault(name, (float(row["lat"]), float(row["lon"])))
    return places
