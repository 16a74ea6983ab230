"""Parameters are chosen on what lies before the test, and on nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from fraudstream.define.decision import ModelRef
from fraudstream.errors import DataError, UsageError
from fraudstream.training.dataset import Dataset
from fraudstream.training.search import SPACES, Found, search
from fraudstream.training.split import split_by_time

Run = Callable[..., subprocess.CompletedProcess[str]]
Simulated = Callable[..., tuple[Path, Path]]
DAY_MS = 86_400_000
MODEL = ModelRef(features=("a", "b"), parameters={"rounds": 20, "patience_rounds": 0, "num_leaves": 4})


def history(days: int = 40) -> Dataset:
    chance = np.random.default_rng(5)
    n = days * 100
    fraud = chance.random(n) < 0.06
    matrix = np.column_stack([fraud * 0.6 + chance.random(n), chance.random(n)]).astype(np.float32)
    times = 20_000 * DAY_MS + np.arange(n, dtype=np.int64) * (DAY_MS // 100)
    return Dataset(matrix, fraud, times, None, None, n, 0)


def found(dataset: Dataset, model: ModelRef = MODEL, tries: int = 4, seed: int = 1) -> Found:
    split = split_by_time(dataset.event_at_ms, 0.3, 2 * DAY_MS)
    return search(model, dataset, split, tries, seed, lambda *_: None)


def test_the_test_period_takes_no_part_in_the_choice() -> None:
    """Everything from the time that labels take before the test is turned upside down: the search finds the same."""
    dataset = history()
    assert dataset.fraud is not None
    first = found(dataset)
    assert first.tries == 4 and first.average_precision >= first.declared > 0
    end = split_by_time(dataset.event_at_ms, 0.3, 2 * DAY_MS).stop.stop
    later = np.arange(len(dataset.fraud)) >= end
    matrix = np.where(later[:, None], 1 - dataset.matrix, dataset.matrix)
    assert found(replace(dataset, matrix=matrix, fraud=dataset.fraud ^ later)) == first


def test_what_the_pipeline_sets_stays_and_the_rest_is_drawn_from_the_known_values() -> None:
    best = found(history(), tries=5)
    assert MODEL.parameters.items() <= best.model.parameters.items()
    assert set(best.chosen) in (set(), SPACES["lightgbm"].keys() - {"num_leaves"})
    assert all(value in SPACES["lightgbm"][name] for name, value in best.chosen.items())


def test_a_short_history_and_a_trainer_with_nothing_to_try_are_refused() -> None:
    with pytest.raises(DataError, match="--search needs 6"):
        found(history(days=9))
    with pytest.raises(UsageError, match="nothing to search for"):
        found(history(), ModelRef(features=("a", "b"), trainer="isolation_forest"))


def test_the_command_says_what_it_found_and_trains_with_it(
    fraudstream: Run, simulated: Simulated, tmp_path: Path
) -> None:
    events, truth = simulated("user-activity")
    arguments = ("train", "user-activity", "--data", str(events), "--truth", str(truth), "--search", "2")
    done = fraudstream(*arguments)
    assert done.returncode == 0, done.stderr
    assert "the best of 2 by average precision on 2 periods before the test" in done.stdout
    assert "to keep them: parameters: {rounds: 400" in done.stdout
    (manifest,) = (tmp_path / "models" / "user-activity").glob("*/manifest.json")
    card = orjson.loads(manifest.read_bytes())["card"]
    assert "best of 2" in card["search"] and card["parameters"]["rounds"] == 400
