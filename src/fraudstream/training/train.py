"""Training: a history in, a verified artefact out that `fraudstream run` scores with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from fraudstream.define.decision import ModelRef
from fraudstream.errors import ModelError, UsageError
from fraudstream.evaluate.calibration import calibrate
from fraudstream.models.artifact import Artifact, Manifest, version_of
from fraudstream.models.registry import Registry
from fraudstream.models.scorer import OnnxScorer, scores_of
from fraudstream.plan.plan import Plan
from fraudstream.training.card import golden_of, make_card
from fraudstream.training.dataset import Dataset, make_dataset
from fraudstream.training.elsewhere import ELSEWHERE, GivenModel
from fraudstream.training.history import History
from fraudstream.training.metrics import measure
from fraudstream.training.probability import fit_probability
from fraudstream.training.reference import make_reference
from fraudstream.training.score_map import anchored, best_threshold, ranked
from fraudstream.training.search import search
from fraudstream.training.split import Split, split_by_time
from fraudstream.training.trainers import (
    Fitted,
    Show,
    TrainedModel,
    fit,
    is_supervised,
    require_libraries,
)
from fraudstream.training.truth import Truth
from fraudstream.units import MILLISECONDS, format_instant

Floats = npt.NDArray[np.float64]
_BY = {ELSEWHERE: "fraudstream model register"}


@dataclass(frozen=True)
class Options:
    """How to train.

    Attributes:
        test_share: The share of events, the latest, that is held out for the test.
        label_delay_ms: How long after an event its label comes.
        alert_share: Isolation Forest: the share of events that its score sends to review.
        seed: Of everything random.
        train_span_ms: How long a time is learned from; None: all of the history before the test.
        tries: How many sets of parameters to choose from (`training/search.py`); 1: the pipeline's.
        settled: Whether the latest events, whose label may not have come yet, are left out in any case; they are where
            labels are still coming.
        trained_at: The instant the manifest names, ISO 8601; now unless given.
    """

    test_share: float = 0.3
    label_delay_ms: int = 7 * MILLISECONDS["d"]
    alert_share: float = 0.01
    seed: int = 1
    train_span_ms: int | None = None
    tries: int = 1
    settled: bool = False
    trained_at: str | None = None


@dataclass(frozen=True)
class Trained:
    """What came of it.

    Attributes:
        manifest: Of the artefact; its `metrics` were measured on the test period.
        folder: Where it is.
        dataset: What was learned from and tested on.
        split: Which was which.
        threshold: The raw score at the policy's review threshold; None where the raw score was left as it is.
    """

    manifest: Manifest
    folder: Path
    dataset: Dataset
    split: Split
    threshold: float | None


def train(
    plan: Plan,
    models_folder: Path,
    history: History,
    truth: Truth | None,
    options: Options | None = None,
    show: Show = lambda stage, done, total: None,
) -> Trained:
    """Trains the model of a pipeline and saves it: the first is the champion, later ones are challengers.

    Args:
        plan: A plan with a model, of the history's event.
        models_folder: Where artefacts are kept (`settings.models_folder`).
        history: Past events.
        truth: What they were; an Isolation Forest does without.
        options: How to train.
        show: Progress.

    Raises:
        UsageError: The pipeline has no model, a library is missing, or a supervised trainer has no truth.
        DataError: The history cannot be learned from.
        ModelError: The artefact does not give the trainer's scores; nothing is saved.
    """
    options = options or Options()
    model = plan.pipeline.model
    if model is None:
        raise UsageError(f"{plan.pipeline.name} declares no model, so there is nothing to train.", "It runs as it is.")
    require_libraries(model)
    if is_supervised(model) and truth is None:
        raise UsageError(
            f"{model.trainer} learns from known frauds, and nothing says which events were.",
            "Name the column that does with --label, or a file with --truth.",
        )
    fitter = partial(fit, model) if options.tries < 2 else partial(_search_and_fit, model, options.tries)
    return _make(plan, model, models_folder, history, truth, options, fitter, show)


def _search_and_fit(model: ModelRef, tries: int, dataset: Dataset, split: Split, seed: int, show: Show) -> Fitted:
    found = search(model, dataset, split, tries, seed, show)
    return fit(found.model, dataset, split, seed, show)._replace(search=str(found))


def register_given(
    plan: Plan, models_folder: Path, history: History, truth: Truth, options: Options, given: GivenModel, show: Show
) -> Trained:
    """Tests a model that was made elsewhere as `train` tests one of its own, and saves it the same way.

    Args:
        plan: A plan with a model, of the history's event.
        models_folder: Where artefacts are kept.
        history: Past events; the model should not have learned from those of the test and of what comes just before.
        truth: What they were.
        options: How to test.
        given: The model.
        show: Progress.

    Raises:
        DataError: The history is too short.
    """
    assert plan.pipeline.model is not None
    model = replace(plan.pipeline.model, trainer=ELSEWHERE, parameters={})

    def take(dataset: Dataset, split: Split, seed: int, show: Show) -> Fitted:
        return Fitted(given, given.predict(dataset.matrix[split.stop]), {})

    return _make(plan, model, models_folder, history, truth, options, take, show)


def _make(
    plan: Plan,
    model: ModelRef,
    models_folder: Path,
    history: History,
    truth: Truth | None,
    options: Options,
    fitter: Callable[[Dataset, Split, int, Show], Fitted],
    show: Show,
) -> Trained:
    """From the history to what is saved."""
    rows = len(history)
    delay_ms = options.label_delay_ms if plan.pipeline.labels is not None and truth is not None else 0
    dataset = make_dataset(plan, history, truth, delay_ms, lambda done: show("features", done, rows))
    if options.settled or (truth is not None and truth.still_coming):
        dataset = dataset.settled(delay_ms, history.name)
    with history.explained():
        split = split_by_time(dataset.event_at_ms, options.test_share, delay_ms, options.train_span_ms)
        fitted = fitter(dataset, split, options.seed, show)
    return _finish(plan, model, models_folder, history, dataset, split, options, fitted, show)


def _finish(
    plan: Plan,
    model: ModelRef,
    models_folder: Path,
    history: History,
    dataset: Dataset,
    split: Split,
    options: Options,
    fitted: Fitted,
    show: Show,
) -> Trained:
    """Exports, verifies against the trainer, maps the score, measures, saves."""
    policy = plan.pipeline.policy
    onnx = fitted.model.to_onnx()
    contributions = fitted.model.contributions()
    version, sha256 = version_of(onnx)
    at = format_instant
    manifest = Manifest(
        name=model.name or plan.pipeline.name,
        version=version,
        sha256=sha256,
        trainer=model.trainer,
        features=model.features,
        missing=model.missing,
        output=fitted.model.output,
        contributions=version_of(contributions)[1] if contributions else "",
        trained_at=options.trained_at or datetime.now(UTC).isoformat(timespec="seconds"),
        data=f"{history.name}: {dataset.events:,} events, {at(int(dataset.event_at_ms[0]))} to "
        f"{at(int(dataset.event_at_ms[-1]))}",
    )
    show("verifying", 0, 1)
    raw = OnnxScorer(Artifact(manifest, onnx), model.features)
    _verify(raw, fitted.model, dataset, split)
    threshold, curve = None, None
    if fitted.held is not None:
        known = dataset.fraud_known_by(split.trained_at_ms)[split.stop]
        threshold, curve = best_threshold(fitted.held, known), fit_probability(fitted.held, known)
        quantiles = () if threshold is None else anchored(threshold, policy.review_threshold)
    else:
        training = _score(raw, dataset, slice(split.learn.start, split.stop.stop))
        threshold = float(np.quantile(training, 1 - options.alert_share))
        quantiles = ranked(training, options.alert_share, policy.review_threshold)
    manifest = replace(manifest, quantiles=quantiles, version=version_of(onnx, quantiles)[0])
    scorer = OnnxScorer(Artifact(manifest, onnx), model.features)
    fraud = None if dataset.fraud is None else dataset.fraud[split.test]
    score = _score(scorer, dataset, split.test)
    metrics = measure(score, fraud, policy.review_threshold, policy.block_threshold)
    if curve is not None:
        points = zip(scores_of(curve.raw, quantiles).tolist(), curve.probability.tolist(), strict=True)
        manifest = replace(manifest, calibration=tuple(points))
        if fraud is not None and fraud.any():
            probability = curve.of(_score(raw, dataset, split.test))
            calibration = calibrate(probability, fraud)
            metrics |= {"calibration_error": calibration.error, "brier": calibration.brier}
    show("measuring", 0, 1)
    manifest = replace(
        manifest,
        metrics=metrics,
        test=_name_of_test(dataset, split.test),
        reference=make_reference(dataset.matrix[split.test], model.features, model.missing, score),
        golden=golden_of(dataset.matrix[split.test], score),
        card=make_card(
            dataset,
            split,
            score,
            model.features,
            policy.review_threshold,
            fitted.parameters,
            options.seed,
            "" if curve is None else curve.how,
            history.absent,
            fitted.search,
        ),
    )
    folder = Registry(models_folder, manifest.name).add(
        manifest, onnx, contributions, by=_BY.get(model.trainer, "fraudstream train")
    )
    show("measuring", 1, 1)
    return Trained(manifest, folder, dataset, split, threshold)


def _name_of_test(dataset: Dataset, part: slice) -> str:
    """Equal for equal events and truth, whatever the features: metrics on the same test can be compared."""
    content = hashlib.sha256(dataset.event_at_ms[part].tobytes())
    if dataset.fraud is not None:
        content.update(dataset.fraud[part].tobytes())
    return content.hexdigest()[:16]


def _score(scorer: OnnxScorer, dataset: Dataset, part: slice) -> Floats:
    """float64[n]: the scores of a part, given as the stream gives them."""
    return scorer.score([column.astype(np.float64) for column in dataset.matrix[part].T])


def _verify(scorer: OnnxScorer, trained: TrainedModel, dataset: Dataset, split: Split) -> None:
    """The artefact, loaded as the stream loads it, gives the trainer's scores on every test event.

    Raises:
        ModelError: It does not.
    """
    difference = np.abs(_score(scorer, dataset, split.test) - trained.predict(dataset.matrix[split.test]))
    largest = float(difference.max())
    if not largest <= trained.largest_difference:  # also where it is not a number
        raise ModelError(
            f"The ONNX model differs from the trainer's by up to {largest:g} on {len(difference):,} test events; "
            f"{trained.largest_difference:g} is allowed. Nothing was saved.",
            "This is a fault of the conversion: please report it with the versions of onnxruntime and the trainer.",
        )
