"""What is seen of a pipeline as Prometheus metrics, on a port of its own."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from fraudstream.errors import UsageError
from fraudstream.monitoring.watch import Report

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class Exporter:
    """Serves the newest report to Prometheus; series of what is no longer seen end.

    Args:
        port: Where to listen; 0: any free port.
        host: On which address.

    Attributes:
        port: Where it listens.

    Raises:
        UsageError: The library is not installed, or the port is taken.
    """

    def __init__(self, port: int, host: str = "0.0.0.0") -> None:  # noqa: S104 - Prometheus comes from elsewhere
        if importlib.util.find_spec("prometheus_client") is None:
            raise UsageError(
                "Metrics need prometheus-client, which is not installed.", "Run `pip install 'fraudstream[metrics]'`."
            )
        from prometheus_client import CollectorRegistry, start_http_server

        self._report: Report | None = None
        registry = CollectorRegistry()
        registry.register(self)
        try:
            self._server, _ = start_http_server(port, host, registry)
        except OSError as taken:
            raise UsageError(f"--metrics-port {port}: {taken.strerror}.", "Choose another port.") from None
        self.port = int(self._server.server_port)

    def show(self, report: Report) -> None:
        """Serves this report from now on."""
        self._report = report

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()

    def collect(self) -> Iterator[Metric]:
        """The metrics of the newest report; Prometheus's client asks for them."""
        from prometheus_client.core import GaugeMetricFamily

        if self._report is None:
            return
        for name, help_, about, samples in series_of(self._report):
            family = GaugeMetricFamily(f"fraudstream_{name}", help_, labels=["pipeline", *([about] if about else [])])
            for value, of in samples:
                family.add_metric([self._report.pipeline, *([of] if about else [])], value)
            yield family


Samples = list[tuple[float, str]]


def series_of(report: Report) -> Iterable[tuple[str, str, str, Samples]]:
    """Each metric's name, help, what its samples are told apart by, and these; what is not known has no sample."""
    seen, skewed = report.measured, report.skewed
    traffic, quality = seen.traffic, seen.quality
    drifts = [*seen.inputs, *([seen.score] if seen.score else [])]

    def of(value: float | None) -> Samples:
        return [] if value is None else [(float(value), "")]

    yield "watched_decisions", "Decisions in the window.", "", of(traffic.decisions)
    yield "watched_alerts", "Alerts in the window.", "", of(traffic.alerts)
    yield "watched_alerts_per_day", "Alerts a day of event time.", "", of(traffic.alerts_per_day)
    yield "watched_degraded", "Decisions in the window without the model's score.", "", of(traffic.degraded)
    yield "model_alert_share", "Share of events whose score reached the threshold.", "", of(traffic.model_alert_share)
    yield "drift_psi", "Population stability index.", "input", [(each.psi, each.name) for each in drifts]
    distances = [(each.ks, each.name) for each in drifts if each.ks is not None]
    yield "drift_ks", "Kolmogorov-Smirnov distance.", "input", distances
    yield "null_share", "Share of nulls.", "input", [(each.null_rate, each.name) for each in drifts]
    yield "out_of_range_share", "Share outside the reference.", "input", [(e.out_of_range, e.name) for e in drifts]
    yield "labelled_events", "Decisions in the window that are labelled.", "", of(quality.labelled)
    yield "known_frauds", "Known frauds in the window.", "", of(quality.frauds)
    yield "precision", "Share of known alerts that are fraud.", "", of(quality.precision)
    yield "recall", "Share of known frauds that were alerted.", "", of(quality.recall)
    yield "average_precision", "Of the model's score on settled events.", "", of(quality.average_precision)
    yield (
        "skew_checked",
        "Decisions whose features were computed again.",
        "",
        of(None if skewed is None else skewed.checked),
    )
    yield (
        "skew_differing",
        "Decisions logged with other features.",
        "",
        of(None if skewed is None else skewed.differing),
    )
    counts: dict[str, int] = {}
    for alarm in report.alarms:
        counts[alarm.limit] = counts.get(alarm.limit, 0) + 1
    yield "alarms", "Limits that are passed now.", "limit", [(float(count), limit) for limit, count in counts.items()]
