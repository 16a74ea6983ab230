"""A measured process and its children: processor seconds, memory, and an end that leaves nothing behind."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from pathlib import Path

import psutil

ENDS_WITHIN_S = 8.0


class Tree:
    """A process started for a row, with everything it starts in turn.

    Args:
        command: What to run.
        folder: Where; its output goes to a file there.
        log: That file's name.
    """

    def __init__(self, command: list[str], folder: Path, log: str) -> None:
        self.log = folder / log
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        self._root = psutil.Process(self.process.pid)
        self._spent: dict[int, float] = {}
        self.peak_memory_mb = 0.0

    def cpu_s(self) -> float:
        """Processor seconds of all of them so far, those that have ended as they were last seen."""
        memory = 0
        with contextlib.suppress(psutil.Error):
            for each in self._members():
                with contextlib.suppress(psutil.Error):
                    times = each.cpu_times()
                    self._spent[each.pid] = times.user + times.system
                    memory += each.memory_info().rss
        self.peak_memory_mb = max(self.peak_memory_mb, memory / 2**20)
        return sum(self._spent.values())

    @property
    def ended(self) -> bool:
        """Whether the process itself has gone."""
        return self.process.poll() is not None

    def kill(self) -> None:
        """SIGKILL to all of them at once."""
        for each in self._members():
            with contextlib.suppress(psutil.Error):
                each.kill()
        self.process.wait()

    def end(self) -> None:
        """SIGTERM, and SIGKILL to whatever is still there after 8 s."""
        members = self._members()
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + ENDS_WITHIN_S
        while time.monotonic() < deadline and any(each.is_running() and not _dead(each) for each in members):
            self.process.poll()
            time.sleep(0.05)
        for each in {*members, *self._members()}:
            with contextlib.suppress(psutil.Error):
                each.kill()
        self.process.wait()

    def last_words(self, lines: int = 3) -> str:
        """The end of its log."""
        said = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return " / ".join(said[-lines:])[-400:]

    def _members(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            return [self._root, *self._root.children(recursive=True)]
        return []


def _dead(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


def cpu_s_of(pid: int) -> float:
    """Processor seconds of one process, such as the broker."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system
