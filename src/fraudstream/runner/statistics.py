"""What the loop counts: totals, the last seconds, and latencies from produce to commit."""

from __future__ import annotations

import time

import msgspec
import numpy as np

from fraudstream.engine.column import Int64s
from fraudstream.engine.decisions import Decisions
from fraudstream.state.state import State

LONGEST_MS = 60_000
"""Latencies are told apart up to here; one that is longer counts as this."""


class Statistics(msgspec.Struct, kw_only=True):
    """Totals since the start, and the interval since the last reading.

    Attributes:
        events: Input records committed: decisions and dead letters (labels are counted apart).
        decisions, dead_letters, labels: Committed, by kind.
        approved, reviewed, blocked: Decisions by outcome.
        alerts: Decisions that were flagged and are no duplicates.
        late, duplicates, degraded: Decisions by flag.
        over_limit: Decisions reviewed because no more money may be approved without the model.
        let_through: Decisions that would have been to block, approved as part of the declared sample.
        shadowed, shadow_skipped: Scores of challengers that were written, and decisions that none was asked about
            because the shadow had no time.
        rescored: Decisions made without the model that it has scored since.
        model: The version that serves; None without one.
        off: The codes of what is switched off.
        transactions: Kafka transactions committed.
        aborted: Transactions that were aborted or found in doubt, and done again.
        replayed: Records replayed on recovery.
        events_per_second: Over the interval.
        lag: Records not yet delivered to the scorer, or held by it; None while unknown.
        latency_ms_p50, latency_ms_p99: From the Kafka timestamp to the commit, over the interval; 60,000 for that and
            more, None without events.
        keys: Keys known now, over all histories.
        evicted_keys_total: Keys forgotten because of the pipeline's `max_keys`, since the state began.
        evicted_early_total: Those of them that features could still have looked back on: `max_keys` is too small.
        pending_labels: Labels that wait for their event.
        expired_labels_total: Labels that came too late for any feature, since the state began.
        state_bytes: Memory of the state, room in reserve included.
        seconds: Since the start.
    """

    events: int = 0
    decisions: int = 0
    dead_letters: int = 0
    labels: int = 0
    approved: int = 0
    reviewed: int = 0
    blocked: int = 0
    alerts: int = 0
    late: int = 0
    duplicates: int = 0
    degraded: int = 0
    over_limit: int = 0
    let_through: int = 0
    shadowed: int = 0
    shadow_skipped: int = 0
    rescored: int = 0
    model: str | None = None
    off: tuple[str, ...] = ()
    transactions: int = 0
    aborted: int = 0
    replayed: int = 0
    events_per_second: float = 0.0
    lag: int | None = None
    latency_ms_p50: float | None = None
    latency_ms_p99: float | None = None
    keys: int = 0
    evicted_keys_total: int = 0
    evicted_early_total: int = 0
    pending_labels: int = 0
    expired_labels_total: int = 0
    state_bytes: int = 0
    seconds: float = 0.0


class Meter:
    """Counts what was committed.

    Attributes:
        totals: What is being counted.
        last: The statistics as they were last told, by `tell`.
    """

    def __init__(self) -> None:
        self.totals = Statistics()
        self.last = Statistics()
        self._started_at = self._read_at = time.monotonic()
        self._events_before = 0
        self._latencies: Int64s = np.zeros(LONGEST_MS + 1, np.int64)
        self._all_latencies: Int64s = np.zeros(LONGEST_MS + 1, np.int64)

    def committed(self, decisions: Decisions, dead_letters: int, labels: int, at_ms: int) -> None:
        """Counts a committed portion; `at_ms` is when its commit was answered."""
        totals = self.totals
        n = len(decisions.batch)
        totals.events += n + dead_letters
        totals.decisions += n
        totals.dead_letters += dead_letters
        totals.labels += labels
        approved, reviewed, blocked = np.bincount(decisions.outcome, minlength=3).tolist()
        totals.approved += approved
        totals.reviewed += reviewed
        totals.blocked += blocked
        totals.alerts += int(np.count_nonzero((decisions.outcome > 0) & ~decisions.duplicate))
        totals.late += int(np.count_nonzero(decisions.late))
        totals.duplicates += int(np.count_nonzero(decisions.duplicate))
        totals.degraded += int(np.count_nonzero(decisions.degraded))
        if decisions.over_limit is not None:
            totals.over_limit += int(np.count_nonzero(decisions.over_limit))
        totals.let_through += int(np.count_nonzero(decisions.let_through))
        totals.transactions += 1
        ages = np.clip(at_ms - decisions.batch.timestamp_ms, 0, LONGEST_MS)
        self._latencies += np.bincount(ages, minlength=LONGEST_MS + 1)

    def read(self, lag: int | None, state: State) -> Statistics:
        """The totals with the figures of the interval since the last reading, and of the state as it is now."""
        now = time.monotonic()
        totals = self.totals
        totals.seconds = now - self._started_at
        totals.events_per_second = (totals.events - self._events_before) / max(now - self._read_at, 1e-9)
        totals.lag = lag
        totals.keys = state.n_keys
        totals.evicted_keys_total = state.evicted_keys_total
        totals.evicted_early_total = state.evicted_early_total
        if state.ids is not None:
            totals.pending_labels = state.ids.pending_labels
            totals.expired_labels_total = state.ids.expired_labels_total
        totals.state_bytes = state.size_bytes
        totals.latency_ms_p50, totals.latency_ms_p99 = quantiles(self._latencies)
        self._all_latencies += self._latencies
        self._latencies[:] = 0
        self._read_at, self._events_before = now, totals.events
        return msgspec.structs.replace(totals)

    def summary(self, lag: int | None, state: State) -> Statistics:
        """The totals with rates and latencies over the whole run."""
        last = self.read(lag, state)
        p50, p99 = quantiles(self._all_latencies)
        rate = last.events / max(last.seconds, 1e-9)
        return msgspec.structs.replace(last, events_per_second=rate, latency_ms_p50=p50, latency_ms_p99=p99)


def quantiles(counts: Int64s) -> tuple[float | None, float | None]:
    """The 50th and 99th percentile of a histogram with a bin for each millisecond."""
    total = int(counts.sum())
    if total == 0:
        return None, None
    running = np.cumsum(counts)
    half, most = (int(np.searchsorted(running, share * total)) for share in (0.50, 0.99))
    return float(half), float(most)
