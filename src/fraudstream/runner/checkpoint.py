"""Snapshots of the stream's state: taken now and then, chosen on recovery."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fraudstream.errors import StateError
from fraudstream.plan.diff import explain_mismatch
from fraudstream.plan.identity import describe_state
from fraudstream.plan.plan import Plan
from fraudstream.runner.intake import Place
from fraudstream.runner.positions import from_text, to_text
from fraudstream.state.snapshot import (
    Arrays,
    CaptureMemory,
    Header,
    arrays_of,
    bytes_of,
    read_header,
    read_snapshot,
    restore,
    snapshots_in,
    write_snapshot,
)
from fraudstream.state.state import State

LOGGER = logging.getLogger("fraudstream.state")
TOKEN_KEY = "token key"  # noqa: S105
"""Where the identity of a log names the key that sensitive values are read under; no topic can have that name."""


def newest_snapshots(project_folder: Path, group: str, pipeline: str) -> list[Path]:
    """The newest snapshot of each scorer of a pipeline in a group, as they are on this machine.

    The group `fraudstream-payments` with the instance `eu-0` and the group `fraudstream-payments-eu` with the instance
    `0` would have one folder: the snapshot knows whose it is.
    """
    found = []
    for folder in sorted((project_folder / "state").glob(f"{group}-*")):
        for path in snapshots_in(folder)[:1]:
            try:
                name = read_header(path).pipeline
            except StateError:
                name = ""  # damaged: whoever looks into it says so
            if name in ("", pipeline):
                found.append(path)
    return found


class Restored(NamedTuple):
    """A state to go on from.

    Attributes:
        state: The state.
        positions: The next offset to process of each place it has read from; empty for a new state.
        snapshot: The file it came from, None for a new state.
    """

    state: State
    positions: dict[Place, int]
    snapshot: Path | None


@dataclass(slots=True)
class Written:
    """What became of snapshots since the start.

    Attributes:
        written, failed: How many.
        at_s: When the newest one there is was written, epoch seconds; None: there is none.
        n_bytes, took_s: Its size, and how long writing it took where this process wrote it.
    """

    written: int = 0
    failed: int = 0
    at_s: float | None = None
    n_bytes: int | None = None
    took_s: float | None = None


class Checkpoints:
    """The snapshots of one scorer.

    Args:
        plan: Whose state it is.
        folder: Where they are kept.
        log: The identity of the log the state is a function of (`kafka.identity.log_identity`).

    Attributes:
        written: What became of them.
    """

    def __init__(self, plan: Plan, folder: Path, log: Mapping[str, str]) -> None:
        self._plan = plan
        self._folder = folder
        self._description = describe_state(plan.pipeline.event, plan.logs, plan.dedup_ms)
        self._log = dict(log)
        self._background = ThreadPoolExecutor(1, thread_name_prefix="snapshot")
        self._busy: Future[Any] | None = None
        self._memory = CaptureMemory()
        self.written = Written()

    def save(self, state: State, positions: Mapping[Place, int], *, wait: bool = False) -> bool:
        """Copies the state now and writes it in the background.

        Returns:
            Whether it was copied. Unless `wait`, it is not while the last snapshot is still being written, nor while
            the memory for the copy is still being made; ask again.
        """
        if self._busy is not None and not self._busy.done() and not wait:
            return False
        self._finish()
        arrays = arrays_of(state)
        if not wait and bytes_of(arrays) > self._memory.n_bytes:
            self._busy = self._background.submit(self._memory.make_room, bytes_of(arrays))
            return False
        header = Header(
            identity=state.identity,
            description=self._description,
            log=self._log,
            offsets=to_text(positions),
            sequence=state.sequence,
            pipeline=self._plan.pipeline.name,
        )
        self._busy = self._background.submit(self._write, header, self._memory.copies(arrays))
        if wait:
            self._finish()
        return True

    def _write(self, header: Header, arrays: Arrays) -> None:
        """Writes a snapshot; on the thread in the background."""
        started_s = time.perf_counter()
        path = write_snapshot(self._folder, header, arrays)
        self._note_newest(path)
        self.written.took_s = took_s = time.perf_counter() - started_s
        self.written.written += 1
        about = {"kind": "snapshot", "sequence": header.sequence, "bytes": self.written.n_bytes, "seconds": took_s}
        LOGGER.info("the snapshot %s is written", path.name, extra=about)

    def _note_newest(self, path: Path) -> None:
        status = path.stat()
        self.written.at_s, self.written.n_bytes = status.st_mtime, status.st_size

    def _finish(self) -> None:
        """Waits for the last snapshot. A failure costs time on recovery and nothing else, so it is only reported."""
        if self._busy is None:
            return
        try:
            self._busy.result()
        except (OSError, MemoryError) as error:
            self.written.failed += 1
            LOGGER.warning("a snapshot could not be written to %s: %s", self._folder, error, extra={"kind": "snapshot"})
        self._busy = None

    def check_identity(self) -> None:
        """Refuses a plan that stores something else than the newest readable snapshot does.

        Raises:
            StateError: It says what changed.
        """
        for path in snapshots_in(self._folder):
            try:
                header, _ = read_snapshot(path)
            except StateError:
                continue
            if header.log == self._log and header.identity != self._plan.state_identity:
                changes = explain_mismatch(header.description, self._description)
                raise StateError(
                    f"The pipeline stores something else than the state kept in {self._folder}: {'; '.join(changes)}.",
                    "Start with --rebuild-state to rebuild it from the topic under the new definition (decisions "
                    "already made stay as they are), or restore the old definition.",
                )
            return

    def discard(self) -> None:
        """Removes every snapshot."""
        for path in snapshots_in(self._folder):
            path.unlink(missing_ok=True)

    def ahead_of(self, committed: Mapping[Place, int]) -> bool:
        """Whether a snapshot of this log is beyond offsets: they went back, or what it holds was never committed."""
        for path in snapshots_in(self._folder):
            try:
                header = read_header(path)
            except StateError:
                continue
            positions = from_text(header.offsets)
            if header.log == self._log and any(positions.get(place, 0) > offset for place, offset in committed.items()):
                return True
        return False

    def newest(self, committed: Mapping[Place, int]) -> Restored:
        """The newest state that is not beyond what was committed: from a snapshot, or a new one."""
        self._finish()
        for path in snapshots_in(self._folder):
            try:
                header, arrays = read_snapshot(path)
            except StateError as error:
                LOGGER.warning("%s An older snapshot or the log takes its place.", error)
                continue
            positions = from_text(header.offsets)
            if header.log != self._log or header.identity != self._plan.state_identity:
                if header.log != self._log and {**header.log, TOKEN_KEY: ""} == {**self._log, TOKEN_KEY: ""}:
                    LOGGER.warning("the token key is not that of %s: the state is rebuilt from the log", path)
                continue
            if any(offset > committed.get(place, 0) for place, offset in positions.items()):
                continue  # taken before a transaction that was never committed
            self._note_newest(path)
            return Restored(restore(self._plan, header, arrays), positions, path)
        return Restored(State(self._plan), {}, None)

    def close(self) -> None:
        """Waits for the last snapshot."""
        self._finish()
        self._background.shutdown()
