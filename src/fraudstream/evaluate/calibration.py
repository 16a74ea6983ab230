"""Whether scores can be read as probabilities."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Calibration(NamedTuple):
    """Events in groups of like probability.

    Attributes:
        predicted: float64[k], the mean probability of each group, ascending.
        observed: float64[k], its share of frauds.
        events: int64[k], how many events it has.
        brier: The mean squared difference between probability and truth (Brier 1950).
        error: The mean difference between predicted and observed, weighted by events.
    """

    predicted: Floats
    observed: Floats
    events: npt.NDArray[np.int64]
    brier: float
    error: float


def calibrate(probability: Floats, fraud: Bools, groups: int = 20) -> Calibration:
    """Compares probabilities with what happened.

    Groups hold equally many *frauds* rather than events: nearly all events are far from any threshold, and groups of
    equal size would say nothing about those that matter.

    Args:
        probability: float64[n], in 0…1.
        fraud: bool[n], the truth.
        groups: How many at most.
    """
    order = np.argsort(probability, kind="stable")
    predicted, real = probability[order], fraud[order]
    seen = np.cumsum(real)
    edges = np.searchsorted(seen, np.linspace(0, seen[-1] if len(seen) else 0, groups + 1)[1:-1], side="left") + 1
    starts = np.unique(np.concatenate([[0], edges[edges < len(real)]])).astype(np.int64)
    events = np.diff(np.append(starts, len(real)))
    sums = [np.add.reduceat(values.astype(np.float64), starts) for values in (predicted, real)]
    mean, share = (total / events for total in sums)
    brier = float(np.mean((predicted - real) ** 2))
    error = float(np.sum(np.abs(mean - share) * events) / len(real))
    return Calibration(mean, share, events.astype(np.int64), brier, error)
