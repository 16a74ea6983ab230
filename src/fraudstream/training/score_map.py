"""From a model's raw score to the score of decisions, whose thresholds mean something whatever the model.

A policy says "review from 0.6", but a raw score of 0.6 means one thing for a model of rare fraud, another for an
anomaly score. The map is a rising curve that puts one chosen raw score at the policy's review threshold. It changes no
order, is part of the manifest, and is kept as the raw scores that stand at 0, 1/1000, …, 1 of the score.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

POINTS = 1_001
FEWEST_FRAUDS = 10
"""Fewer frauds than this do not say where a threshold should lie."""


def best_threshold(raw: Floats, fraud: Bools) -> float | None:
    """The raw score that alerts best, by F1: as many frauds found as alerts right.

    It lies halfway to the next lower score, so that scores like those it is drawn from fall on their side. None where
    there are too few frauds to say, or none of them stands out.
    """
    frauds = int(fraud.sum())
    if frauds < FEWEST_FRAUDS or frauds == len(fraud):
        return None
    order = np.argsort(-raw, kind="stable")
    scores = raw[order]
    found = np.cumsum(fraud[order])
    f1 = 2 * found / (np.arange(1, len(raw) + 1) + frauds)
    f1[:-1][scores[:-1] == scores[1:]] = 0.0  # equal scores are alerted together
    best = int(np.argmax(f1))
    if best == len(raw) - 1:
        return None
    threshold = float(scores[best] + scores[best + 1]) / 2
    return threshold if 0 < threshold < 1 else None


def anchored(threshold: float, review_at: float) -> tuple[float, ...]:
    """The map of two straight lines: raw 0 to score 0, the threshold to `review_at`, raw 1 to score 1."""
    if not 0 < review_at < 1:
        return ()
    shares = np.linspace(0.0, 1.0, POINTS)
    return _as_curve(np.interp(shares, [0.0, review_at, 1.0], [0.0, threshold, 1.0]))


def ranked(raw: Floats, alert_share: float, review_at: float) -> tuple[float, ...]:
    """The map by rank: the strangest `alert_share` of the training events gets scores from `review_at` up.

    Below it the score is proportional to the share of training events that were less strange, above it too.

    Args:
        raw: float64[n], raw scores of training events.
        alert_share: The share of them to be reviewed.
        review_at: The policy's review threshold.
    """
    shares = np.linspace(0.0, 1.0, POINTS)
    corner = review_at if 0 < review_at < 1 else 1 - alert_share
    return _as_curve(np.quantile(raw, np.interp(shares, [0.0, corner, 1.0], [0.0, 1 - alert_share, 1.0])))


def _as_curve(raw: Floats) -> tuple[float, ...]:
    return tuple(np.maximum.accumulate(raw).tolist())
