"""What a running pipeline is worth now: its traffic, the drift of inputs and score, and the quality by its labels."""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import numpy as np

from fraudstream.engine.column import Bools, Floats
from fraudstream.evaluate.curves import average_precision, curve_of
from fraudstream.evaluate.drift import counts_of, ks_of_counts, psi
from fraudstream.models.artifact import Manifest
from fraudstream.models.reference import Distribution
from fraudstream.monitoring.known import KnownLabels
from fraudstream.monitoring.logged import Logged
from fraudstream.units import MILLISECONDS

DAY_MS = MILLISECONDS["d"]
_NEWEST = 0.999
"""The newest event time is taken from this share of events: a single one from the future must not empty the window."""


class Periods(NamedTuple):
    """How far back to look, in event time before the newest decision.

    Attributes:
        over_ms: For traffic and distributions.
        labels_over_ms: For quality: labels are late.
        label_delay_ms: An event this old that nobody labelled counts as legitimate.
    """

    over_ms: int = DAY_MS
    labels_over_ms: int = 30 * DAY_MS
    label_delay_ms: int = 7 * DAY_MS


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided.

    Attributes:
        from_at, until_at: The oldest and the newest event, epoch milliseconds; None without events.
        decisions: How many, duplicates among them.
        alerts, blocked, degraded, duplicates, late: How many of them.
        alerts_per_day: By event time.
        model_alert_share: The share of events whose model score reached the review threshold.
        reference_alert_share: The same in the model's test.
    """

    from_at: int | None
    until_at: int | None
    decisions: int
    alerts: int
    blocked: int
    degraded: int
    duplicates: int
    late: int
    alerts_per_day: float
    model_alert_share: float | None
    reference_alert_share: float | None


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """How the values of an input, or the scores, differ from the reference.

    Attributes:
        name: The input; `score` of the model's score.
        psi: The population stability index.
        ks: The Kolmogorov–Smirnov distance at the edges of the reference's bins.
        null_rate, reference_null_rate: The share of nulls.
        out_of_range: The share of values outside the reference's range.
    """

    name: str
    psi: float
    ks: float | None
    null_rate: float
    reference_null_rate: float
    out_of_range: float


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """How right alerts and scores were, by the labels that have come.

    Attributes:
        known: Events that are labelled, or so old that they count as legitimate.
        labelled: The labelled ones.
        frauds, alerts: How many of the known.
        precision: The share of known alerts that are fraud.
        recall: The share of known frauds that were alerted.
        settled: Events as old as the label delay, scored by the model that serves now.
        average_precision: Of the model's score on the settled ones.
        reference_average_precision: The same in the model's test.
    """

    known: int
    labelled: int
    frauds: int
    alerts: int
    precision: float | None
    recall: float | None
    settled: int
    average_precision: float | None
    reference_average_precision: float | None


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """All that is seen at one moment.

    Attributes:
        model: The version that scored the newest decision; None where none did.
        traffic: What was decided.
        score: The drift of the score; None where nothing can be said.
        inputs: The drift of the model's inputs, the greatest first.
        quality: How right it was.
        notes: What could not be said, and why.
    """

    model: str | None
    traffic: Traffic
    score: Drift | None
    inputs: tuple[Drift, ...]
    quality: Quality
    notes: tuple[str, ...]


def newest_ms(logged: Logged) -> int:
    """The newest event time there is, but for a few that run ahead."""
    return int(np.quantile(logged.event_at_ms, _NEWEST, method="lower"))


def measure(
    logged: Logged,
    known: KnownLabels,
    manifest: Manifest | None,
    review_at: float,
    least_decisions: int,
    least_frauds: int,
    periods: Periods,
) -> Measured:
    """What is seen of a pipeline.

    Args:
        logged: Its decisions, the newest last.
        known: Its labels.
        manifest: Of the model that serves; None where it is not at hand.
        review_at: The policy's review threshold.
        least_decisions, least_frauds: With fewer nothing is said.
        periods: How far back to look.
    """
    end_ms = newest_ms(logged) if len(logged) else 0
    recent = logged.take(logged.event_at_ms > end_ms - periods.over_ms)
    version = next((name for name in logged.model[::-1].tolist() if name), None)
    metrics = {} if manifest is None else manifest.metrics
    notes = []
    inputs: list[Drift] = []
    score = None
    counted = recent.take(~recent.duplicate)
    scored = counted.take((counted.model == (version or "")) & ~np.isnan(counted.model_score))
    if manifest is None or manifest.reference is None:
        notes.append("no reference of the model is at hand: drift cannot be told")
    elif len(counted) < least_decisions:
        notes.append(f"{len(counted):,} decisions are too few to tell drift: {least_decisions:,} are wanted")
    else:
        reference = manifest.reference
        inputs = [
            drift_of(name, reference.features[name], _as_kept(counted.inputs[:, place], manifest.missing))
            for place, name in enumerate(manifest.features)
        ]
        if len(scored) >= least_decisions:
            score = drift_of("score", reference.score, scored.model_score)
    quality = _quality(logged, known, version, end_ms, periods, least_frauds, metrics.get("average_precision"))
    if quality.frauds < least_frauds:
        notes.append(f"{quality.frauds:,} known frauds are too few to tell precision and recall: {least_frauds:,}")
    return Measured(
        model=version,
        traffic=_traffic(recent, scored, review_at, metrics.get("alert_share")),
        score=score,
        inputs=tuple(sorted(inputs, key=lambda each: -each.psi)),
        quality=quality,
        notes=tuple(notes),
    )


def drift_of(name: str, reference: Distribution, values: Floats) -> Drift:
    """How float64[n], null as NaN, differ from what they were."""
    edges, expected = np.array(reference.edges, np.float64), np.array(reference.counts, np.int64)
    actual = counts_of(values, edges)
    known = values[~np.isnan(values)]
    outside = 0.0
    if len(known) and reference.low is not None and reference.high is not None:
        outside = float(np.mean((known < reference.low) | (known > reference.high)))
    distance = ks_of_counts(expected, actual)
    return Drift(
        name=name,
        psi=psi(expected, actual),
        ks=None if math.isnan(distance) else distance,
        null_rate=float(actual[-1] / len(values)),
        reference_null_rate=reference.null_rate,
        out_of_range=outside,
    )


def _as_kept(values: Floats, missing: float) -> Floats:
    """Values as the reference was made of: as the scorer takes them (float32), its number for null as null."""
    narrow = values.astype(np.float32)
    return np.where((narrow == np.float32(missing)) | ~np.isfinite(narrow), np.nan, narrow.astype(np.float64))


def _traffic(recent: Logged, scored: Logged, review_at: float, reference_alert_share: float | None) -> Traffic:
    times = recent.event_at_ms
    span_ms = max(int(times.max() - times.min()), 1) if len(recent) else 1
    return Traffic(
        from_at=int(times.min()) if len(recent) else None,
        until_at=int(times.max()) if len(recent) else None,
        decisions=len(recent),
        alerts=int(recent.alert.sum()),
        blocked=int(recent.block.sum()),
        degraded=int(recent.degraded.sum()),
        duplicates=int(recent.duplicate.sum()),
        late=int(recent.late.sum()),
        alerts_per_day=float(recent.alert.sum() * DAY_MS / max(span_ms, DAY_MS)),
        model_alert_share=float(np.mean(scored.model_score >= review_at)) if len(scored) else None,
        reference_alert_share=reference_alert_share,
    )


def _quality(
    logged: Logged,
    known: KnownLabels,
    version: str | None,
    end_ms: int,
    periods: Periods,
    least_frauds: int,
    reference: float | None,
) -> Quality:
    rows = logged.take(~logged.duplicate & (logged.event_at_ms > end_ms - periods.labels_over_ms))
    labelled, fraud = known.of(rows.id_low)
    old = rows.event_at_ms <= end_ms - periods.label_delay_ms if len(known) else np.zeros(len(rows), np.bool_)
    told = labelled | old
    right, alerts, frauds = int((rows.alert & fraud).sum()), int((rows.alert & told).sum()), int(fraud.sum())
    settled = old & (rows.model == (version or "")) & ~np.isnan(rows.model_score)
    enough = frauds >= least_frauds
    return Quality(
        known=int(told.sum()),
        labelled=int(labelled.sum()),
        frauds=frauds,
        alerts=alerts,
        precision=right / alerts if enough and alerts else None,
        recall=right / frauds if enough and frauds else None,
        settled=int(settled.sum()),
        average_precision=_average_precision(rows.model_score, fraud, settled, least_frauds),
        reference_average_precision=reference,
    )


def _average_precision(score: Floats, fraud: Bools, rows: Bools, least_frauds: int) -> float | None:
    frauds = int(fraud[rows].sum())
    if not frauds or frauds < least_frauds:
        return None
    return average_precision(curve_of(score[rows], fraud[rows]))
