"""Intervals of measures by resampling groups of events."""

from __future__ import annotations

import numpy as np
import pytest

from fraudstream.evaluate.bootstrap import bootstrap_intervals
from fraudstream.evaluate.curves import auc_roc, average_precision, curve_of


def events(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    fraud = chance.random(count) < 0.1
    return np.round(fraud * 0.3 + chance.random(count), 2), fraud


def test_intervals_hold_what_was_measured_and_shrink_with_more_events() -> None:
    widths = []
    for count in (500, 8_000):
        score, fraud = events(count, 1)
        found = bootstrap_intervals(score, fraud, 0.9, None, 1)
        curve = curve_of(score, fraud)
        alert = score >= 0.9
        measured = {
            "auc_roc": auc_roc(curve),
            "average_precision": average_precision(curve),
            "precision": (alert & fraud).sum() / alert.sum(),
            "recall": (alert & fraud).sum() / fraud.sum(),
            "alert_share": alert.mean(),
        }
        assert found.keys() == measured.keys()
        for name, value in measured.items():
            assert found[name][0] < value < found[name][1]
        widths.append(found["auc_roc"][1] - found["auc_roc"][0])
    assert widths[1] < widths[0] / 2


def test_events_of_one_card_count_as_one_piece_of_evidence() -> None:
    """Every event ten times over says nothing new: by event the interval shrinks, by card it does not."""
    score, fraud = events(500, 2)
    card = np.arange(500, dtype=np.uint64)
    honest = bootstrap_intervals(score, fraud, 0.9, card, 1)["auc_roc"]
    ten = [np.repeat(values, 10) for values in (score, fraud, card)]
    assert bootstrap_intervals(ten[0], ten[1], 0.9, ten[2], 1)["auc_roc"] == pytest.approx(honest)
    low, high = bootstrap_intervals(ten[0], ten[1], 0.9, None, 1)["auc_roc"]
    assert high - low < (honest[1] - honest[0]) / 2


def test_a_measure_that_no_sample_gives_has_no_interval() -> None:
    score, fraud = events(500, 3)
    assert "precision" not in bootstrap_intervals(score, fraud, 2.0, None, 1)
