"""The world's cities with their coordinates, and the distances between them.

The table is `schema/cities.csv`, drawn from GeoNames (geonames.org, CC BY 4.0); the decoder places city names with
the same file, so what the simulator calls impossible is impossible for the features too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
import polars as pl
from numpy.typing import NDArray

EARTH_RADIUS_KM = 6371.0088
FAR_KM = 2_000.0
NEAR_CITIES = 8


@dataclass(frozen=True)
class Places:
    """The cities, largest first.

    Attributes:
        names: City names, unique.
        lat: Latitude in degrees, float64 [n].
        lon: Longitude in degrees, float64 [n].
        population: Inhabitants, float64 [n].
        distance_km: Great-circle distances, float64 [n, n].
        near: For each city the nearest others, int64 [n, NEAR_CITIES].
    """

    names: list[str]
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    population: NDArray[np.float64]
    distance_km: NDArray[np.float64]
    near: NDArray[np.int64]

    def far_from(self, city: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
        """For each city, one at random of those more than FAR_KM away."""
        score = rng.random((len(city), len(self.names)))
        score[self.distance_km[city] <= FAR_KM] = -1.0
        far: NDArray[np.int32] = score.argmax(axis=1).astype(np.int32)
        return far


def haversine_km(
    lat1: NDArray[np.float64], lon1: NDArray[np.float64], lat2: NDArray[np.float64], lon2: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Great-circle distance between points given in degrees, by the haversine formula; arrays broadcast."""
    phi1, phi2 = np.radians(lat1), np.radians(lat2)
    half_chord = np.sin((phi2 - phi1) / 2) ** 2 + np.cos(phi1) * np.cos(phi2) * np.sin(np.radians(lon2 - lon1) / 2) ** 2
    distance: NDArray[np.float64] = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(half_chord))
    return distance


@lru_cache(maxsize=1)
def load_places() -> Places:
    """The built-in table of cities."""
    table = pl.read_csv((files("fraudstream.schema") / "cities.csv").read_bytes())
    lat, lon = table["lat"].to_numpy(), table["lon"].to_numpy()
    distance_km = haversine_km(lat[:, None], lon[:, None], lat[None, :], lon[None, :])
    return Places(
        names=table["city"].to_list(),
        lat=lat,
        lon=lon,
        population=table["population"].cast(pl.Float64).to_numpy(),
        distance_km=distance_km,
        near=distance_km.argsort(axis=1, kind="stable")[:, 1 : NEAR_CITIES + 1],
    )
