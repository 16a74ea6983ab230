"""Alerts into notifications: repeats left out, what belongs together in one.

What a batch of alerts touches is read once, changed here, and written once, however many alerts there are.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, and_, bindparam, insert, select, update

from fraudstream.notify.declaration import RISK_LEVELS, Channel, Repeats
from fraudstream.notify.select import Taken, digest, meets
from fraudstream.store.tables import notification_alerts, notification_repeats, notifications

WAITING, SENT, FAILED = "waiting", "sent", "failed"
"""The states of a notification."""
MOST_ALERTS = 500
"""How many alerts one notification takes; the next one begins another."""
_Row = dict[str, Any]
_document = msgspec.json.Encoder(decimal_format="number").encode


def tell(connection: Connection, notifier: str, channel: Channel, alerts: Iterable[Taken], now_ms: int) -> Counter[str]:
    """Puts the alerts that a channel wants into its notifications.

    Returns:
        How many were `told`, how many of them into one that had others already (`grouped`), and how many were
        `repeats` and left out.
    """
    wanted = [alert for alert in alerts if any(meets(condition, alert.document) for condition in channel.when)]
    counts = Counter({"told": len(wanted)})
    spared: list[int] = [0] * len(wanted)
    if channel.repeats is not None and wanted:
        before = _without_repeats(connection, notifier, channel, channel.repeats, wanted)
        counts = Counter({"told": len(wanted) - before.count(None), "repeats": before.count(None)})
        told = [(alert, count) for alert, count in zip(wanted, before, strict=True) if count is not None]
        wanted, spared = [alert for alert, _ in told], [count for _, count in told]
    if wanted:
        begun = _gather(connection, notifier, channel, wanted, spared, now_ms)
        counts["grouped"] = len(wanted) - begun
    return counts


def _without_repeats(
    connection: Connection, notifier: str, channel: Channel, repeats: Repeats, alerts: Sequence[Taken]
) -> list[int | None]:
    """For each alert how many repeats were left out before it; None where it is one itself."""
    c = notification_repeats.c
    subjects = [digest(alert, repeats.by) for alert in alerts]
    mine = and_(c.notifier == notifier, c.channel == channel.name)
    found = connection.execute(select(notification_repeats).where(mine, c.subject.in_(set(subjects))).with_for_update())
    known = {row.subject: dict(row._mapping) for row in found}
    new = [subject for subject in dict.fromkeys(subjects) if subject not in known]
    before: list[int | None] = []
    for alert, subject in zip(alerts, subjects, strict=True):
        row = known.get(subject)
        if row is not None and alert.at_ms < row["told_at"] + repeats.after_ms:
            row["left_out"] += 1
            before.append(None)
            continue
        before.append(0 if row is None else row["left_out"])
        known[subject] = {
            "notifier": notifier, "channel": channel.name, "subject": subject, "told_at": alert.at_ms, "left_out": 0,
        }  # fmt: skip
    fresh = [known.pop(subject) for subject in new]
    _write(connection, notification_repeats, fresh, known.values(), ("told_at", "left_out"))
    return before


def _gather(
    connection: Connection,
    notifier: str,
    channel: Channel,
    alerts: Sequence[Taken],
    spared: Sequence[int],
    now_ms: int,
) -> int:
    """Puts each alert into the notification that waits for its like, or into a new one; returns how many are new."""
    c = notifications.c
    belong = [digest(alert, channel.group.by) for alert in alerts]
    waits = and_(c.notifier == notifier, c.channel == channel.name, c.state == WAITING, c.attempts == 0)
    waits = and_(waits, c.belongs_to.in_(set(belong)), c.alerts < MOST_ALERTS)
    # Locked: what a courier claims meanwhile takes no more alerts.
    found = connection.execute(select(notifications).where(waits).with_for_update())
    open_ones = {row.belongs_to: dict(row._mapping) for row in found}
    changed = list(open_ones.values())
    new: list[_Row] = []
    documents: list[_Row] = []
    due_at = now_ms + channel.group.over_ms
    for alert, belongs_to, left_out in zip(alerts, belong, spared, strict=True):
        risk_level = alert.document["risk_level"]
        row = open_ones.get(belongs_to)
        if row is None or row["alerts"] >= MOST_ALERTS:
            row = {
                "notification_id": secrets.token_hex(16), "notifier": notifier, "channel": channel.name,
                "belongs_to": belongs_to, "state": WAITING, "risk_level": risk_level, "alerts": 0, "repeats": 0,
                "attempts": 0, "created_at": now_ms, "due_at": due_at,
            }  # fmt: skip
            open_ones[belongs_to] = row
            new.append(row)
        if RISK_LEVELS.index(risk_level) > RISK_LEVELS.index(row["risk_level"]):
            # A graver one may break the quiet hours that the others wait for.
            row |= {"risk_level": risk_level, "due_at": min(row["due_at"], due_at)}
        text = _document(alert.document).decode()
        documents.append({"notification_id": row["notification_id"], "position": row["alerts"], "document": text})
        row["alerts"] += 1
        row["repeats"] += left_out
    _write(connection, notifications, new, changed, ("alerts", "repeats", "risk_level", "due_at"))
    connection.execute(insert(notification_alerts), documents)
    return len(new)


def _write(
    connection: Connection, table: Table, new: Sequence[_Row], changed: Iterable[_Row], names: Sequence[str]
) -> None:
    """Inserts the new rows, and brings those names of the changed ones up to date."""
    if new:
        connection.execute(insert(table), new)
    keys = [column.name for column in table.primary_key]
    this = and_(*(table.c[key] == bindparam(f"this_{key}") for key in keys))
    values = [
        {f"this_{key}": row[key] for key in keys} | {f"new_{name}": row[name] for name in names} for row in changed
    ]
    if values:
        statement = update(table).where(this).values({name: bindparam(f"new_{name}") for name in names})
        connection.execute(statement, values)
