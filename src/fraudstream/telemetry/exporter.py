"""Metrics and health of a process over HTTP: `/metrics` for Prometheus, `/healthz` and `/readyz` for its supervisor.

Everything is asked for when somebody asks: the process itself does nothing for it but count.
"""

from __future__ import annotations

import importlib.util
import logging
import platform
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

from fraudstream.errors import UsageError
from fraudstream.telemetry.histogram import Histogram
from fraudstream.telemetry.series import Series, gauge

if TYPE_CHECKING:
    from prometheus_client.core import Metric

LOGGER = logging.getLogger("fraudstream.telemetry")

STUCK_AFTER_S = 120.0
"""A loop that did not move for so long is stuck, where it does not say otherwise. Waiting for Kafka, a database or work
counts as moving: the longest that a scorer is away, while its producers are rebuilt without a broker, is half of it."""


class Watched(Protocol):
    """A process's loop, as it is seen from outside. Everything here is called on other threads than the loop's."""

    @property
    def moved_at_s(self) -> float:
        """When the loop last went round, by the monotonic clock."""

    @property
    def stuck_after_s(self) -> float:
        """For how long it may not move before it counts as stuck."""

    def unready(self) -> str | None:
        """Why it cannot do its work now; None where it can."""

    def series(self) -> Iterable[Series]:
        """Its metrics."""


class Exporter:
    """Serves until closed; before it is given a loop to watch, the process is alive and not ready.

    Args:
        port: Where to listen; 0: any free port.
        host: On which address.
        command: What the process is, such as `run`.
        labels: Labels of every series of the process, such as its pipeline.

    Attributes:
        port: Where it listens.

    Raises:
        UsageError: The library is not installed, or the address cannot be had.
    """

    def __init__(self, port: int, host: str, command: str, labels: Mapping[str, str]) -> None:
        if importlib.util.find_spec("prometheus_client") is None:
            raise UsageError(
                "Metrics need prometheus-client, which is not installed.", "Run `pip install 'fraudstream[metrics]'`."
            )
        from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector

        self._watched: Watched | None = None
        self._labels = dict(labels)
        self._command = command
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(self)
        try:
            self._server = _Server((host, port), _Handler)
        except OSError as taken:
            raise UsageError(
                f"Metrics cannot be served at {host}:{port}: {taken.strerror}.",
                "Choose another --metrics-port, or set metrics_host to an address of this machine.",
            ) from None
        self._server.exporter = self
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="metrics", daemon=True).start()

    def watch(self, watched: Watched) -> None:
        """Serves what this loop tells from now on."""
        self._watched = watched

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()

    def stuck(self) -> str | None:
        """Why the process should be restarted; None where it is alive."""
        if self._watched is None:
            return None
        idle_s = time.monotonic() - self._watched.moved_at_s
        return f"the loop has not moved for {idle_s:.0f} s" if idle_s > self._watched.stuck_after_s else None

    def unready(self) -> str | None:
        """Why the process cannot do its work now; None where it can."""
        if self._watched is None:
            return "it is starting"
        return self.stuck() or self._watched.unready()

    def collect(self) -> Iterator[Metric]:
        """The metrics; Prometheus's client asks for them."""
        for series in self._series():
            yield _family(series, self._labels)

    def _series(self) -> Iterable[Series]:
        about = {(self._command, version("fraudstream"), platform.python_version()): 1}
        yield gauge("process_info", "What the process is.", about, "command", "version", "python")
        yield gauge("ready", "1 where the process can do its work (/readyz).", int(self.unready() is None))
        watched = self._watched
        if watched is not None:
            idle_s = time.monotonic() - watched.moved_at_s
            yield gauge("loop_idle_seconds", "Since the loop last went round (/healthz).", idle_s)
            yield from watched.series()


def _family(series: Series, labels: Mapping[str, str]) -> Metric:
    """A series as Prometheus's client takes it."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
    from prometheus_client.utils import floatToGoString

    name, names = f"fraudstream_{series.name}", [*labels, *series.labels]
    of = list(labels.values())
    if series.kind == "histogram":
        distribution = HistogramMetricFamily(name, series.help, labels=names)
        for values, counted in series.samples.items():
            assert isinstance(counted, Histogram)
            cumulative, total = counted.read()
            edges = [*map(floatToGoString, counted.edges), "+Inf"]
            distribution.add_metric([*of, *values], list(zip(edges, cumulative, strict=True)), total)
        return distribution
    kind = CounterMetricFamily if series.kind == "counter" else GaugeMetricFamily
    family = kind(name, series.help, labels=names)
    for values, number in series.samples.items():
        assert not isinstance(number, Histogram)
        family.add_metric([*of, *values], float(number))
    return family


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    exporter: Exporter

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A request failed; who asked and went away meanwhile is no news."""
        if not isinstance(sys.exception(), ConnectionError):
            LOGGER.warning("a request for metrics or health failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD; nothing that is sent is read."""

    server: _Server
    timeout = 10

    def do_GET(self) -> None:
        """Answers one request."""
        exporter = self.server.exporter
        path = self.path.partition("?")[0]
        if path == "/metrics":
            from prometheus_client.exposition import choose_encoder

            encode, kind = choose_encoder(self.headers.get("Accept", ""))
            self._answer(200, encode(exporter.registry), kind)
        elif path in ("/healthz", "/readyz"):
            wrong = exporter.stuck() if path == "/healthz" else exporter.unready()
            self._answer(200 if wrong is None else 503, f"{wrong or 'ok'}\n".encode())
        else:
            self._answer(404, b"see /metrics, /healthz and /readyz\n")

    do_HEAD = do_GET  # noqa: N815 - likewise

    def _answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        """What the header `Server` says: nothing that helps an attacker."""
        return "fraudstream"

    def log_message(self, *_: Any) -> None:
        """Requests are not logged."""
