"""What a model is worth on events it has not seen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fraudstream.evaluate.curves import auc_roc, average_precision, curve_of

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def measure(score: Floats, fraud: Bools | None, review_at: float, block_at: float) -> dict[str, float]:
    """Measures of the scores of a test period; those that need frauds are left out where there are none.

    Returns:
        `events`, `alert_share` and `block_share` (events at or above the policy's thresholds); with truth also
        `frauds`, `auc_roc`, `average_precision`, and at the review threshold `precision`, `recall`, `f1`.
    """
    alert = score >= review_at
    found = {
        "events": float(len(score)),
        "alert_share": float(alert.mean()),
        "block_share": float((score >= block_at).mean()),
    }
    if fraud is None:
        return found
    found["frauds"] = float(fraud.sum())
    if not fraud.any() or fraud.all():
        return found
    curve = curve_of(score, fraud)
    right = float((alert & fraud).sum())
    precision = right / max(float(alert.sum()), 1.0)
    recall = right / float(fraud.sum())
    return found | {
        "auc_roc": auc_roc(curve),
        "average_precision": average_precision(curve),
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if right else 0.0,
    }
