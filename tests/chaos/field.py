"""Where faults happen: a broker, a pipeline with traffic, its scorers, a watching reader, the checker."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from invariants import Facts
from proxy import Act, Proxy
from reading import consumer_of, ends
from scorers import Scorer, Scorers, wait_until
from traffic import Traffic

from fraudstream.kafka.local import LocalBroker
from fraudstream.settings import load_settings
from runner.small import RETENTION_OF_SHOPS_MS, pipeline
from runner.workbench import Workbench

CHECKER = Path(__file__).with_name("checker.py")
RESCORE = Path(__file__).with_name("rescore.py")
CHECK_WITHIN_S = 300.0
GOES_ON_WITHIN_S = 90.0


class Field:
    """All of it, running. Use as a context.

    Args:
        folder: Where everything goes.
        seed: Of the traffic.
        rate: Records a second.
        bootstrap: A broker that is there already; None starts one, which faults may be aimed at.
        name: A name no other run on that broker uses.
        proxied: Whether scorers (and nothing else) reach the broker through `proxy`.
        broker: One to start, and to aim faults at, in place of one in the folder.

    Attributes:
        observed: How often each fault was seen to happen, and what else was.
        killed: How many scorers were, by when.
        outages_s: For each kind of fault, how long it took from its end (or the death) to the next commit.
        violations: What was seen to be wrong while faults went on.
        calm: Stretches without faults, epoch milliseconds.
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
        broker: LocalBroker | None = None,
    ) -> None:
        self.folder = folder
        self.broker = broker
        if bootstrap is None:
            self.broker = broker or LocalBroker(folder / "kafka", heap_mb=384)
            bootstrap = str(self.broker.start().bootstrap_servers)
        settings = load_settings({"bootstrap_servers": bootstrap}, environ={}, folder=folder)
        self.bench = Workbench(settings, pipeline(shops=True), folder, name)
        scores, alerts = (route.topic for route in self.bench.pipeline.routes)
        self.facts = Facts(
            bootstrap, f"fraudstream-{name}", self.bench.pipeline.input.name, scores, alerts,
            self.bench.pipeline.dead_letters.name, seen=str(folder / "seen.jsonl"),
            histories=(("shop", RETENTION_OF_SHOPS_MS),),
        )  # fmt: skip
        self.traffic = Traffic(bootstrap, self.facts.input, seed, rate)
        self.proxy = Proxy(bootstrap) if proxied else None
        self.scorers = Scorers(self.bench.file, self.proxy.address if self.proxy else bootstrap)
        self.observed = {"kills": 0, "restarts": 0}
        self.killed: dict[str, int] = {}
        self.outages_s: dict[str, list[float]] = {}
        self.violations: list[str] = []
        self.calm: list[tuple[int, int]] = []
        self._down: tuple[str, float] | None = None
        self._offsets = consumer_of(bootstrap, self.facts.group, committed=False)
        self._note_facts()
        self._watcher = subprocess.Popen([sys.executable, str(CHECKER), "watch", str(folder / "facts.json")])
        self.traffic.start()

    def __enter__(self) -> Field:
        return self

    def __exit__(self, *_: object) -> None:
        self._watcher.kill()
        self._offsets.close()
        if self.proxy is not None:
            self.proxy.close()
        self.scorers.close()
        if self.broker is not None:
            if self.violations:  # the broker's side of what went wrong
                self.broker.stop()
                shutil.copytree(self.broker.folder, self.folder / "kafka-kept", dirs_exist_ok=True)
            self.broker.clean(force=True)

    @property
    def state_folder(self) -> Path:
        """Where the scorers keep their snapshots."""
        return self.bench.settings.project_folder / "state" / f"{self.facts.group}-0"

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
        """Waits until so many more records are committed; notes how long that took since the last trouble."""
        before = max(self.committed(), 0)
        moved = wait_until(lambda: self.committed() >= before + more, timeout_s)
        if moved:
            self._recovered()
        return moved

    def _recovered(self) -> None:
        """Notes how long it took, once for each trouble."""
        if self._down is not None:
            how, since = self._down
            self.outages_s.setdefault(how, []).append(time.monotonic() - since)
            self._down = None

    def goes_on(self, scorer: Scorer, after: str, more: int = 20) -> bool:
        """I6: after a fault the scorer goes on by itself, or has ended and one restart is enough."""
        self._down = (after, time.monotonic())
        if self._moves(scorer, more):
            self.saw(f"lived_through_{after}")
            return True
        if scorer.code is None:
            scorer.send(signal.SIGUSR1)  # it writes where it stands into its log
            self.violations.append(f"I6: a scorer did not go on in {GOES_ON_WITHIN_S:g} s after {after}")
            return False
        self.saw(f"ended_with_{scorer.code}_after_{after}")
        second = self.scorers.start()
        if not self._moves(second, more):
            self.violations.append(f"I6: one restart was not enough after {after} (it ended with {second.code})")
        stop(second)
        return False

    def _moves(self, scorer: Scorer, more: int) -> bool:
        """Whether so many more records are committed before the scorer ends, or time does."""
        deadline = time.monotonic() + GOES_ON_WITHIN_S
        target = max(self.committed(), 0) + 1
        first = target
        while scorer.code is None and time.monotonic() < deadline:
            if self.committed() >= target:
                if target > first:
                    return True
                self._recovered()
                target += more
            time.sleep(0.02)
        return False

    def died(self, how: str) -> None:
        """Notes a kill."""
        self._down = (how, time.monotonic())
        self.saw("kills")
        self.saw(how)
        self.killed[how] = self.killed.get(how, 0) + 1

    def kill_broker(self) -> None:
        """SIGKILL to the broker, and a new start on the same files."""
        assert self.broker is not None
        pid = self.broker.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        address = self.broker.start().bootstrap_servers
        if address != self.facts.bootstrap:
            raise RuntimeError(f"the broker came back as {address}: another process has its port")
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

    def clear(self) -> None:
        """After trouble of the tests' own: no scorer, and no fault that lasts."""
        self.scorers.kill()
        if self.proxy is not None:
            self.proxy.rule = lambda _: Act.PASS
            self.proxy.network.heal()
        if self.broker is not None:
            pid = self.broker.status().pid
            if pid is not None:
                os.kill(pid, signal.SIGCONT)
            self.broker.start()

    def rest(self, seconds: float) -> None:
        """One scorer, no faults."""
        scorer = self.scorers.start()
        self.saw("restarts")
        self._catch_up()
        began_ms = time.time_ns() // 1_000_000
        time.sleep(seconds)
        self.calm.append((began_ms, time.time_ns() // 1_000_000))
        self._drain(scorer)

    def check(self, at_least: dict[str, int]) -> dict[str, Any]:
        """The checker's verdict on all so far, while traffic waits; then it goes on."""
        self.traffic.pause()
        self._heal()
        seen = Path(str(self.facts.seen))
        wait_until(lambda: time.time() - seen.stat().st_mtime > 1.5, 30)  # the watcher has come to the end
        try:
            return self._verdict(at_least)
        finally:
            self.traffic.resume()

    def finish(self, at_least: dict[str, int]) -> dict[str, Any]:
        """Heals everything, waits until all is scored, and gives the checker's verdict."""
        self.traffic.stop()
        self._heal()
        self._watcher.send_signal(signal.SIGTERM)
        self._watcher.wait(90)
        return self._verdict(at_least)

    def _heal(self) -> None:
        """A last scorer decides everything there is, and ends in order."""
        scorer = self.scorers.start()
        if not self._catch_up():
            scorer.send(signal.SIGUSR1)
            self.violations.append(f"I6: the last scorer did not catch up (it ended with {scorer.code})")
        self._drain(scorer)

    def _catch_up(self) -> bool:
        high = ends(self.facts.bootstrap, [self.facts.input], stable=False)
        return wait_until(lambda: self.committed() >= sum(high.values()), 120, 0.1)

    def _drain(self, scorer: Scorer) -> None:
        scorer.send(signal.SIGTERM)
        if (code := scorer.wait(30)) != 0:
            self.violations.append(f"I6: a scorer that was asked to end ended with {code}")
            stop(scorer)

    def _verdict(self, at_least: dict[str, int]) -> dict[str, Any]:
        self.facts.planted = tuple(self.traffic.planted)
        self.facts.observed = self.observed
        self.facts.at_least = at_least
        self.facts.calm = tuple(self.calm)
        written = sorted(self.state_folder.glob("*.snapshot"), key=lambda path: path.stat().st_mtime_ns)
        self.facts.snapshot = str(written[-1]) if written else None
        self._note_facts()
        facts = str(self.folder / "facts.json")
        verdict: dict[str, Any] = program(str(CHECKER), "check", facts)
        verdict["violations"] += program(str(RESCORE), facts, str(self.bench.file)) + self.violations
        self.violations += [each for each in verdict["violations"] if each not in self.violations]
        return verdict

    def _note_facts(self) -> None:
        (self.folder / "facts.json").write_text(json.dumps(asdict(self.facts)))


def program(*arguments: str) -> Any:
    """What a program of the checker prints; it ends with 1 where something is wrong.

    Raises:
        RuntimeError: It failed itself.
    """
    run = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=CHECK_WITHIN_S)
    if run.returncode not in (0, 1) or not run.stdout:
        raise RuntimeError(f"the checker failed: {run.stderr}")
    return json.loads(run.stdout)


def stop(scorer: Scorer) -> None:
    """SIGKILL, and its end."""
    scorer.send(signal.SIGKILL)
    scorer.wait(10)
