"""How far everything behind the topics has come: sinks, notifier and lake, the outbox, and the work on alerts."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Executable, func, select

from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.tail import Place, TopicTail
from fraudstream.notify.gather import FAILED, WAITING
from fraudstream.plan.plan import Plan
from fraudstream.settings import Settings
from fraudstream.status.line import Seen
from fraudstream.status.scoring import ASK_S
from fraudstream.store.cases import Status
from fraudstream.store.engine import SQLITE_NAME, Store
from fraudstream.store.migrate import open_store
from fraudstream.store.tables import cases, notifications, sink_offsets

_MOST_COUNTED = 5_000
_NO_STORE = Seen("no store yet", {})


def sinks(settings: Settings, plan: Plan) -> Seen:
    """How many records each sink and notifier of the pipeline is behind."""
    store = _store(settings)
    if store is None:
        return _NO_STORE
    c, name = sink_offsets.c, plan.pipeline.name
    with store.begin(read_only=True) as connection:
        rows = connection.execute(select(c.sink, c.topic, c.partition, c.next_offset)).all()
    topics = {topic for topic, _ in plan.pipeline.topics_to_create()}
    found: dict[str, dict[Place, int]] = {}
    for sink, topic, partition, offset in rows:
        if topic in topics and (sink.endswith(f"-{name}") or sink.startswith("notify-")):
            found.setdefault(sink, {})[topic, partition] = offset
    lags = {sink: _behind(settings, at) for sink, at in sorted(found.items())}
    text = " · ".join(f"{sink} {lag:,} behind" for sink, lag in lags.items()) or "none has run"
    return Seen(text, {"lag_records": lags})


def lake(settings: Settings, plan: Plan) -> Seen:
    """How many records the lake is behind."""
    if settings.lake_url is None and not (settings.project_folder / "lake").exists():
        return Seen("no lake yet", {})
    from fraudstream.sinks.lake import LakeTarget  # its library may not be installed

    target = LakeTarget(settings, plan)
    if not all(table.exists() for table in target.tables.values()):
        return Seen("no lake yet", {})
    lag = _behind(settings, target.positions())
    return Seen(f"{lag:,} behind", {"lag_records": lag})


def outbox(settings: Settings) -> Seen:
    """How many notifications wait, and how many failed for good."""
    store = _store(settings)
    if store is None:
        return _NO_STORE
    found = _counts(store, select(notifications.c.state, func.count()).group_by(notifications.c.state))
    waiting, failed = found.get(WAITING, 0), found.get(FAILED, 0)
    return Seen(f"{waiting:,} to be told · {failed:,} failed", {"waiting": waiting, "failed": failed})


def work(settings: Settings, plan: Plan) -> Seen:
    """The cases that are not closed."""
    store = _store(settings)
    if store is None:
        return _NO_STORE
    own = select(cases.c.status, func.count()).where(cases.c.pipeline == plan.pipeline.name)
    found = _counts(store, own.group_by(cases.c.status))
    waiting, working = found.get(Status.OPEN, 0), found.get(Status.WORKING, 0)
    return Seen(f"{waiting:,} open · {working:,} in work", {"open": waiting, "working": working})


def _counts(store: Store, question: Executable) -> dict[str, int]:
    with store.begin(read_only=True) as connection:
        return {row[0]: row[1] for row in connection.execute(question)}


def _store(settings: Settings) -> Store | None:
    """The store; None where it is SQLite and nothing has made it yet."""
    if settings.store_url is None and not (settings.project_folder / SQLITE_NAME).exists():
        return None
    return open_store(settings)


def _behind(settings: Settings, at: Mapping[Place, int]) -> int:
    """How many records come behind these offsets: counted where they are few, since markers of transactions are not
    records; else the difference of offsets."""
    topics = sorted({topic for topic, _ in at})
    if not topics:
        return 0
    admin = KafkaAdmin(settings, timeout_s=ASK_S)
    begins, ends = admin.beginning_offsets(topics), admin.end_offsets(topics)
    about = sum(max(0, end - at.get(place, begins[place])) for place, end in ends.items())
    if not 0 < about <= _MOST_COUNTED:
        return about
    tail = TopicTail(settings, topics, positions=at, skip_missing=True)
    try:
        return sum(1 for _ in tail.to_end(ASK_S))
    finally:
        tail.close()
