"""Probabilities fitted on what the model did not learn from."""

from __future__ import annotations

import numpy as np
import pytest

from fraudstream.evaluate.calibration import calibrate
from fraudstream.training.probability import fit_probability


def scored(count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Raw scores of a model that was told frauds are as frequent as genuine events, and the truth."""
    chance = np.random.default_rng(seed)
    fraud = chance.random(count) < share
    return 1 / (1 + np.exp(-chance.normal(fraud * 2.0 - 1.0, 1.0))), fraud


@pytest.mark.parametrize(("count", "how"), [(40_000, "isotonic"), (1_500, "sigmoid")])
def test_probabilities_of_other_events_are_what_happened(count: int, how: str) -> None:
    """Raw scores claim far too much for rare fraud; with many frauds held out and with few the curve corrects it."""
    curve = fit_probability(*scored(count, 0.03, 1))
    assert curve is not None and how in curve.how
    raw, fraud = scored(40_000, 0.03, 2)
    before, after = calibrate(raw, fraud).error, calibrate(curve.of(raw), fraud).error
    assert after < before / 10 and after < 0.012
    points = curve.of(np.linspace(0, 1, 1_000))
    assert (np.diff(points) >= 0).all() and points[0] > 0 and points[-1] < 1, "nobody can be sure"


def test_too_few_frauds_say_nothing() -> None:
    raw, fraud = scored(200, 0.02, 3)
    assert fraud.sum() < 10
    assert fit_probability(raw, fraud) is None


def test_scores_that_order_frauds_last_get_no_falling_curve() -> None:
    raw, fraud = scored(1_500, 0.03, 4)
    curve = fit_probability(1 - raw, fraud)
    assert curve is not None
    assert (np.diff(curve.probability) >= 0).all()
