"""From a history to an artefact that scores as its trainer does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fraudstream.errors import DataError, ModelError, UsageError
from fraudstream.evaluate.drift import counts_of
from fraudstream.models.artifact import load_version
from fraudstream.models.registry import Registry
from fraudstream.models.scorer import OnnxScorer
from fraudstream.pipelines import find_plan
from fraudstream.training import lightgbm
from fraudstream.training.history import History
from fraudstream.training.train import Options, Trained, train
from fraudstream.training.truth import truth_of_file

PIPELINES = ("card-payments", "retail", "terminal-payments", "user-activity")
OPTIONS = Options(trained_at="2026-03-01T00:00:00+00:00")
"""An instant of its own, so that nothing differs from run to run."""
Simulated = Callable[[str, str], tuple[Path, Path]]


def trained(name: str, simulated: Simulated, folder: Path, ending: str = ".parquet") -> Trained:
    plan = find_plan(name, environ={})
    events, truth = simulated(name, ending)
    history = History(events, plan.pipeline.event)
    return train(plan, folder, history, truth_of_file(truth, plan.pipeline.event, len(history)), OPTIONS)


@pytest.mark.parametrize("name", PIPELINES)
def test_every_pipeline_with_a_model_trains_and_its_artefact_loads(
    name: str, simulated: Simulated, tmp_path: Path
) -> None:
    done = trained(name, simulated, tmp_path)
    assert Registry(tmp_path, name).roles().champion == done.manifest.version
    artifact = load_version(tmp_path, name, done.manifest.version)
    assert artifact.manifest == done.manifest
    plan = find_plan(name, environ={})
    assert plan.pipeline.model is not None
    scorer = OnnxScorer(artifact, plan.pipeline.model.features)
    score = scorer.score([column.astype(np.float64) for column in done.dataset.matrix.T])
    assert np.isfinite(score).all() and 0 <= score.min() < score.max() <= 1
    metrics = done.manifest.metrics
    assert metrics["auc_roc"] > 0.6
    assert metrics["average_precision"] > 3 * metrics["frauds"] / metrics["events"]
    review_at = plan.pipeline.policy.review_threshold
    assert metrics["alert_share"] == np.mean(score[done.split.test] >= review_at)
    assert 0 < metrics["alert_share"] < 0.1


def test_the_reference_is_how_inputs_and_score_were_distributed_over_the_test(
    simulated: Simulated, tmp_path: Path
) -> None:
    done = trained("terminal-payments", simulated, tmp_path)
    kept, tested = done.manifest.reference, done.split.test
    assert kept is not None and tuple(kept.features) == done.manifest.features
    for name, column in zip(done.manifest.features, done.dataset.matrix[tested].T, strict=True):
        known = column[column != np.float32(done.manifest.missing)].astype(np.float64)
        found = kept.features[name]
        assert sum(found.counts) == tested.stop - tested.start
        assert found.counts[-1] == len(column) - len(known)
        assert (found.low, found.high) == ((known.min(), known.max()) if len(known) else (None, None))
        assert found.counts == tuple(counts_of(np.where(column == -1, np.nan, column), np.array(found.edges)))
    assert kept.score.counts[-1] == 0 and kept.score.high is not None and kept.score.high <= 1


def test_the_card_says_what_it_was_made_of_what_it_is_worth_and_where_not_to_trust_it(
    simulated: Simulated, tmp_path: Path
) -> None:
    done = trained("terminal-payments", simulated, tmp_path)
    manifest, card = done.manifest, done.manifest.card
    assert card is not None and manifest.golden is not None
    assert (card.training.events, card.test.events) == (done.split.stop.stop, manifest.metrics["events"])
    assert card.parameters["num_leaves"] == 16 and card.seed == OPTIONS.seed
    low, high = card.intervals["average_precision"]
    assert low < manifest.metrics["average_precision"] < high
    quarters = [each for each in card.segments if each.name.startswith("amount")]
    assert len(quarters) == 4
    assert sum(each.events for each in quarters) == manifest.metrics["events"]
    assert sum(each.frauds for each in quarters) == manifest.metrics["frauds"]
    assert len([each for each in card.segments if each.name.startswith("00:00 to ")]) == 1
    assert len(manifest.calibration) > 5 and "held out" in card.calibration
    assert len(manifest.golden.scores) == 16 and max(manifest.golden.scores) > min(manifest.golden.scores)
    text = (done.folder / "card.md").read_text()
    for words in ("| training | ", "95 % of bootstrap samples", "## Limits", "7d late", "`TX_AMOUNT`", "`rounds` 300"):
        assert words in text


@pytest.mark.parametrize("name", ["retail", "user-activity"])
def test_the_same_history_and_seed_give_the_same_bytes(name: str, simulated: Simulated, tmp_path: Path) -> None:
    first, again = (trained(name, simulated, tmp_path / part) for part in ("a", "b"))
    assert first.manifest == again.manifest
    files = [(each.folder / "model.onnx").read_bytes() for each in (first, again)]
    assert files[0] == files[1]
    plan = find_plan(name, environ={})
    history = History(simulated(name, ".parquet")[0], plan.pipeline.event)
    if name == "retail":
        other = train(plan, tmp_path / "c", history, None, replace(OPTIONS, seed=2))
        assert other.manifest.version != first.manifest.version


def test_parquet_and_json_lines_of_the_same_events_give_the_same_model(simulated: Simulated, tmp_path: Path) -> None:
    """user-activity has places by name and by coordinates: two columns in Parquet, two JSON types in lines."""
    tables = trained("user-activity", simulated, tmp_path / "a")
    lines = trained("user-activity", simulated, tmp_path / "b", ".jsonl")
    np.testing.assert_array_equal(tables.dataset.matrix, lines.dataset.matrix)
    assert tables.manifest.version == lines.manifest.version


def test_the_test_period_comes_after_training_and_the_gap_in_which_labels_are_unknown(
    simulated: Simulated, tmp_path: Path
) -> None:
    done = trained("terminal-payments", simulated, tmp_path)
    at_ms, split = done.dataset.event_at_ms, done.split
    assert (np.diff(at_ms) >= 0).all()
    assert at_ms[split.test.start] - at_ms[split.stop.stop - 1] > 7 * 86_400_000
    assert split.test.stop == len(at_ms)


def test_a_span_of_training_ends_where_all_of_it_ends_and_begins_so_long_before(
    simulated: Simulated, tmp_path: Path
) -> None:
    plan = find_plan("terminal-payments", environ={})
    events, truth = simulated("terminal-payments", ".parquet")
    history = History(events, plan.pipeline.event)
    known = truth_of_file(truth, plan.pipeline.event, len(history))
    done = train(plan, tmp_path, history, known, replace(OPTIONS, train_span_ms=14 * 86_400_000))
    at_ms, split = done.dataset.event_at_ms, done.split
    assert split.learn.start > 0 and done.manifest.card is not None
    test_at_ms = at_ms[split.test.start]
    assert test_at_ms - 21 * 86_400_000 <= at_ms[split.learn.start] < test_at_ms - 20 * 86_400_000
    assert at_ms[split.stop.stop - 1] < test_at_ms - 7 * 86_400_000
    assert done.manifest.card.training.events == split.stop.stop - split.learn.start


def test_where_labels_are_still_coming_the_latest_events_are_left_out(simulated: Simulated, tmp_path: Path) -> None:
    """Nobody may have spoken of them yet: to take them as genuine would teach and flatter the model."""
    plan = find_plan("terminal-payments", environ={})
    events, truth = simulated("terminal-payments", ".parquet")
    history = History(events, plan.pipeline.event)
    known = replace(truth_of_file(truth, plan.pipeline.event, len(history)), still_coming=True)
    done = train(plan, tmp_path, history, known, OPTIONS)
    end_ms = history.last_at_ms - 7 * 86_400_000
    assert end_ms - 86_400_000 < done.dataset.event_at_ms[-1] <= end_ms


def test_an_artefact_that_scores_otherwise_than_its_trainer_is_not_saved(
    simulated: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = lightgbm._tree

    def shifted(root: dict[str, object]) -> object:
        tree = honest(root)
        return tree._replace(threshold=tree.threshold + 1e-3)

    monkeypatch.setattr(lightgbm, "_tree", shifted)
    with pytest.raises(ModelError, match="Nothing was saved"):
        trained("user-activity", simulated, tmp_path)
    assert Registry(tmp_path, "user-activity").versions() == []


def test_a_supervised_trainer_without_truth_says_how_to_give_it(simulated: Simulated, tmp_path: Path) -> None:
    plan = find_plan("card-payments", environ={})
    history = History(simulated("card-payments", ".parquet")[0], plan.pipeline.event)
    with pytest.raises(UsageError, match="--label, or a file with --truth"):
        train(plan, tmp_path, history, None, OPTIONS)


def test_a_history_without_fraud_or_too_short_is_refused(simulated: Simulated, tmp_path: Path) -> None:
    plan = find_plan("terminal-payments", environ={})
    events, truth = simulated("terminal-payments", ".parquet")
    genuine = tmp_path / "genuine.parquet"
    pl.read_parquet(truth).with_columns(is_fraud=False).write_parquet(genuine)
    history = History(events, plan.pipeline.event)
    with pytest.raises(DataError, match="0 are fraud"):
        train(plan, tmp_path, history, truth_of_file(genuine, plan.pipeline.event, len(history)), OPTIONS)
    late = replace(OPTIONS, label_delay_ms=30 * 86_400_000)
    with pytest.raises(DataError, match="shorter --label-delay"):
        train(plan, tmp_path, history, truth_of_file(truth, plan.pipeline.event, len(history)), late)
    assert not (tmp_path / "terminal-payments").exists()
