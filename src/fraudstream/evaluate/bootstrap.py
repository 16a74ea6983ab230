"""How far measures of a test could be elsewhere, had it held other events of the same kind."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fraudstream.evaluate.curves import Curve, auc_roc, average_precision

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

DRAWS = 200
_LOW, _HIGH = 2.5, 97.5


def bootstrap_intervals(
    score: Floats, fraud: Bools, threshold: float, group: npt.NDArray[np.uint64] | None, seed: int
) -> dict[str, tuple[float, float]]:
    """The middle 95 % of each measure over samples of the events.

    Whole groups (the events of one card) are drawn, since events of a group are not independent: each as often as a
    Poisson number with mean 1 says, which for many groups is drawing with replacement (Chamandy et al. 2012).

    Args:
        score: float64[n] without NaN.
        fraud: bool[n], the truth, both kinds.
        threshold: The score that alerts.
        group: uint64[n], a number for each event's group; None: each event is its own.
        seed: Of the draws.

    Returns:
        Of `auc_roc`, `average_precision`, `precision`, `recall` and `alert_share` the 2.5th and 97.5th percentiles;
        without those that some sample cannot give.
    """
    order = np.argsort(-score, kind="stable")
    ordered, real = score[order], fraud[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    alerted = int(np.searchsorted(-ordered[last], -threshold, side="right")) - 1
    count, member = len(score), order
    if group is not None:
        names, place = np.unique(group, return_inverse=True)
        count, member = len(names), place[order]
    chance = np.random.default_rng(seed)
    found: dict[str, list[float]] = {}
    for _ in range(DRAWS):
        times = chance.poisson(1.0, count)[member]
        right, everything = (np.cumsum(part)[last] for part in (times * real, times))
        drawn = np.diff(everything, prepend=0) > 0
        curve = Curve(ordered[last][drawn], right[drawn], (everything - right)[drawn])
        alerts, hits = (int(part[alerted]) if alerted >= 0 else 0 for part in (everything, right))
        measures = {
            "auc_roc": auc_roc(curve),
            "average_precision": average_precision(curve),
            "precision": hits / alerts if alerts else float("nan"),
            "recall": hits / int(right[-1]) if right[-1] else float("nan"),
            "alert_share": alerts / int(everything[-1]) if everything[-1] else float("nan"),
        }
        for name, value in measures.items():
            found.setdefault(name, []).append(value)
    return {
        name: (float(np.percentile(values, _LOW)), float(np.percentile(values, _HIGH)))
        for name, values in found.items()
        if not np.isnan(values).any()
    }
