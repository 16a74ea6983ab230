"""Prequential evaluation: train, wait as long as labels take, test on the next period, move on, and again.

The protocol of the Fraud Detection Handbook (Le Borgne et al., Université Libre de Bruxelles, chapter 5): a model is
judged on several periods, each after the gap in which the labels of the last days were not known yet, and without the
keys (cards, customers) that were known to be compromised by then, because nobody needs a model to find those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fraudstream.define.decision import ModelRef
from fraudstream.errors import DataError
from fraudstream.evaluate.calibration import calibrate
from fraudstream.evaluate.curves import auc_roc, average_precision, curve_of
from fraudstream.evaluate.daily import precision_of_top_keys
from fraudstream.training.dataset import Dataset
from fraudstream.training.probability import fit_probability
from fraudstream.training.score_map import best_threshold
from fraudstream.training.split import FEWEST_EVENTS, STOP_SHARE, Split
from fraudstream.training.trainers import Show, TrainedModel, fit
from fraudstream.units import MILLISECONDS, format_instant

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
DAY_MS = MILLISECONDS["d"]


@dataclass(frozen=True)
class Protocol:
    """How to judge.

    Attributes:
        folds: How many test periods, one after the other.
        test_span_ms: How long each is, whole days.
        train_span_ms: How long a time is learned from.
        label_delay_ms: How long labels take: training ends so long before the test begins.
        test_from_ms: Where the first test period begins; None: so that the last one ends with the history's last day.
        top_keys: How many keys investigators can look at in a day.
        seed: Of everything random.
    """

    folds: int = 4
    test_span_ms: int = 7 * DAY_MS
    train_span_ms: int = 28 * DAY_MS
    label_delay_ms: int = 7 * DAY_MS
    test_from_ms: int | None = None
    top_keys: int = 100
    seed: int = 1


@dataclass(frozen=True)
class Fold:
    """One test period.

    Attributes:
        train_from_ms, train_until_ms: What was learned from.
        test_from_ms, test_until_ms: What it was tested on.
        events, frauds: How many were tested on.
        left_out: How many events were of keys known to be compromised.
        measures: See `evaluate_fold`.
    """

    train_from_ms: int
    train_until_ms: int
    test_from_ms: int
    test_until_ms: int
    events: int
    frauds: int
    left_out: int
    measures: Mapping[str, float]


@dataclass(frozen=True)
class Tested:
    """A test period with all that was found on it.

    Attributes:
        fold: Its measures.
        split: What was learned from and tested on.
        model: The model that was judged.
        rows: int64[m], the rows of the data set tested on.
        raw: float64[m], their raw scores.
        threshold: The raw score that alerts; None where none is known.
        probability: float64[m], what the scores mean; None where they mean nothing, as those of an anomaly model.
    """

    fold: Fold
    split: Split
    model: TrainedModel
    rows: Int64s
    raw: Floats
    threshold: float | None
    probability: Floats | None


def evaluate(
    model: ModelRef,
    dataset: Dataset,
    protocol: Protocol,
    show: Show = lambda *_: None,
    keep: Callable[[Tested], None] = lambda _: None,
) -> list[Fold]:
    """The folds of a history.

    Args:
        model: What is trained, and how.
        dataset: The whole history, with its truth.
        protocol: How to judge.
        show: Progress.
        keep: Called with each fold and all that was found on it.

    Raises:
        DataError: The history is too short for the folds, or a period has no frauds.
    """
    start = protocol.test_from_ms
    if start is None:
        end = (int(dataset.event_at_ms[-1]) // DAY_MS + 1) * DAY_MS
        start = end - protocol.folds * protocol.test_span_ms
    folds = []
    for number in range(protocol.folds):
        show("folds", number, protocol.folds)
        tested = _fold(model, dataset, protocol, start + number * protocol.test_span_ms)
        keep(tested)
        folds.append(tested.fold)
    show("folds", protocol.folds, protocol.folds)
    return folds


def summary(folds: list[Fold]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation (of the sample, n - 1) over the folds, of each measure that all of them have."""
    found = {}
    for name in (name for name in folds[0].measures if all(name in fold.measures for fold in folds)):
        values = np.array([fold.measures[name] for fold in folds])
        found[name] = (float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else 0.0)
    return found


