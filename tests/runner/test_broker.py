"""The broker goes away under a scorer and comes back."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fraudstream.kafka.local import LocalBroker
from fraudstream.settings import load_settings

from .small import assert_once, events, pipeline, score_here
from .workbench import Workbench

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@contextmanager
def where_it_hangs(process: subprocess.Popen[str]) -> Iterator[None]:
    """If what is waited for does not come, the process ends and leaves the stack of every thread in its log."""
    try:
        yield
    except AssertionError:
        process.send_signal(signal.SIGABRT)
        process.wait(10)
        raise


def test_a_broker_that_restarts_under_load_changes_nothing(tmp_path: Path, unique_id: str) -> None:
    """The scorer goes on by itself, or ends with a clear error; either way every event is decided once."""
    broker = LocalBroker(tmp_path / "kafka", heap_mb=256)
    try:
        address = broker.start().bootstrap_servers
        settings = load_settings({"bootstrap_servers": str(address)}, environ={}, folder=tmp_path)
        bench = Workbench(settings, pipeline(shops=True), tmp_path, unique_id)
        topic = bench.pipeline.input.name
        total = 60_000
        values, keys = events(total)
        bench.produce(topic, values, keys)
        scorer = bench.start(env={"PYTHONFAULTHANDLER": "1"})
        bench.wait_for(lambda: bench.committed_events() > 0)
        broker.stop()
        time.sleep(2)
        broker.start()
        more, more_keys = events(500, begin=total)
        bench.produce(topic, more, more_keys)
        with where_it_hangs(scorer):
            bench.wait_for(lambda: scorer.poll() is not None or bench.committed_events() == total + 500, 90)
        log = (tmp_path / "scorer.log").read_text()
        assert "Traceback" not in log
        if scorer.poll() is None:
            scorer.terminate()
            assert scorer.wait(20) == 0, log
        else:
            assert scorer.poll() == 3, log
            assert log.splitlines()[-1].startswith("error: ")
        score_here(bench)
        assert_once(bench)
    finally:
        broker.clean(force=True)
