"""What of the things seen is an alarm, by the limits that a pipeline declares."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from fraudstream.define.monitoring import Limits
from fraudstream.monitoring.measure import Drift, Measured
from fraudstream.monitoring.skew import Skewed

_FEWEST_ALERTS = 20
"""With fewer alerts expected their number says nothing."""


class Alarm(msgspec.Struct, frozen=True):
    """A limit that was passed.

    Attributes:
        limit: Which, as `monitor` declares it; `skew` has no limit but 0.
        about: What it is about: an input, `score`, or nothing further.
        found: What was found.
        allowed: What is allowed.
        text: A sentence for people.
    """

    limit: str
    about: str
    found: float
    allowed: float
    text: str


def alarms_of(measured: Measured, skewed: Skewed | None, limits: Limits) -> list[Alarm]:
    """The limits that were passed."""
    each = [*measured.inputs] + ([measured.score] if measured.score else [])
    found = [alarm for drift in each for alarm in _of_drift(drift, limits)]
    return [*found, *_of_traffic(measured, limits), *_of_quality(measured, limits), *_of_skew(skewed)]


def _of_drift(drift: Drift, limits: Limits) -> Iterator[Alarm]:
    name = drift.name
    if drift.psi > limits.psi:
        text = f"{name} is distributed otherwise than in the model's test: PSI {drift.psi:.2f}"
        yield Alarm("psi", name, drift.psi, limits.psi, text)
    if drift.ks is not None and drift.ks > limits.ks:
        yield Alarm("ks", name, drift.ks, limits.ks, f"{name} has moved: Kolmogorov–Smirnov distance {drift.ks:.2f}")
    moved = abs(drift.null_rate - drift.reference_null_rate)
    if moved > limits.null_rate:
        text = f"{name} is null in {drift.null_rate:.1%} of events, and was in {drift.reference_null_rate:.1%}"
        yield Alarm("null_rate", name, moved, limits.null_rate, text)
    if drift.out_of_range > limits.out_of_range:
        text = f"{drift.out_of_range:.1%} of the values of {name} lie outside what the model was tested on"
        yield Alarm("out_of_range", name, drift.out_of_range, limits.out_of_range, text)


def _of_traffic(measured: Measured, limits: Limits) -> Iterator[Alarm]:
    traffic = measured.traffic
    if limits.alerts_per_day is not None and traffic.alerts_per_day > limits.alerts_per_day:
        text = f"{traffic.alerts_per_day:,.0f} alerts a day"
        yield Alarm("alerts_per_day", "", traffic.alerts_per_day, limits.alerts_per_day, text)
    share = traffic.degraded / max(traffic.decisions, 1)
    if traffic.decisions >= limits.least_decisions and share > limits.degraded:
        yield Alarm("degraded", "", share, limits.degraded, f"{share:.1%} of decisions were made without the model")
    now, before = traffic.model_alert_share, traffic.reference_alert_share
    if now is None or before is None or measured.score is None or max(now, before) * traffic.decisions < _FEWEST_ALERTS:
        return
    ratio = max(now, before) / max(min(now, before), 1 / traffic.decisions)
    if ratio > limits.alert_ratio:
        text = f"the model alerts on {now:.2%} of events, and did on {before:.2%} in its test"
        yield Alarm("alert_ratio", "", ratio, limits.alert_ratio, text)


def _of_quality(measured: Measured, limits: Limits) -> Iterator[Alarm]:
    quality = measured.quality
    for name, value, least in (
        ("precision", quality.precision, limits.precision),
        ("recall", quality.recall, limits.recall),
    ):
        if value is not None and least is not None and value < least:
            yield Alarm(name, "", value, least, f"{name} is {value:.1%}")
    now, before = quality.average_precision, quality.reference_average_precision
    if now is not None and before:
        loss = 1 - now / before
        if loss > limits.average_precision_loss:
            text = f"average precision is {now:.3f}, {loss:.0%} below the {before:.3f} of the model's test"
            yield Alarm("average_precision_loss", "", loss, limits.average_precision_loss, text)


def _of_skew(skewed: Skewed | None) -> Iterator[Alarm]:
    if skewed is not None and skewed.differing:
        names = ", ".join(skewed.features)
        text = f"{skewed.differing:,} of {skewed.checked:,} decisions logged other features than the log gives: {names}"
        yield Alarm("skew", "", float(skewed.differing), 0.0, text)
