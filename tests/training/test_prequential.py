"""Evaluation over several periods, and the command `evaluate`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from fraudstream.define.decision import ModelRef
from fraudstream.errors import DataError
from fraudstream.training import prequential
from fraudstream.training.dataset import Dataset
from fraudstream.training.prequential import DAY_MS, Protocol, evaluate, summary
from fraudstream.training.split import Split
from fraudstream.training.trainers import Fitted

Run = Callable[..., subprocess.CompletedProcess[str]]
Simulated = Callable[..., tuple[Path, Path]]
DAYS = 40
START_MS = 20_000 * DAY_MS
PROTOCOL = Protocol(folds=2, train_span_ms=14 * DAY_MS, label_delay_ms=3 * DAY_MS, top_keys=5)


def history(per_day: int = 100) -> Dataset:
    """Events evenly in time; one in 20 is fraud, of 50 keys in turn; the only feature tells the truth, mostly."""
    n = DAYS * per_day
    chance = np.random.default_rng(3)
    fraud = chance.random(n) < 0.05
    feature = fraud * 0.5 + chance.random(n)
    times = START_MS + np.arange(n, dtype=np.int64) * (DAY_MS // per_day)
    key = chance.integers(0, 50, n).astype(np.uint64)
    return Dataset(feature.reshape(-1, 1).astype(np.float32), fraud, times, key, np.full(n, 10.0), n, 0)


MODEL = ModelRef(features=("feature",))


class Recorder:
    """A trainer that notes what it is given, and scores by the feature itself."""

    def __init__(self) -> None:
        self.splits: list[Split] = []

    def __call__(self, model: ModelRef, dataset: Dataset, split: Split, seed: int, show: object) -> Any:
        self.splits.append(split)
        return Fitted(self, self.predict(dataset.matrix[split.stop]), {})

    def to_onnx(self) -> bytes:
        raise AssertionError("an evaluation saves nothing")

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return matrix[:, 0].astype(np.float64) / 2


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(prequential, "fit", recorder)
    return recorder


def test_nothing_is_learned_from_that_was_not_known_when_the_test_began(recorder: Recorder) -> None:
    dataset = history()
    folds = evaluate(MODEL, dataset, PROTOCOL)
    assert [(fold.test_until_ms - START_MS) // DAY_MS for fold in folds] == [33, 40], "as late as the history allows"
    for fold, split in zip(folds, recorder.splits, strict=True):
        learned = dataset.event_at_ms[split.learn.start : split.stop.stop]
        assert learned[0] == fold.test_from_ms - 17 * DAY_MS
        assert learned[-1] < fold.test_from_ms - 3 * DAY_MS
        assert split.learn.stop == split.stop.start


def test_a_fraud_that_became_known_after_the_test_began_is_not_learned_from() -> None:
    dataset = history()
    assert dataset.fraud is not None
    known_at_ms = dataset.event_at_ms + 30 * DAY_MS
    with pytest.raises(DataError, match=r"0 are fraud"):
        evaluate(MODEL, replace(dataset, known_at_ms=known_at_ms), PROTOCOL)
    soon = evaluate(MODEL, replace(dataset, known_at_ms=dataset.event_at_ms + 3 * DAY_MS), PROTOCOL)
    assert soon == evaluate(MODEL, dataset, PROTOCOL), "a delay that the protocol allows for changes nothing"


def test_keys_known_to_be_compromised_are_left_out_and_no_others(recorder: Recorder) -> None:
    dataset = history()
    (fold, _) = evaluate(MODEL, dataset, PROTOCOL)
    left_out = 0
    for row in np.flatnonzero((dataset.event_at_ms >= fold.test_from_ms) & (dataset.event_at_ms < fold.test_until_ms)):
        day_ms = dataset.event_at_ms[row] // DAY_MS * DAY_MS
        same = (dataset.key == dataset.key[row]) & dataset.fraud
        since = dataset.event_at_ms >= fold.test_from_ms - 10 * DAY_MS  # the week before the labels' delay
        left_out += bool((same & since & (dataset.event_at_ms < day_ms - 3 * DAY_MS)).any())
    assert 0 < left_out < 700
    assert fold.left_out == left_out
    assert fold.events == 700 - left_out


def test_the_summary_is_mean_and_spread_over_the_periods(recorder: Recorder) -> None:
    folds = evaluate(MODEL, history(), PROTOCOL)
    values = [fold.measures["ap"] for fold in folds]
    assert summary(folds)["ap"] == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert {"auc", "ap", "cp", "precision", "recall", "money_caught", "brier"} <= set(folds[0].measures)


def test_a_measure_that_a_period_lacks_is_not_averaged(recorder: Recorder) -> None:
    first, second = evaluate(MODEL, history(), PROTOCOL)
    poorer = replace(second, measures={"auc": second.measures["auc"]})
    assert list(summary([first, poorer])) == ["auc"]


def test_a_history_that_is_too_short_says_what_it_lacks(recorder: Recorder) -> None:
    with pytest.raises(DataError, match="does not cover training from"):
        evaluate(MODEL, history(), Protocol(folds=4, label_delay_ms=3 * DAY_MS))


def test_the_command_judges_supervised_models_and_others(fraudstream: Run, simulated: Simulated) -> None:
    periods = ("--folds", "2", "--train-span", "14d", "--label-delay", "3d", "--top", "10")
    for name in ("user-activity", "retail"):
        events, truth = simulated(name, ".parquet")
        done = fraudstream("evaluate", name, "--data", str(events), "--truth", str(truth), *periods, "--json")
        assert done.returncode == 0, done.stderr
        report = orjson.loads(done.stdout)
        assert len(report["folds"]) == 2
        assert 0 < report["measures"]["ap"]["mean"] <= 1
        assert name == "user-activity" or "precision" not in report["measures"], "no threshold is known there"
        again = fraudstream("evaluate", name, "--data", str(events), "--truth", str(truth), *periods)
        assert f"{report['measures']['auc']['mean']:.3f}" in again.stdout, "the same seed gives the same figures"


def test_faster_labels_change_the_features_and_not_the_test(fraudstream: Run, simulated: Simulated) -> None:
    """Labels that reach the features sooner are judged on the same events, after the same training period."""
    events, truth = simulated("terminal-payments", ".parquet")
    periods = ("--folds", "1", "--train-span", "14d", "--label-delay", "7d", "--json")
    found = []
    for delay in ("7d", "1h"):
        more = ("--truth", str(truth), *periods, "--feature-delay", delay)
        done = fraudstream("evaluate", "terminal-payments", "--data", str(events), *more)
        assert done.returncode == 0, done.stderr
        found.append(orjson.loads(done.stdout)["folds"][0])
    late, soon = found
    same = ("train_from", "train_until", "test_from", "test_until", "events", "frauds", "left_out")
    assert [late[name] for name in same] == [soon[name] for name in same] and late["left_out"]
    assert soon["ap"] != late["ap"], "the features know more"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("terminal-payments", "--feature-delay", "soon"), "--feature-delay"),
        (("account-transfers",), "declares no model"),
        (("retail", "--test-span", "36h"), "whole days"),
        (("retail", "--test-from", "tomorrow"), "Write it like 2026-01-31"),
        (("retail", "--train-span", "long"), "--train-span"),
        (("retail", "--label", "none"), "nothing says so"),
    ],
)
def test_a_mistake_is_answered_with_one_paragraph(
    fraudstream: Run, simulated: Simulated, arguments: tuple[str, ...], said: str
) -> None:
    events, _ = simulated("retail", ".parquet")
    done = fraudstream("evaluate", *arguments, "--data", str(events))
    assert done.returncode == 2
    assert said in done.stderr and "Traceback" not in done.stderr
