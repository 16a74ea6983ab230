"""What is seen of a pipeline, as metrics; docs/metrics.md lists them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fraudstream.monitoring.watch import Report, Sources
from fraudstream.telemetry.series import Series, gauge


class Board:
    """Shows the newest report of a watch; series of what is no longer seen end.

    Args:
        sources: What the watch is fed from.
    """

    stuck_after_s = 600.0  # a report over many decisions takes its time

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._report: Report | None = None

    @property
    def moved_at_s(self) -> float:
        """When the sources were last read, by the monotonic clock."""
        return self._sources.moved_at_s

    def show(self, report: Report) -> None:
        """Shows this report from now on."""
        self._report = report

    def unready(self) -> str | None:
        """Whether there is no report yet, or none that would be new."""
        if self._report is None:
            return "what is there already is being read"
        return self._sources.unready()

    def series(self) -> Iterable[Series]:
        """The metrics of the newest report."""
        return [] if self._report is None else series_of(self._report)


def series_of(report: Report) -> Iterable[Series]:
    """A report as series; what is not known has no sample."""
    seen, skewed = report.measured, report.skewed
    traffic, quality = seen.traffic, seen.quality
    drifts = [*seen.inputs, *([seen.score] if seen.score else [])]
    yield gauge("watched_decisions", "Decisions in the window.", traffic.decisions)
    yield gauge("watched_alerts", "Alerts in the window.", traffic.alerts)
    yield gauge("watched_alerts_per_day", "Alerts a day of event time.", traffic.alerts_per_day)
    yield gauge("watched_degraded", "Decisions in the window without the model's score.", traffic.degraded)
    yield gauge("model_alert_share", "Share of events whose score reached the threshold.", traffic.model_alert_share)
    yield gauge("drift_psi", "Population stability index.", {each.name: each.psi for each in drifts}, "input")
    yield gauge(
        "drift_ks",
        "Kolmogorov-Smirnov distance.",
        {each.name: each.ks for each in drifts if each.ks is not None},
        "input",
    )
    yield gauge("null_share", "Share of nulls.", {each.name: each.null_rate for each in drifts}, "input")
    yield gauge(
        "out_of_range_share", "Share outside the reference.", {each.name: each.out_of_range for each in drifts}, "input"
    )
    yield gauge("labelled_events", "Decisions in the window that are labelled.", quality.labelled)
    yield gauge("known_frauds", "Known frauds in the window.", quality.frauds)
    yield gauge("precision", "Share of known alerts that are fraud.", quality.precision)
    yield gauge("recall", "Share of known frauds that were alerted.", quality.recall)
    yield gauge("average_precision", "Of the model's score on settled events.", quality.average_precision)
    yield gauge(
        "skew_checked", "Decisions whose features were computed again.", None if skewed is None else skewed.checked
    )
    yield gauge("skew_differing", "Decisions logged with other features.", None if skewed is None else skewed.differing)
    yield gauge("alarms", "Limits that are passed now.", Counter(alarm.limit for alarm in report.alarms), "limit")
