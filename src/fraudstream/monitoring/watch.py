"""A pipeline under watch: its decisions and labels as they come, and what is seen of them at any moment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from fraudstream.define.pipeline import Form, Selection
from fraudstream.engine.column import Int64s
from fraudstream.engine.event_ids import EventIds
from fraudstream.errors import DamagedModel, DataError, UsageError
from fraudstream.kafka.clientstats import ClientStatistics
from fraudstream.kafka.tail import Record, TopicTail
from fraudstream.models.artifact import Manifest
from fraudstream.models.registry import Registry
from fraudstream.monitoring.alarms import Alarm, alarms_of
from fraudstream.monitoring.known import KnownLabels
from fraudstream.monitoring.logged import DecisionReader, Logged, concatenate
from fraudstream.monitoring.measure import Measured, Periods, measure, newest_ms
from fraudstream.monitoring.skew import SkewCheck, Skewed
from fraudstream.plan.plan import Plan
from fraudstream.runner.labels import DecodedLabels
from fraudstream.settings import Settings

_AT_ONCE = 8_192
_MOST_LABELS = 2_000_000


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What is seen at one moment.

    Attributes:
        pipeline: Its name.
        at: When, ISO 8601.
        measured: Traffic, drift and quality.
        skewed: Online–offline skew; None where it was not asked for.
        alarms: The limits that were passed.
    """

    pipeline: str
    at: str
    measured: Measured
    skewed: Skewed | None
    alarms: tuple[Alarm, ...]


class Watch:
    """Decisions and labels of a pipeline.

    Args:
        plan: The pipeline.
        registry: The versions of its model; None where it declares none.
        periods: How far back to look.
        most: How many decisions to keep, the newest.
        skew: Checks skew as decisions come; None: it is not checked.
    """

    def __init__(
        self, plan: Plan, registry: Registry | None, periods: Periods, most: int, skew: SkewCheck | None
    ) -> None:
        self._plan, self._registry = plan, registry
        self._periods, self._most = periods, most
        self._skew = skew
        self._reader = DecisionReader(plan, keep_events=skew is not None)
        self._known = KnownLabels(EventIds(plan.pipeline.event))
        self._parts: list[Logged] = [self._reader.read([])]
        self._new_labels: list[tuple[DecodedLabels, Int64s]] = []

    def add(
        self,
        decisions: Sequence[bytes | None],
        labels: Sequence[bytes | None],
        arrived_ms: Int64s,
        settled_ms: int | None = None,
    ) -> None:
        """Takes what has come.

        Args:
            decisions: Envelopes.
            labels: Label records.
            arrived_ms: int64[labels], their Kafka timestamps; -1 where unknown.
            settled_ms: The labels that came before this instant are all here; None: all there are.
        """
        if labels:
            told = self._known.add(labels, arrived_ms)
            self._new_labels += [(told, arrived_ms)] if self._skew is not None else []
        if decisions:
            self._parts.append(self._reader.read(decisions))
        if self._skew is not None:
            self._skew.add(self._reader.recorded, self._new_labels, settled_ms)
            self._reader.recorded, self._new_labels = [], []

    @property
    def labels(self) -> int:
        """How many events are labelled."""
        return len(self._known)

    def report(self) -> Report:
        """What is seen now."""
        logged = self._kept()
        limits, policy = self._plan.pipeline.monitor, self._plan.pipeline.policy
        measured = measure(
            logged,
            self._known,
            self._manifest(logged),
            policy.review_threshold,
            limits.least_decisions,
            limits.least_frauds,
            self._periods,
        )
        skewed = None if self._skew is None else self._skew.result()
        return Report(
            pipeline=self._plan.pipeline.name,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            measured=measured,
            skewed=skewed,
            alarms=tuple(alarms_of(measured, skewed, limits)),
        )

    def _kept(self) -> Logged:
        """The decisions that are looked at; what is older is let go."""
        logged = concatenate(self._parts)
        if len(logged):
            logged = logged.take(np.argsort(logged.event_at_ms, kind="stable")[-self._most :])
            oldest = newest_ms(logged) - max(self._periods.over_ms, self._periods.labels_over_ms)
            logged = logged.take(logged.event_at_ms > oldest)
        self._parts = [logged]
        return logged

    def _manifest(self, logged: Logged) -> Manifest | None:
        """Of the model that scored the newest decision."""
        version = next((name for name in logged.model[::-1].tolist() if name), None)
        if self._registry is None or version is None:
            return None
        try:
            return self._registry.manifest(version)
        except DamagedModel:
            return None


