"""From where on what is seen of a running pipeline is an alarm."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The limits of `fraudstream monitor`. They change no decision and are no part of the pipeline's version.

    Attributes:
        psi: The largest population stability index of an input or the score against the model's reference.
        ks: The largest Kolmogorov–Smirnov distance of one.
        null_rate: By how much the share of nulls of an input may differ from the reference.
        out_of_range: The largest share of an input's values outside the reference's range.
        alert_ratio: How many times as many, or as few, of the events as in the model's test may be alerts.
        alerts_per_day: The most alerts in a day; None: any number.
        degraded: The largest share of decisions without the model's score.
        average_precision_loss: How much less average precision than in its test a model may have, as a share of it.
        precision: The least share of alerts that are fraud; None: any.
        recall: The least share of frauds that were alerted; None: any.
        least_decisions: With fewer decisions nothing is said of distributions and shares.
        least_frauds: With fewer known frauds nothing is said of precision and recall.
    """

    psi: float = 0.25
    ks: float = 0.25
    null_rate: float = 0.05
    out_of_range: float = 0.02
    alert_ratio: float = 3.0
    alerts_per_day: float | None = None
    degraded: float = 0.01
    average_precision_loss: float = 0.2
    precision: float | None = None
    recall: float | None = None
    least_decisions: int = 500
    least_frauds: int = 20


DEFAULT_LIMITS = Limits()
