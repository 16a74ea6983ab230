"""Watches what comes out: decisions and alerts as any read_committed consumer sees them, with when it saw them."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from typing import NamedTuple

import msgspec
import numpy as np

from fraudstream.kafka.tail import TopicTail
from fraudstream.settings import Settings


class _Input(msgspec.Struct):
    partition: int
    offset: int


class _Decision(msgspec.Struct):
    input: _Input
    outcome: str
    event_id: str


class _Scored(msgspec.Struct):
    decision: _Decision


class Alert(msgspec.Struct):
    """What the demo shows of an alert."""

    transaction_id: str
    key: str
    amount: float
    score: float
    risk_level: str
    reasons: list[str]
    alert_at: str
    action_required: str


class Seen(NamedTuple):
    """A decision as it was read.

    Attributes:
        partition, offset: The input record it is about.
        event_id: The event's id.
        flagged: Whether the outcome is not `approve`.
        seen_at_ms: When it was read.
    """

    partition: int
    offset: int
    event_id: str
    flagged: bool
    seen_at_ms: int


class Watch:
    """A thread that reads the decisions' and the alerts' topics from now on."""

    def __init__(self, settings: Settings, scores: str, alerts: str) -> None:
        self._scores = scores
        self._reader = TopicTail(settings, [scores, alerts], from_beginning=True)
        self._decoder = msgspec.json.Decoder(_Scored)
        self._alerts = msgspec.json.Decoder(Alert)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.seen: list[Seen] = []
        self.outcomes: Counter[str] = Counter()
        self.alerts: deque[Alert] = deque(maxlen=12)
        self._moments: deque[tuple[float, int]] = deque(maxlen=50)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            records = self._reader.poll()
            now_ms = time.time_ns() // 1_000_000
            for record in records:
                if record.topic != self._scores:
                    self.alerts.append(self._alerts.decode(record.value or b""))
                    continue
                decision = self._decoder.decode(record.value or b"").decision
                self.outcomes[decision.outcome] += 1
                self.seen.append(
                    Seen(
                        decision.input.partition,
                        decision.input.offset,
                        decision.event_id,
                        decision.outcome != "approve",
                        now_ms,
                    )
                )
            self._moments.append((time.monotonic(), len(self.seen)))

    def rate(self) -> float:
        """Decisions a second over about the last two seconds."""
        moments = [moment for moment in list(self._moments) if moment[0] > time.monotonic() - 2.0]
        if len(moments) < 2:
            return 0.0
        (begin, before), (end, after) = moments[0], moments[-1]
        return (after - before) / max(end - begin, 1e-3)

    def close(self) -> None:
        """Reads what is left, and stops."""
        quiet_since, count = time.monotonic(), len(self.seen)
        while time.monotonic() - quiet_since < 1.0:
            time.sleep(0.1)
            if len(self.seen) != count:
                quiet_since, count = time.monotonic(), len(self.seen)
        self._stop.set()
        self._thread.join()
        self._reader.close()


def percentiles(values: list[int]) -> tuple[float, float]:
    """The 50th and 99th percentile."""
    if not values:
        return 0.0, 0.0
    half, most = np.percentile(np.array(values), [50, 99])
    return float(half), float(most)