def _fold(model: ModelRef, dataset: Dataset, protocol: Protocol, test_from_ms: int) -> Tested:
    fraud = dataset.fraud
    assert fraud is not None
    train_until_ms = test_from_ms - protocol.label_delay_ms
    train_from_ms = train_until_ms - protocol.train_span_ms
    test_until_ms = test_from_ms + protocol.test_span_ms
    first, end, start, stop = np.searchsorted(
        dataset.event_at_ms, [train_from_ms, train_until_ms, test_from_ms, test_until_ms]
    ).tolist()
    split = Split(
        slice(first, end - round((end - first) * STOP_SHARE)),
        slice(end - round((end - first) * STOP_SHARE), end),
        slice(start, stop),
        protocol.label_delay_ms,
        test_from_ms,
    )
    if min(split.learn.stop - first, stop - start) < FEWEST_EVENTS or dataset.event_at_ms[0] > train_from_ms:
        raise DataError(
            f"The history from {_day(int(dataset.event_at_ms[0]))} to {_day(int(dataset.event_at_ms[-1]))} does not "
            f"cover training from {_day(train_from_ms)} and the test from {_day(test_from_ms)}.",
            "Give a longer history, fewer --folds, or a shorter --train-span or --label-delay.",
        )
    known = _known(dataset, protocol, train_until_ms, split.test)
    rows = start + np.flatnonzero(~known)
    if not fraud[rows].any() or fraud[rows].all():
        raise DataError(
            f"Of the {len(rows):,} events tested on from {_day(test_from_ms)}, {int(fraud[rows].sum()):,} are fraud.",
            "Both kinds are needed. Choose longer or other test periods.",
        )
    fitted = fit(model, dataset, split, protocol.seed, lambda *_: None)
    threshold, curve = None, None
    if fitted.held is not None:
        held = dataset.fraud_known_by(test_from_ms)[split.stop]
        threshold, curve = best_threshold(fitted.held, held), fit_probability(fitted.held, held)
    raw = fitted.model.predict(dataset.matrix[rows])
    probability = None if curve is None else curve.of(raw)
    measures = evaluate_fold(raw, rows, dataset, protocol.top_keys, threshold, probability)
    fold = Fold(
        train_from_ms,
        train_until_ms,
        test_from_ms,
        test_until_ms,
        len(rows),
        int(fraud[rows].sum()),
        int(known.sum()),
        measures,
    )
    return Tested(fold, split, fitted.model, rows, raw, threshold, probability)


def evaluate_fold(
    raw: Floats,
    rows: Int64s,
    dataset: Dataset,
    top_keys: int,
    threshold: float | None,
    probability: Floats | None = None,
) -> dict[str, float]:
    """What a model's raw scores of some rows are worth.

    Args:
        raw: float64[m], the scores.
        rows: int64[m], the rows of the data set.
        top_keys: How many keys investigators can look at in a day.
        threshold: The raw score that alerts; None: none is known, and what rests on it is left out.
        probability: float64[m], what the scores say of the probability of fraud; None: nothing.

    Returns:
        `auc` and `ap` (average precision); with a key field `cp` (the share of a day's `top_keys` keys that are
        compromised, mean over days); with probabilities `brier` and `calibration_error`; with a threshold `precision`
        and `recall`; with an amount as well `money_caught` (the share of the frauds' amounts that was alerted) and
        `money_disturbed` (the share of the genuine events' amounts that was).
    """
    assert dataset.fraud is not None
    fraud = dataset.fraud[rows]
    curve = curve_of(raw, fraud)
    found = {"auc": auc_roc(curve), "ap": average_precision(curve)}
    if dataset.key is not None:
        days = dataset.event_at_ms[rows] // DAY_MS
        found["cp"] = float(precision_of_top_keys(raw, fraud, dataset.key[rows], days, top_keys).mean())
    if probability is not None:
        calibration = calibrate(probability, fraud)
        found |= {"brier": calibration.brier, "calibration_error": calibration.error}
    if threshold is None:
        return found
    alert = raw >= threshold
    right = int((alert & fraud).sum())
    found |= {"precision": right / max(int(alert.sum()), 1), "recall": right / int(fraud.sum())}
    if dataset.amount is not None:
        amount = np.nan_to_num(dataset.amount[rows])
        for name, kind in (("money_caught", fraud), ("money_disturbed", ~fraud)):
            found[name] = float(amount[alert & kind].sum() / max(amount[kind].sum(), 1e-9))
    return found


def _known(dataset: Dataset, protocol: Protocol, train_until_ms: int, test: slice) -> npt.NDArray[np.bool_]:
    """bool[test events]: whose key was known to be compromised when the day of the event began.

    Known are frauds from the last `test_span` of training on (the handbook's training week) whose label had come.
    """
    if dataset.key is None:
        return np.zeros(test.stop - test.start, np.bool_)
    assert dataset.fraud is not None
    times = dataset.event_at_ms
    day = times[test] // DAY_MS
    known = np.zeros(len(day), np.bool_)
    came_ms = times + protocol.label_delay_ms if dataset.known_at_ms is None else dataset.known_at_ms
    known_at_ms = np.where(dataset.fraud, came_ms, np.iinfo(np.int64).max)
    since = int(np.searchsorted(times, train_until_ms - protocol.test_span_ms))
    for each in np.unique(day).tolist():
        day_at_ms = each * DAY_MS
        before = slice(since, max(since, int(np.searchsorted(times, day_at_ms))))
        compromised = np.unique(dataset.key[before][known_at_ms[before] < day_at_ms])
        today = np.flatnonzero(day == each)
        known[today] = np.isin(dataset.key[test][today], compromised)
    return known


def _day(at_ms: int) -> str:
    return format_instant(at_ms)[:10]
