"""Deletes from the store what a pipeline declares to be kept no longer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Column, Connection, and_, delete, select, text

from fraudstream.define.retention import Retention
from fraudstream.store.cases import Status
from fraudstream.store.engine import Store
from fraudstream.store.tables import alerts, cases, dead_letters, decisions, labels, notification_alerts, notifications
from fraudstream.units import parse_duration

_BY = {
    "decisions": decisions.c.decided_at,
    "alerts": alerts.c.alert_at,
    "cases": cases.c.changed_at,
    "labels": labels.c.labelled_at,
    "dead_letters": dead_letters.c.input_at,
}
"""What says how old a row is, by table."""


def prune(store: Store, pipeline: str, retention: Retention, now_ms: int) -> dict[str, int]:
    """Deletes rows of a pipeline that were kept long enough; returns how many, by table. It is audited.

    On PostgreSQL, days of decisions that are empty then are dropped, so their space is free at once.

    Args:
        store: The store.
        pipeline: The pipeline's name.
        retention: How long each kind of row is kept.
        now_ms: The present, epoch ms.

    Raises:
        StoreUnreachable, StoreError: The database does not answer, or refuses.
    """
    deleted: dict[str, int] = {}
    with store.change("pruned", pipeline, deleted) as connection:
        for name, at in _BY.items():
            keep = getattr(retention, name)
            if keep is not None:
                deleted[name] = _delete(connection, pipeline, at, now_ms - parse_duration(keep))
        if retention.notifications is not None:
            before_ms = now_ms - parse_duration(retention.notifications)
            deleted["notifications"] = _delete_notifications(connection, pipeline, before_ms)
        if store.is_postgresql and "decisions" in deleted:
            assert retention.decisions is not None
            _drop_empty_days(connection, now_ms - parse_duration(retention.decisions))
    return deleted


def _delete(connection: Connection, pipeline: str, at: Column[int], before_ms: int) -> int:
    table = at.table
    old = and_(table.c.pipeline == pipeline, at < before_ms)
    if table is cases:
        old = and_(old, cases.c.status == Status.CLOSED.value)
    return connection.execute(delete(table).where(old)).rowcount


def _delete_notifications(connection: Connection, pipeline: str, before_ms: int) -> int:
    """Deletes notifications that are done with and tell of the pipeline's alerts, with all that they tell."""
    alerts_of, document = notification_alerts.c.notification_id, notification_alerts.c.document
    telling = select(alerts_of).where(document.contains(f'"pipeline":"{pipeline}"', autoescape=True))
    old = and_(
        notifications.c.created_at < before_ms,
        notifications.c.state != "waiting",
        notifications.c.notification_id.in_(telling),
    )
    deleted = connection.execute(delete(notifications).where(old)).rowcount
    connection.execute(delete(notification_alerts).where(alerts_of.not_in(select(notifications.c.notification_id))))
    return deleted


def _drop_empty_days(connection: Connection, before_ms: int) -> None:
    """Drops the partitions of days that ended before an instant and hold nothing, of no pipeline."""
    last = f"decisions_{datetime.fromtimestamp(before_ms / 1_000, UTC) - timedelta(days=1):%Y_%m_%d}"
    leaves = text("SELECT relid::regclass::text FROM pg_partition_tree('decisions') WHERE isleaf ORDER BY 1")
    for name in connection.execute(leaves).scalars().all():
        if name <= last and connection.execute(select(text("1")).select_from(text(name)).limit(1)).first() is None:
            connection.exec_driver_sql(f"DROP TABLE {name}")
