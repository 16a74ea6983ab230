"""Great-circle distance, compiled so that every machine calls the same scalar sine and cosine."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

EARTH_RADIUS_KM = 6371.0088
"""The mean radius (IUGG)."""


@njit(cache=True, nogil=True)
def distances_km(lat1, lon1, lat2, lon2):
    """float64[n], the haversine distance between two places given in degrees; NaN where a coordinate is NaN."""
    distances = np.empty(lat1.shape[0], np.float64)
    for row in range(lat1.shape[0]):
        p1, p2 = math.radians(lat1[row]), math.radians(lat2[row])
        half_p = math.sin((p2 - p1) / 2)
        half_l = math.sin((math.radians(lon2[row]) - math.radians(lon1[row])) / 2)
        a = half_p * half_p + math.cos(p1) * math.cos(p2) * (half_l * half_l)
        distances[row] = 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, a)))
    return distances
