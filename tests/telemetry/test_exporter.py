"""The port of metrics and health: what it answers where something is wrong."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from fraudstream.errors import SettingError, UsageError
from fraudstream.settings import load_settings
from fraudstream.telemetry.exporter import Exporter
from fraudstream.telemetry.histogram import Histogram
from fraudstream.telemetry.series import Series, counter, histogram
from servers import receiver

from .scraped import Scraped, get, serving


class Loop:
    """A loop that tells what it is given."""

    stuck_after_s = 60.0

    def __init__(self, *told: Series) -> None:
        self.moved_at_s = time.monotonic()
        self.told: Iterable[Series] = told

    def unready(self) -> str | None:
        return None

    def series(self) -> Iterable[Series]:
        yield from self.told


def test_buckets_are_those_of_the_values() -> None:
    """Edges belong to the bucket below them, as Prometheus's `le` says; NaN is left out."""
    counted = Histogram((0.1, 0.5, 1.0))
    counted.add(np.array([0.1, 0.3, np.nan, 1.0, 7.0]))
    counted.add_one(0.5)
    with serving(Loop(histogram("x", "X.", {"a": counted}, "of")), "test") as port:
        seen = Scraped(port)
    assert [seen.of("x_bucket", of="a", le=le) for le in ("0.1", "0.5", "1.0", "+Inf")] == [1, 3, 4, 5]
    assert (seen.of("x_count"), seen.of("x_sum")) == (5, pytest.approx(8.9))
    seen.assert_sound()


def test_a_scrape_that_fails_is_a_line_of_the_log_and_health_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    loop = Loop()

    def broken() -> Any:
        yield counter("x_total", "X.", 1)
        raise RuntimeError("odd")

    with serving(loop, "test") as port:
        loop.told = broken()
        with pytest.raises(http.client.HTTPException):
            get(port, "/metrics")
        assert get(port, "/healthz") == (200, "ok\n")
    assert [record.message for record in caplog.records] == ["a request for metrics or health failed"]


def test_a_stuck_loop_is_neither_alive_nor_ready() -> None:
    loop = Loop()
    loop.moved_at_s -= 61
    with serving(loop, "test") as port:
        assert get(port, "/healthz") == get(port, "/readyz") == (503, "the loop has not moved for 61 s\n")
        assert Scraped(port).of("ready") == 0 and Scraped(port).of("loop_idle_seconds") > 60  # type: ignore[operator]


def test_an_address_that_cannot_be_had_is_said_in_a_sentence() -> None:
    with receiver() as server, pytest.raises(UsageError, match=r"cannot be served at 127\.0\.0\.1"):
        Exporter(server.port, "127.0.0.1", "test", {})
    for port in ("70000", "http", "-1"):
        with pytest.raises(SettingError, match="whole number from 0 to 65,535"):
            load_settings({"metrics_port": port}, environ={})
