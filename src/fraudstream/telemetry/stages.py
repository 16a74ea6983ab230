"""How long the stages of a batch take."""

from __future__ import annotations

import time
from collections.abc import Sequence

from fraudstream.telemetry.histogram import SECONDS, Histogram

SHORT_SECONDS = (0.0001, 0.00025, 0.0005, *SECONDS)
"""Edges for the stages of a batch, which take less than a millisecond where it is small."""


class Stages:
    """A stopwatch for one thread.

    Args:
        names: The stages.

    Attributes:
        durations: Of each stage, in seconds for each batch.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.durations = {name: Histogram(SHORT_SECONDS) for name in names}
        self._since_s = 0.0

    def begin(self) -> None:
        """The next stage begins now."""
        self._since_s = time.perf_counter()

    def ended(self, stage: str) -> None:
        """A stage has ended now, and the next one begins."""
        now_s = time.perf_counter()
        self.durations[stage].add_one(now_s - self._since_s)
        self._since_s = now_s
