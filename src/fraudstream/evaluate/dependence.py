"""How scores move with one input, all else as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]


_SHARES = np.array([0, 0.001, 0.01, 0.02, *np.linspace(0.05, 0.95, 19), 0.97, 0.98, 0.99, 0.995, 0.998, 0.999, 1])


class Dependence(NamedTuple):
    """The partial dependence on one input.

    Attributes:
        value: float64[k], rising: what the input is set to.
        mean: float64[k]: the mean score of all events then.
    """

    value: Floats
    mean: Floats


def telling_values(seen: Floats) -> Floats:
    """float64[k], rising: values that an input has, from all over its range, closer together at its ends.

    Frauds are rare, and where they differ is often beyond what nearly all events have.

    Args:
        seen: float64[n], the input's values; NaN is left out.
    """
    known = seen[~np.isnan(seen)]
    return np.unique(np.quantile(known, _SHARES, method="nearest")) if len(known) else known


def partial_dependence(predict: Callable[[Matrix], Floats], rows: Matrix, column: int, values: Floats) -> Dependence:
    """The mean score where an input is set to each of some values (Friedman, "Greedy Function Approximation", 2001).

    Args:
        predict: Scores, float64[m], of float32[m, inputs].
        rows: float32[n, inputs], events to average over.
        column: Which input.
        values: float64[k], what it is set to.
    """
    changed = np.tile(rows, (len(values), 1))
    changed[:, column] = np.repeat(values.astype(np.float32), len(rows))
    return Dependence(values, predict(changed).reshape(len(values), len(rows)).mean(axis=1))