class Sources:
    """The decisions and labels of a pipeline on their topics: the newest, and then what comes.

    Args:
        settings: Which cluster, as whom.
        plan: The pipeline.
        labels_topic: Where its labels are; None: there are none.
        most: How many decisions to begin before the end.

    Attributes:
        complete: Whether the decisions are read from the first one ever.
        moved_at_s: When they were last read from, by the monotonic clock.

    Raises:
        UsageError: No topic holds every decision whole.
        BrokerUnreachable, TopicError: The topics cannot be read.
    """

    def __init__(self, settings: Settings, plan: Plan, labels_topic: str | None, most: int) -> None:
        scores = scores_topic(plan)
        self._labels = (
            TopicTail(settings, [labels_topic], newest={labels_topic: _MOST_LABELS}) if labels_topic else None
        )
        self._statistics = ClientStatistics()
        self._decisions = TopicTail(settings, [scores], newest={scores: most}, statistics=self._statistics)
        self.complete = scores in self._decisions.complete
        self.moved_at_s = time.monotonic()

    def unready(self) -> str | None:
        """Why nothing new can be read now; None where it can. For any thread."""
        return self._statistics.unready()

    def feed(self, watch: Watch, for_s: float = 0.0) -> None:
        """Hands the watch all that there is, and then what comes within so many seconds."""
        began = time.monotonic()
        began_ms = time.time_ns() // 1_000_000
        first = True
        while first or not self._decisions.caught_up or time.monotonic() < began + for_s:
            self.moved_at_s = time.monotonic()
            labels = self._read_labels()  # before the decisions that may know them
            decisions = [each.value for each in self._decisions.poll(_AT_ONCE, wait_s=0.2)]
            arrived_ms = np.array([each.timestamp_ms for each in labels], np.int64)
            watch.add(decisions, [each.value for each in labels], arrived_ms, began_ms)
            first = False

    def close(self) -> None:
        """Lets the connections go."""
        self._decisions.close()
        if self._labels is not None:
            self._labels.close()

    def _read_labels(self) -> list[Record]:
        """All labels there were at the beginning, later those that have come."""
        found: list[Record] = []
        if self._labels is not None:
            found += self._labels.poll(_AT_ONCE, wait_s=0.0)
            while not self._labels.caught_up:
                found += self._labels.poll(_AT_ONCE, wait_s=0.2)
        return found


def scores_topic(plan: Plan) -> str:
    """The topic that holds every decision whole.

    Raises:
        UsageError: The pipeline has none.
    """
    for route in plan.pipeline.json_routes:
        if route.carries is Selection.ALL and route.form is Form.ENVELOPE:
            return route.topic
    raise UsageError(
        f"No route of {plan.pipeline.name} carries every decision as an envelope, so they cannot be watched.",
        "Add one to its `routes`: {topic: fraud-scores, carries: all, form: envelope}.",
    )


def feed_files(watch: Watch, decisions: Path, labels: Path | None) -> None:
    """Hands the lines of files to the watch: envelopes, and label records.

    Raises:
        DataError: One cannot be read.
    """
    if labels is not None:
        lines = _lines(labels)
        watch.add([], lines, np.full(len(lines), -1, np.int64))
    lines = _lines(decisions)
    for start in range(0, len(lines), _AT_ONCE):
        watch.add(lines[start : start + _AT_ONCE], [], np.empty(0, np.int64))


def _lines(path: Path) -> list[bytes | None]:
    try:
        return [line for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as failed:
        raise DataError(f"{path} cannot be read: {failed.strerror}.", "Give a file with one record a line.") from None
