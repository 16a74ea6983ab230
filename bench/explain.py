"""What an explanation costs: contributions by the kernel against those by LightGBM itself.

    python -m bench.explain

Writes bench/explain.json. Processor time of one thread, the best of several runs, because other work disturbs a clock.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm as peer
import numpy as np

from fraudstream.models.contributions import read_contributor
from fraudstream.training.lightgbm import BoostedTrees

RESULT = Path(__file__).with_name("explain.json")
INPUTS, TREES, EVENTS, ALERTS = 29, 300, 40_000, 200
RUNS = 7


def rows(count: int, seed: int) -> np.ndarray:
    """Amounts and counts, as models of payments have them."""
    rng = np.random.default_rng(seed)
    found = rng.gamma(1.5, 40, (count, INPUTS)).astype(np.float32)
    found[:, ::3] = rng.poisson(3, (count, len(range(0, INPUTS, 3))))
    return found


def best_us(work: Callable[[], object], events: int) -> float:
    """Microseconds of processor time an event, the best of the runs."""
    taken = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return round(1e6 * min(taken) / events, 1)


def measure(leaves: int) -> dict[str, Any]:
    """A model of so many leaves a tree."""
    matrix = rows(EVENTS, 1)
    risk = matrix[:, 1:6].sum(axis=1) + matrix[:, 7] * (matrix[:, 8] > 50) + 20 * matrix[:, 0]
    fraud = risk + np.random.default_rng(2).normal(0, 60, EVENTS) > np.quantile(risk, 0.98)
    parameters = {"objective": "binary", "num_leaves": leaves, "learning_rate": 0.05, "use_missing": False}
    booster = peer.train(
        parameters | {"num_threads": 1, "verbosity": -1}, peer.Dataset(matrix, fraud.astype(float)), TREES
    )
    contributor = read_contributor(BoostedTrees(booster).contributions(), INPUTS)
    alerts = rows(ALERTS, 3)
    wide = alerts.astype(np.float64)
    found, expected = contributor(wide), booster.predict(alerts, pred_contrib=True, num_threads=1)
    difference = float(np.abs(np.column_stack([found.values, np.full(ALERTS, found.base)]) - expected).max())
    assert difference < 1e-9
    return {
        "leaves": leaves,
        "trees": TREES,
        "inputs": INPUTS,
        "us_per_alert": best_us(lambda: contributor(wide), ALERTS),
        "us_one_alert_alone": best_us(lambda: [contributor(wide[:1]) for _ in range(20)], 20),
        "lightgbm_us_per_alert": best_us(lambda: booster.predict(alerts, pred_contrib=True, num_threads=1), ALERTS),
        "largest_difference": difference,
    }


if __name__ == "__main__":
    results = {"models": [measure(leaves) for leaves in (16, 64)]}
    RESULT.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))
