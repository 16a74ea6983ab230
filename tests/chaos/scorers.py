"""Scorers to start, stop and kill; each start is a fork of a process that has everything loaded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

NURSERY = Path(__file__).with_name("nursery.py")
KILLED = -signal.SIGKILL


class Scorer:
    """One scorer process; `code` is None while it runs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.code: int | None = None
        self.ended = threading.Event()

    def send(self, number: signal.Signals) -> None:
        """A signal, unless it has ended."""
        if not self.ended.is_set():
            os.kill(self.pid, number)

    def wait(self, timeout_s: float) -> int | None:
        """The exit code, negative for a signal; None where it still runs."""
        self.ended.wait(timeout_s)
        return self.code


class Scorers:
    """A nursery of scorers of one pipeline.

    Args:
        pipeline: Its file; state is kept beside it.
        bootstrap: The cluster.
    """

    def __init__(self, pipeline: Path, bootstrap: str) -> None:
        self._pipeline = pipeline
        self._bootstrap = bootstrap
        self.log = pipeline.parent / "scorer.log"
        self._process = subprocess.Popen(
            [sys.executable, str(NURSERY), str(pipeline)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._running: dict[int, Scorer] = {}
        self._begun: list[Scorer] = []
        self._news = threading.Condition()
        self._ready = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()
        if not self._ready.wait(120):
            raise TimeoutError("the nursery did not come up")

    def start(self, failpoint: str = "", *, clock_ms: int = 0, drift: float = 0.0) -> Scorer:
        """A scorer, to die at a failpoint if one is named; its wall clock may be wrong, and run too fast by a share."""
        environment = {"FRAUDSTREAM_FAILPOINT": failpoint, "FRAUDSTREAM_TEST_MODE": "1"} if failpoint else {}
        order = {
            "arguments": ["run", str(self._pipeline), "-b", self._bootstrap, "--json"],
            "environment": environment,
            "folder": str(self._pipeline.parent),
            "log": str(self.log),
            "clock": [clock_ms, drift],
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        with self._news:
            if not self._news.wait_for(lambda: self._begun, 30):
                raise TimeoutError("no scorer was started")
            return self._begun.pop()

    @property
    def running(self) -> list[Scorer]:
        """Those that have not ended."""
        return list(self._running.values())

    def kill(self) -> None:
        """Kills what runs."""
        for scorer in self.running:
            scorer.send(signal.SIGKILL)
            scorer.wait(10)

    def close(self) -> None:
        """Kills what runs, and ends the nursery."""
        self.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def said(self, text: str) -> int:
        """How often the scorers' log holds a text."""
        return self.log.read_text(errors="replace").count(text) if self.log.exists() else 0

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            news = json.loads(line)
            with self._news:
                if "ready" in news:
                    self._ready.set()
                elif "started" in news:
                    scorer = self._running[news["started"]] = Scorer(news["started"])
                    self._begun.append(scorer)
                else:
                    scorer = self._running.pop(news["ended"])
                    scorer.code = news["code"]
                    scorer.ended.set()
                self._news.notify_all()


def wait_until(condition: object, timeout_s: float, pause_s: float = 0.02) -> bool:
    """Whether a condition came to hold in time."""
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_s)
    return True
