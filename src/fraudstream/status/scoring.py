"""How scoring stands, as Kafka shows it: scorers, lag, rate, the last decision, the day's alerts and dead letters."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime

import msgspec

from fraudstream.engine.alerts import NotAnAlert, alert_routes, input_topic_of
from fraudstream.errors import UsageError
from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.inspect import KafkaInspector
from fraudstream.kafka.tail import Record, TopicTail
from fraudstream.plan.plan import Plan
from fraudstream.runner.inputs import input_topics
from fraudstream.runner.switches import switched_off
from fraudstream.settings import Settings
from fraudstream.status.line import Seen

ASK_S = 4.0
_SHORTEST_S = 1.0
"""Between two looks at the committed offsets that a rate is made of."""
_READ_S = 2.0
_AT_ONCE = 10_000


class _DeadLetter(msgspec.Struct, frozen=True, rename={"kind": "class"}):
    kind: str
    pipeline: str


class Scoring:
    """Who scores, how much waits, and how fast it goes.

    Args:
        settings: Which cluster.
        plan: The pipeline.
        group: Its scorers' consumer group.
    """

    def __init__(self, settings: Settings, plan: Plan, group: str) -> None:
        self._settings, self._plan, self._group = settings, plan, group
        self._before: tuple[float, int] | None = None

    def __call__(self) -> Seen:
        """The line."""
        admin, topics = KafkaAdmin(self._settings, timeout_s=ASK_S), input_topics(self._plan)
        found = KafkaInspector(self._settings, timeout_s=ASK_S).group(self._group)
        if self._before is None:
            self._before = time.monotonic(), self._committed(admin, topics)
            time.sleep(_SHORTEST_S)
        now = time.monotonic(), self._committed(admin, topics)
        rate = max(0, now[1] - self._before[1]) / max(now[0] - self._before[0], _SHORTEST_S)
        if now[0] - self._before[0] >= _SHORTEST_S:
            self._before = now
        begins, ends = admin.beginning_offsets(topics), admin.end_offsets(topics)
        committed = {place: at.offset for place, at in admin.committed_offsets(self._group, topics).items()}
        lag = sum(end - max(committed.get(place, 0), begins[place]) for place, end in ends.items())
        scorers = f"{len(found.members)} scorer{'s' if len(found.members) != 1 else ''}"
        return Seen(
            f"{scorers}, group {found.state} · {lag:,} records to read · {rate:,.0f} a second",
            {"members": found.members, "state": found.state, "lag_records": lag, "records_per_second": round(rate, 1)},
        )

    def _committed(self, admin: KafkaAdmin, topics: list[str]) -> int:
        return sum(at.offset for at in admin.committed_offsets(self._group, topics).values())


class Today:
    """The last decision, and the day's alerts and dead letters (UTC); read on from where the last look ended.

    Args:
        settings: Which cluster.
        plan: The pipeline.
    """

    def __init__(self, settings: Settings, plan: Plan) -> None:
        self._settings, self._pipeline = settings, plan.pipeline
        try:
            self._alerts = {route.topic for route in alert_routes(plan.pipeline)}
        except UsageError:
            self._alerts = set()
        self._day = ""
        self._tail: TopicTail | None = None
        self._counts: Counter[str] = Counter()
        self._letters: Counter[str] = Counter()

    def __call__(self) -> Seen:
        """The line."""
        inspector = KafkaInspector(self._settings, timeout_s=ASK_S)
        newest = inspector.newest_ms({route.topic for route in self._pipeline.routes})
        last_ms = max(newest.values(), default=None)
        complete = self._read()
        age_s = None if last_ms is None else time.time() - last_ms / 1_000
        letters = ", ".join(f"{kind} {count:,}" for kind, count in sorted(self._letters.items())) or "none"
        more = "" if complete else " at least"
        last = "none yet" if age_s is None else f"{max(age_s, 0):,.0f} s ago"
        return Seen(
            f"last {last} · {self._counts['alerts']:,} alerts today{more} · dead letters today{more}: {letters}",
            {
                "last_decision_at": last_ms,
                "alerts_today": self._counts["alerts"],
                "dead_letters_today": dict(self._letters),
                "complete": complete,
            },
        )

    def _read(self) -> bool:
        """Counts what came since the last look; returns whether that is all."""
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        if self._tail is None or day != self._day:
            midnight_ms = int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp() * 1_000)
            topics = [*sorted(self._alerts), self._pipeline.dead_letters.name]
            if self._tail is not None:
                self._tail.close()
            self._tail = TopicTail(self._settings, topics, since_ms=midnight_ms)
            self._day, self._counts, self._letters = day, Counter(), Counter()
        by_s = time.monotonic() + _READ_S
        while time.monotonic() < by_s:
            found = self._tail.poll(_AT_ONCE)
            for record in found:
                self._count(record)
            if not found and self._tail.caught_up:
                return True
        return False

    def _count(self, record: Record) -> None:
        try:
            if record.topic in self._alerts:
                self._counts["alerts"] += input_topic_of(record.value or b"") == self._pipeline.input.name
            else:
                letter = msgspec.json.decode(record.value or b"", type=_DeadLetter)
                if letter.pipeline == self._pipeline.name:
                    self._letters[letter.kind] += 1
        except (NotAnAlert, msgspec.MsgspecError):
            return  # no scorer wrote it


def switches(settings: Settings, plan: Plan) -> Seen:
    """What is switched off."""
    off = switched_off(settings, plan.pipeline)
    text = ", ".join(f"{each.code} by {each.by or 'somebody'}, {each.at[:19]}Z" for each in off)
    return Seen(f"off: {text}" if off else "nothing is off", {"off": [each.code for each in off]})
