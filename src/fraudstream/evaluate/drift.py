"""Whether values are distributed as they were: the population stability index and the Kolmogorov–Smirnov distance.

Both compare two groups of values, such as a feature's in training and in the stream. What was in training is kept as a
`Reference`: a few numbers, however many values there were, so that it fits into a model's manifest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

BINS = 10
STABLE, SHIFTED = 0.1, 0.25
"""PSI below the first is no change worth a look, above the second a real one: the usual bounds of credit scoring."""
_LEAST_SHARE = 1e-4
"""An empty bin counts as this share: its logarithm would be infinite, and one event more or less would decide."""


class Reference(NamedTuple):
    """How values were distributed.

    Attributes:
        edges: float64[k], rising: bin i holds edges[i - 1] < value <= edges[i], the first and last bin are open.
        counts: int64[k + 2]: how many values each bin held; the last counts the nulls.
    """

    edges: Floats
    counts: Int64s


def reference_of(values: Floats, bins: int = BINS) -> Reference:
    """The distribution of some values, in bins of about equally many; of what often repeats, such as 0, one bin.

    Args:
        values: float64[n], null as NaN.
        bins: How many at most, beside that of nulls.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        edges = np.empty(0, np.float64)
    else:
        inner = np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf")
        edges = np.unique(inner[inner < known.max()])
        if not len(edges) and known.min() < known.max():
            edges = np.unique(known)[-2:-1]  # nearly all values are the greatest
    return Reference(edges, counts_of(values, edges))


def counts_of(values: Floats, edges: Floats) -> Int64s:
    """int64[k + 2]: how many of the values, float64[n], lie in the bins of k edges; the last counts NaN."""
    known = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    return np.append(counts, len(values) - len(known)).astype(np.int64)


def psi(expected: Int64s, actual: Int64s) -> float:
    """The population stability index of two groups counted in the same bins; NaN where one is empty.

    The sum over bins of (actual share - expected share) · ln(actual share / expected share), the symmetric
    Kullback–Leibler divergence (Siddiqi, "Credit Risk Scorecards", 2006).
    """
    if not expected.sum() or not actual.sum():
        return float("nan")
    shares = (np.maximum(counts / counts.sum(), _LEAST_SHARE) for counts in (expected, actual))
    before, now = shares
    return float(np.sum((now - before) * np.log(now / before)))


def ks_of_counts(expected: Int64s, actual: Int64s) -> float:
    """The greatest difference of the two cumulative shares at an edge of the bins, nulls left out; NaN where empty.

    Never more than `ks` of the values themselves.
    """
    known = (expected[:-1], actual[:-1])
    if not all(counts.sum() for counts in known):
        return float("nan")
    before, now = (np.cumsum(counts) / counts.sum() for counts in known)
    return float(np.abs(before - now).max())


def ks(expected: Floats, actual: Floats) -> float:
    """The two-sample Kolmogorov–Smirnov distance, 0 to 1: the greatest difference of the distribution functions.

    Args:
        expected: float64[n]; NaN is left out.
        actual: float64[m]; likewise.

    Returns:
        The distance; NaN where one of them holds no number.
    """
    before, now = (np.sort(values[~np.isnan(values)]) for values in (expected, actual))
    if not len(before) or not len(now):
        return float("nan")
    every = np.concatenate([before, now])
    shares = (np.searchsorted(values, every, side="right") / len(values) for values in (before, now))
    return float(np.abs(np.subtract(*shares)).max())
