"""Latency from produce to a `read_committed` reader, and the time to recover after a kill, under live traffic."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.drain import Failed
from bench.peers.field import Field
from bench.peers.processes import Tree
from bench.peers.rows import Row, Run
from fraudstream.kafka.tail import Record, TopicTail

ROOT = Path(__file__).resolve().parents[2]
WARM_RATE, WARM_S = 500, 5
SECONDS = 10
WARMS_UP = 0.2
"""This part of a rate's events, at its beginning, does not count."""
ANSWERS_WITHIN_S = 45
QUIET_S = 3.0
KILL_RATE, KILL_AFTER_S, KILL_TRAFFIC_S = 1_000, 5, 75
_ID = re.compile(rb'"TRANSACTION_ID": ?(\d+)')


class Watched:
    """A row under live traffic on topics of its own."""

    def __init__(self, field: Field, row: Row, number: int) -> None:
        self.field, self.row = field, row
        name = row.name.replace("_", "-")
        self.source, target, self.group = f"live-{name}", f"out-live-{name}", f"{name}-live-{number}"
        field.fresh(self.source, target, *(f"{self.group}{each}" for each in row.topics))
        self._run = Run(field.folder, field.bootstrap, self.source, target, self.group)
        self.reader = TopicTail(field.settings, [target])
        self.tree = self.start()
        self.sent = 0
        self.seen: list[tuple[int, list[Record]]] = []

    def start(self) -> Tree:
        """Starts the row's process, anew after a kill."""
        return Tree(self.row.command(self._run), self.field.folder, f"{self.group}.log")

    def send(self, rate: int, seconds: int) -> subprocess.Popen[bytes]:
        """Begins traffic, going on with the events where the last left off."""
        arguments = [self.field.bootstrap, self.source, str(self.field.history), self.sent, rate, seconds]
        self.sent += rate * seconds
        command = [sys.executable, "-m", "bench.peers.traffic", *map(str, arguments)]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def read(self) -> bool:
        """Notes what has come; decodes it later, since the reader must not be what is slow."""
        records = self.reader.poll(50_000, 0.05)
        if records:
            self.seen.append((time.time_ns() // 1_000_000, records))
        return bool(records)

    def read_until_quiet(self, traffic: subprocess.Popen[bytes], patience_s: float = QUIET_S) -> None:
        """Reads while traffic goes on, and until nothing more has come for so long.

        Raises:
            Failed: The row ended by itself.
        """
        quiet_since = time.monotonic()
        while traffic.poll() is None or time.monotonic() - quiet_since < patience_s:
            if self.read():
                quiet_since = time.monotonic()
            if self.tree.ended:
                raise Failed(f"it ended by itself: {self.tree.last_words()}")

    def warm_up(self) -> None:
        """A little traffic, until it has been answered.

        Raises:
            Failed: Nothing was answered in time.
        """
        traffic = self.send(WARM_RATE, WARM_S)
        deadline = time.monotonic() + ANSWERS_WITHIN_S
        while not self.seen:
            self.read()
            if self.tree.ended or time.monotonic() > deadline:
                traffic.kill()
                raise Failed(f"live, it answered nothing in {ANSWERS_WITHIN_S} s: {self.tree.last_words()}")
        self.read_until_quiet(traffic)

    def answered_at(self) -> dict[int, int]:
        """Event id → when its first answer was read, epoch milliseconds."""
        found: dict[int, int] = {}
        for at_ms, records in self.seen:
            for record in records:
                match = _ID.search(record.value or b"")
                if match:
                    found.setdefault(int(match.group(1)), at_ms)
        return found

    def produced_at(self) -> dict[int, int]:
        """Event id → when it was produced, epoch milliseconds."""
        inputs = TopicTail(self.field.settings, [self.source], from_beginning=True)
        try:
            return {
                int(match.group(1)): record.timestamp_ms
                for record in inputs.to_end()
                if (match := _ID.search(record.value or b""))
            }
        finally:
            inputs.close()

    def close(self) -> None:
        """Ends the row and deletes its topics' remains."""
        self.tree.end()
        self.reader.close()
        self.field.tidy(self.group)


def latency(field: Field, row: Row, number: int, rates: tuple[int, ...]) -> dict[str, Any]:
    """Percentiles in milliseconds by rate; one process answers them all, slow rates first.

    Raises:
        Failed: It answered nothing.
    """
    watched = Watched(field, row, number)
    ranges: dict[int, tuple[int, int]] = {}
    cpu: dict[int, float] = {}
    try:
        watched.warm_up()
        for rate in rates:
            begin, before_s = watched.sent, watched.tree.cpu_s()
            watched.read_until_quiet(watched.send(rate, SECONDS))
            ranges[rate] = (begin, watched.sent)
            cpu[rate] = watched.tree.cpu_s() - before_s
    finally:
        watched.close()
    answered, produced = watched.answered_at(), watched.produced_at()
    figures = {}
    for rate, (begin, end) in ranges.items():
        counted = range(begin + int((end - begin) * WARMS_UP), end)
        ages = [answered[each] - produced[each] for each in counted if each in answered and each in produced]
        if not ages:
            raise Failed(f"nothing was answered at {rate:,} events/s")
        p50, p99, p999 = np.percentile(ages, [50, 99, 99.9]).tolist()
        figures[str(rate)] = {
            "p50": p50,
            "p99": p99,
            "p999": p999,
            "answered": len(ages) / len(counted),
            "cpu_s": cpu[rate],
        }
    return figures


def recovery(field: Field, row: Row, number: int) -> dict[str, float]:
    """Seconds from SIGKILL, with an immediate restart, to the first answer after it.

    Raises:
        Failed: It was not back in time.
    """
    watched = Watched(field, row, 100 + number)
    try:
        watched.warm_up()
        traffic = watched.send(KILL_RATE, KILL_TRAFFIC_S)
        until = time.monotonic() + KILL_AFTER_S
        while time.monotonic() < until:
            watched.read()
        watched.tree.kill()
        killed_at_ms = time.time_ns() // 1_000_000
        watched.tree = watched.start()
        watched.seen.clear()
        until = time.monotonic() + KILL_TRAFFIC_S
        back_ms: list[int] = []
        while time.monotonic() < until and not back_ms:
            # What comes so long after the kill is from the restarted one: no answer takes that long to be read.
            if watched.read() and watched.seen[-1][0] - killed_at_ms > 500:
                back_ms.append(watched.seen[-1][0])
        traffic.kill()
        traffic.wait()
        if not back_ms:
            raise Failed(f"it had not recovered in {KILL_TRAFFIC_S} s: {watched.tree.last_words()}")
        return {"recovery_s": (back_ms[0] - killed_at_ms) / 1_000}
    finally:
        watched.close()
