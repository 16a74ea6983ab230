"""Where faults happen: a broker, a pipeline with traffic, its scorers, a watching reader, the checker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from invariants import Facts
from proxy import Proxy
from reading import consumer_of, ends
from scorers import Scorers, wait_until
from traffic import Traffic

from fraudstream.kafka.local import LocalBroker
from fraudstream.settings import load_settings
from runner.small import pipeline
from runner.workbench import Workbench

CHECKER = Path(__file__).with_name("checker.py")


class Field:
    """All of it, running. Use as a context.

    Args:
        folder: Where everything goes.
        seed: Of the traffic.
        rate: Records a second.
        bootstrap: A broker that is there already; None starts one, which faults may be aimed at.
        name: A name no other run on that broker uses.
        proxied: Whether scorers (and nothing else) reach the broker through `proxy`.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        rate: int,
        bootstrap: str | None = None,
        name: str = "chaos",
        *,
        proxied: bool = False,
    ) -> None:
        self.folder = folder
        self.broker: LocalBroker | None = None
        if bootstrap is None:
            self.broker = LocalBroker(folder / "kafka", heap_mb=384)
            bootstrap = str(self.broker.start().bootstrap_servers)
        settings = load_settings({"bootstrap_servers": bootstrap}, environ={}, folder=folder)
        self.bench = Workbench(settings, pipeline(shops=True), folder, name)
        scores, alerts = (route.topic for route in self.bench.pipeline.routes)
        self.facts = Facts(
            bootstrap, f"fraudstream-{name}", self.bench.pipeline.input.name, scores, alerts,
            self.bench.pipeline.dead_letters.name, seen=str(folder / "seen.jsonl"),
        )  # fmt: skip
        self.traffic = Traffic(bootstrap, self.facts.input, seed, rate)
        self.proxy = Proxy(bootstrap) if proxied else None
        self.scorers = Scorers(self.bench.file, self.proxy.address if self.proxy else bootstrap)
        self.observed = {"kills": 0, "restarts": 0}
        self.outages_s: list[float] = []
        self._down_since: float | None = None
        self._offsets = consumer_of(bootstrap, self.facts.group, committed=False)
        (folder / "facts.json").write_text(json.dumps(asdict(self.facts)))
        self._watcher = subprocess.Popen([sys.executable, str(CHECKER), "watch", str(folder / "facts.json")])
        self.traffic.start()

    def __enter__(self) -> Field:
        return self

    def __exit__(self, *_: object) -> None:
        self._watcher.kill()
        self._offsets.close()
        self.scorers.close()
        if self.proxy is not None:
            self.proxy.close()
        if self.broker is not None:
            self.broker.clean(force=True)

    def saw(self, fault: str) -> None:
        """Counts a fault that was seen to happen."""
        self.observed[fault] = self.observed.get(fault, 0) + 1

    def committed(self) -> int:
        """How many input records are committed; -1 while the broker does not say."""
        try:
            places = [TopicPartition(self.facts.input, p) for p in range(self.bench.pipeline.input.partitions)]
            return sum(max(0, place.offset) for place in self._offsets.committed(places, timeout=2))
        except KafkaException:
            return -1

    def progress(self, more: int = 1, timeout_s: float = 60) -> bool:
        """Waits until so many more records are committed; notes how long that took since the last death."""
        before = self.committed()
        moved = wait_until(lambda: self.committed() >= max(before, 0) + more, timeout_s)
        if moved and self._down_since is not None:
            self.outages_s.append(time.monotonic() - self._down_since)
            self._down_since = None
        return moved

    def died(self, how: str) -> None:
        """Notes a kill."""
        self._down_since = time.monotonic()
        self.saw("kills")
        self.saw(how)

    def kill_broker(self) -> None:
        """SIGKILL to the broker, and a new start on the same files."""
        assert self.broker is not None
        pid = self.broker.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        self.broker.start()
        self.saw("broker_kills")

    def pause_broker(self, seconds: float) -> None:
        """Stops the broker's process for a while."""
        assert self.broker is not None
        pid = self.broker.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)
        self.saw("broker_pauses")

    def finish(self, at_least: dict[str, int]) -> dict[str, Any]:
        """Heals everything, waits until all is scored, and gives the checker's verdict."""
        self.traffic.stop()
        scorer = self.scorers.start()
        high = ends(self.facts.bootstrap, [self.facts.input], stable=False)
        caught_up = wait_until(lambda: self.committed() >= sum(high.values()), 120, 0.1)
        scorer.send(signal.SIGTERM)
        code = scorer.wait(30)
        self._watcher.send_signal(signal.SIGTERM)
        self._watcher.wait(90)
        self.facts.planted = tuple(self.traffic.planted)
        self.facts.observed = self.observed
        self.facts.at_least = at_least
        (self.folder / "facts.json").write_text(json.dumps(asdict(self.facts)))
        run = subprocess.run(
            [sys.executable, str(CHECKER), "check", str(self.folder / "facts.json")], capture_output=True, text=True
        )
        if run.returncode not in (0, 1) or not run.stdout:
            raise RuntimeError(f"the checker failed: {run.stderr}")
        verdict: dict[str, Any] = json.loads(run.stdout)
        if not caught_up or code != 0:
            verdict["violations"].append(f"I6: the last scorer caught up: {caught_up}, and ended with {code}")
        return verdict
