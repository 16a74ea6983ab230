"""How well scores order frauds before genuine events, whatever the threshold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Curve(NamedTuple):
    """What each threshold alerts on. Equal scores are alerted together, so there is one entry a distinct score.

    Attributes:
        threshold: float64[k], descending: events with this score or more are alerted.
        right: int64[k], how many of these are fraud.
        wrong: int64[k], how many are not.
    """

    threshold: Floats
    right: Int64s
    wrong: Int64s


def curve_of(score: Floats, fraud: Bools) -> Curve:
    """The curve of n scores, float64[n] without NaN, and the truth, bool[n]."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(ordered) else np.empty(0, np.int64)
    right = np.cumsum(fraud[order])[last].astype(np.int64)
    return Curve(ordered[last], right, last + 1 - right)


def auc_roc(curve: Curve) -> float:
    """The chance that a fraud scores above a genuine event, ties counting half; NaN without both kinds.

    The area under true against false positives by trapezoids (Fawcett 2006, algorithm 2).
    """
    if not len(curve.right) or not curve.right[-1] or not curve.wrong[-1]:
        return float("nan")
    right, wrong = (np.concatenate([[0], counts]).astype(np.float64) for counts in (curve.right, curve.wrong))
    area = np.sum(np.diff(wrong) * (right[1:] + right[:-1]) / 2)
    return float(area / (right[-1] * wrong[-1]))


def average_precision(curve: Curve) -> float:
    """The mean over frauds of the precision at the threshold that finds them; NaN without frauds.

    The sum of precision times the gain in recall, without interpolation (as scikit-learn defines it).
    """
    if not len(curve.right) or not curve.right[-1]:
        return float("nan")
    gained = np.diff(curve.right, prepend=0)
    return float(np.sum(gained * curve.right / (curve.right + curve.wrong)) / curve.right[-1])
