"""From raw scores to probabilities of fraud, fitted on events the model did not learn from.

The end of the training period is held out for it, so the test takes no part. With enough frauds there the curve is
isotonic regression: any rising one, averaged over groups (Zadrozny and Elkan 2002). With few it would follow single
frauds, and a sigmoid of the score's log-odds with two parameters is fitted (Platt 1999). With fewer than ten: none.

The curve stands beside the score in the manifest instead of taking its place: isotonic regression gives many scores one
value, and alerts are chosen by rank; the policy's thresholds keep their meaning; what inputs contribute adds up to the
score as before.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fraudstream.training.score_map import FEWEST_FRAUDS

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ENOUGH_FRAUDS = 100
_POINTS = 101
_EDGE = 1e-9


class ProbabilityCurve(NamedTuple):
    """Straight lines between points.

    Attributes:
        raw: float64[k], raw scores, rising.
        probability: float64[k], rising.
        how: How it was fitted, a sentence.
    """

    raw: Floats
    probability: Floats
    how: str

    def of(self, raw: Floats) -> Floats:
        """float64[n]: the probabilities of raw scores."""
        return np.interp(raw, self.raw, self.probability)


def fit_probability(raw: Floats, fraud: Bools) -> ProbabilityCurve | None:
    """The curve from events that were held out; None where too few frauds are among them.

    Args:
        raw: float64[n], raw scores by a model that did not learn from these events.
        fraud: bool[n], the truth.
    """
    frauds = int(fraud.sum())
    if frauds < FEWEST_FRAUDS or frauds == len(fraud) or raw.min() == raw.max():
        return None
    held = f"{len(fraud):,} events at the end of the training period, {frauds:,} of them fraud, that were held out"
    if frauds < ENOUGH_FRAUDS:
        return _sigmoid(raw, fraud, f"Probabilities are a sigmoid of the log-odds of the raw score, fitted on {held}.")
    return _isotonic(raw, fraud, f"Probabilities are an isotonic regression on {held}.")


def _isotonic(raw: Floats, fraud: Bools, how: str) -> ProbabilityCurve:
    from sklearn.isotonic import IsotonicRegression

    # Nobody can be sure: what never was fraud among n events is so once in about 2 n.
    least = 0.5 / (len(fraud) + 1)
    fitted = IsotonicRegression(y_min=least, y_max=1 - least).fit(raw, fraud.astype(np.float64))
    return ProbabilityCurve(
        np.asarray(fitted.X_thresholds_, np.float64), np.asarray(fitted.y_thresholds_, np.float64), how
    )


def _sigmoid(raw: Floats, fraud: Bools, how: str) -> ProbabilityCurve:
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e6, max_iter=1_000).fit(_log_odds(raw).reshape(-1, 1), fraud)
    slope = max(float(fitted.coef_[0, 0]), 0.0)  # a curve that falls would turn the order around
    points = np.unique(np.quantile(raw, np.linspace(0, 1, _POINTS)))
    probability = 1 / (1 + np.exp(-(slope * _log_odds(points) + float(fitted.intercept_[0]))))
    return ProbabilityCurve(points, probability, how)


def _log_odds(raw: Floats) -> Floats:
    inside = np.clip(raw, _EDGE, 1 - _EDGE)
    return np.log(inside / (1 - inside))
