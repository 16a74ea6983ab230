"""What a threshold costs: reviews, and frauds that nobody looks at."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class CostCurve(NamedTuple):
    """Thresholds and what they cost; events with that score or more are reviewed.

    Attributes:
        threshold: float64[k], descending; the first is above every score.
        reviews: int64[k], how many events are reviewed.
        missed: float64[k], the loss from frauds that are not.
        cost: float64[k], reviews and losses together.
    """

    threshold: Floats
    reviews: Int64s
    missed: Floats
    cost: Floats

    @property
    def cheapest(self) -> int:
        """The place of the threshold that costs least; of equal ones the highest."""
        return int(np.argmin(self.cost))


def cost_curve(score: Floats, fraud: Bools, loss: Floats, investigation: float) -> CostCurve:
    """What each threshold costs.

    Args:
        score: float64[n].
        fraud: bool[n], the truth.
        loss: float64[n], what is lost where the event is a fraud that is not reviewed.
        investigation: What one review costs.
    """
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(ordered) else np.empty(0, np.int64)
    caught = np.cumsum(np.where(fraud, loss, 0.0)[order])
    total = float(caught[-1]) if len(caught) else 0.0
    reviews = np.concatenate([[0], last + 1]).astype(np.int64)
    missed = total - np.concatenate([[0.0], caught[last]])
    above = np.nextafter(ordered[0], np.inf) if len(ordered) else 1.0
    threshold = np.concatenate([[above], ordered[last]])
    return CostCurve(threshold, reviews, missed, missed + investigation * reviews)
