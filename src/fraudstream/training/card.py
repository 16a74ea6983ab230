"""What goes onto a model's card: periods, intervals, segments, limits, and golden inputs with their scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudstream.evaluate.bootstrap import bootstrap_intervals
from fraudstream.models.artifact import Golden
from fraudstream.models.card import Card, Period, Segment
from fraudstream.training.dataset import Dataset
from fraudstream.training.split import Split
from fraudstream.units import format_duration, format_instant

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

GOLDEN_ROWS = 16
_FEW_FRAUDS = 100
_MOST_VALUES = 6
_QUARTERS = (0, 25, 50, 75, 100)
_HOUR_MS = 3_600_000


def make_card(
    dataset: Dataset,
    split: Split,
    score: Floats,
    features: Sequence[str],
    review_at: float,
    parameters: dict[str, Any],
    seed: int,
    calibration: str,
    absent: Sequence[str],
    search: str,
) -> Card:
    """The card of a model.

    Args:
        dataset: What it was made from.
        split: Which part was what.
        score: float64[test events], its scores on the test.
        features: Its inputs.
        review_at: The policy's review threshold.
        parameters: The trainer's.
        seed: Of everything random.
        calibration: How probabilities were fitted; "" where they were not.
        absent: Fields the history did not have.
        search: How parameters were found; "" where they are the pipeline's.
    """
    test = split.test
    fraud = None if dataset.fraud is None else dataset.fraud[test]
    intervals: dict[str, tuple[float, float]] = {}
    segments: tuple[Segment, ...] = ()
    if fraud is not None and fraud.any() and not fraud.all():
        key = None if dataset.key is None else dataset.key[test]
        intervals = bootstrap_intervals(score, fraud, review_at, key, seed)
        segments = tuple(
            Segment(
                name=name,
                events=int(rows.sum()),
                frauds=int((rows & fraud).sum()),
                alerts=int((rows & (score >= review_at)).sum()),
                right=int((rows & fraud & (score >= review_at)).sum()),
            )
            for name, rows in _segments(dataset, test, features)
        )
    return Card(
        training=_period(dataset, slice(split.learn.start, split.stop.stop)),
        test=_period(dataset, test),
        parameters=parameters,
        seed=seed,
        intervals=intervals,
        segments=segments,
        calibration=calibration,
        search=search,
        limits=tuple(_limits(dataset, split, fraud, calibration, absent)),
    )


def golden_of(matrix: npt.NDArray[np.float32], score: Floats) -> Golden:
    """Rows of a test and their scores: from the lowest score to the highest, equally far apart by rank."""
    order = np.argsort(score, kind="stable")
    rows = order[np.unique(np.linspace(0, len(order) - 1, GOLDEN_ROWS).round().astype(np.int64))]
    inputs = matrix[rows].astype(np.float64).tolist()
    return Golden(inputs=tuple(map(tuple, inputs)), scores=tuple(score[rows].tolist()))


def _period(dataset: Dataset, part: slice) -> Period:
    return Period(
        begin=format_instant(int(dataset.event_at_ms[part.start])),
        end=format_instant(int(dataset.event_at_ms[part.stop - 1])),
        events=part.stop - part.start,
        frauds=None if dataset.fraud is None else int(dataset.fraud[part].sum()),
    )


def _segments(dataset: Dataset, test: slice, features: Sequence[str]) -> Iterator[tuple[str, Bools]]:
    """Quarters of the amount and of the day, and every input that has few values."""
    if dataset.amount is not None:
        amount = dataset.amount[test]
        edges = np.unique(np.nanpercentile(amount, _QUARTERS)) if np.isfinite(amount).any() else np.empty(0)
        for number, (low, high) in enumerate(pairwise(edges)):
            is_last = number == len(edges) - 2
            yield (
                f"amount from {low:g} {'to' if is_last else 'to below'} {high:g}",
                (amount >= low) & ((amount <= high) if is_last else (amount < high)),
            )
    hour = dataset.event_at_ms[test] // _HOUR_MS % 24
    for begin in (0, 6, 12, 18):
        yield f"{begin:02}:00 to {begin + 6:02}:00 UTC", (hour >= begin) & (hour < begin + 6)
    for column, name in enumerate(features):
        values = dataset.matrix[test, column]
        different = np.unique(values[:10_000])
        if 2 <= len(different) <= _MOST_VALUES and len(different := np.unique(values)) <= _MOST_VALUES:
            for value in different.tolist():
                yield f"{name} = {value:g}", values == value


def _limits(
    dataset: Dataset, split: Split, fraud: Bools | None, calibration: str, absent: Sequence[str]
) -> Iterator[str]:
    at_ms = dataset.event_at_ms
    days = format_duration(max(int(at_ms[split.test.stop - 1] - at_ms[split.test.start]) // _HOUR_MS, 1) * _HOUR_MS)
    yield f"It was tested on one period of {days}; fraud comes in waves, and `fraudstream evaluate` judges several."
    if split.gap_ms:
        yield (
            f"Labels were taken to come {format_duration(split.gap_ms)} late at the most: frauds that come to light "
            "later count as genuine, in training and here."
        )
    if fraud is None:
        yield "Nothing said which events were fraud: how well it finds them is not known."
    elif int(fraud.sum()) < _FEW_FRAUDS:
        yield f"The test has {int(fraud.sum()):,} frauds: measures of it are uncertain, see the intervals."
    if not calibration:
        yield "Its score says nothing about the probability of fraud, only which events are more suspect than others."
    if absent:
        yield f"The history had no {', '.join(absent)}: whatever rests on that is null in it, and was not learned from."
    yield "It knows the kinds of fraud that were in its history; `fraudstream monitor` tells when events drift away."
