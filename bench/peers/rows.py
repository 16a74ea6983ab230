"""The rows of the comparison: what runs in each, on how many events, at which rates."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.peers.environments import HERE, flink_connector, python_of, streams_classpath
from bench.peers.field import ALL_EVENTS

PROGRAMS = HERE / "programs"


class Run(NamedTuple):
    """One run of a row: where it reads and writes, and who it is."""

    folder: Path
    bootstrap: str
    source: str
    target: str
    group: str

    @property
    def state(self) -> str:
        """A folder of its own for what it keeps."""
        path = self.folder / f"state-{self.group}"
        path.mkdir(exist_ok=True)
        return str(path)

    @property
    def arguments(self) -> list[str]:
        """What the peers' programs are told first."""
        return [self.bootstrap, self.source, self.target, self.group]


@dataclass(frozen=True)
class Row:
    """A system, as it is measured.

    Attributes:
        command: The command of a run.
        events: Of the backlog, in one round.
        rounds: How often the drain is measured.
        rates: Events per second of live traffic, for latency.
        features: Whether its output has the common features, which are then compared.
        recovers: Whether the time to recover after a kill is measured.
        topics: What a run's own topics are called, behind its group; made beforehand, since Faust's way of making
            them is one that Kafka 4 no longer answers.
    """

    name: str
    command: Callable[[Run], list[str]]
    events: int
    rounds: int = 3
    rates: tuple[int, ...] = ()
    features: bool = False
    recovers: bool = False
    topics: tuple[str, ...] = ()


def _pipeline(run: Run) -> Path:
    """The small pipeline's file for this run's topics."""
    text = (HERE / "small.yaml").read_text(encoding="utf-8").replace("out-ours", run.target)
    text = text.replace("input: {name: transactions, partitions: 1}", f"input: {{name: {run.source}, partitions: 1}}")
    path = run.folder / f"{run.group}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _ours(*options: str) -> Callable[[Run], list[str]]:
    return lambda run: [
        *(sys.executable, "-m", "fraudstream", "run", str(_pipeline(run))),
        *("--group", run.group, "--json", "-b", run.bootstrap, *options),
    ]


def _ceiling(mode: str) -> Callable[[Run], list[str]]:
    return lambda run: [sys.executable, str(PROGRAMS / "ceiling.py"), *run.arguments, mode]


def _loop(model: str, commit: str) -> Callable[[Run], list[str]]:
    return lambda run: [sys.executable, str(PROGRAMS / "loop.py"), *run.arguments, model, commit]


def _quix(run: Run) -> list[str]:
    return [python_of("quixstreams"), str(PROGRAMS / "quix.py"), *run.arguments, run.state]


def _faust(run: Run) -> list[str]:
    return [python_of("faust"), str(PROGRAMS / "faust_worker.py"), *run.arguments, run.state]


def _flink(run: Run) -> list[str]:
    return [python_of("flink_sql"), str(PROGRAMS / "flink.py"), *run.arguments, run.state, flink_connector()]


def _streams(run: Run) -> list[str]:
    java = shutil.which("java") or "java"
    return [java, "-Xmx2g", "-cp", streams_classpath(), "bench.Peer", *run.arguments, run.state, "at_least_once"]


_FAUST_TOPICS = ("-by-terminal", "-customers-changelog", "-terminals-changelog")
LIVE = (1_000, 2_000, 5_000, 20_000)
ROWS = {
    row.name: row
    for row in (
        Row("ours", _ours(), ALL_EVENTS, rates=LIVE, features=True, recovers=True),
        Row("ours_at_least_once", _ours("--delivery", "at-least-once"), ALL_EVENTS, features=True),
        Row("ceiling", _ceiling("transactions"), ALL_EVENTS, rates=LIVE),
        Row("ceiling_plain", _ceiling("plain"), ALL_EVENTS),
        Row("kafka_streams", _streams, 600_000, rates=(1_000, 5_000), features=True, recovers=True),
        Row("flink_sql", _flink, 300_000, rounds=2, rates=(1_000, 5_000), features=True),
        Row("quixstreams", _quix, 60_000, rounds=2, rates=(1_000,), features=True, recovers=True),
        Row("faust", _faust, 30_000, rounds=2, rates=(500,), features=True, topics=_FAUST_TOPICS),
        Row("common_loop", _loop("forest", "commit"), 3_000, rounds=2),
        Row("common_loop_kind", _loop("forest", "no-commit"), 3_000, rounds=2),
        Row("common_loop_logistic", _loop("logistic", "commit"), 15_000, rounds=2),
    )
}
