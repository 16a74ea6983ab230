"""Notifications out of the outbox: claimed before they are sent, recorded afterwards.

A claim puts the next attempt off by a lease. Whoever dies between sending and recording leaves a notification that
is due again when the lease is over, and goes out once more under the same idempotency key: at least once.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, and_, select, update

from fraudstream.define.decision import RiskLevel
from fraudstream.notify.declaration import Channel
from fraudstream.notify.gather import FAILED, SENT, WAITING
from fraudstream.notify.message import Message, Undelivered
from fraudstream.notify.outbox import Outbox
from fraudstream.notify.template import render
from fraudstream.notify.timing import free_at, next_attempt_ms, quiet_until
from fraudstream.store.tables import notification_alerts, notifications

IDLE_MS = 1_000
"""How soon to look again where nothing is due: another process may have asked for something to be sent again."""
LEASE_BEYOND_TIMEOUT_MS = 3_000
_AT_ONCE = 200


class Claims:
    """What one channel is to deliver.

    Args:
        outbox: Where it waits.
        channel: Which channel.
    """

    def __init__(self, outbox: Outbox, channel: Channel) -> None:
        self._store = outbox.store
        self._channel = channel
        self._mine = and_(notifications.c.notifier == outbox.notifier, notifications.c.channel == channel.name)
        self._waiting = and_(self._mine, notifications.c.state == WAITING)

    def due_at(self) -> int | None:
        """When the next notification is due; None where none waits."""
        first = select(notifications.c.due_at).where(self._waiting).order_by(notifications.c.due_at).limit(1)
        with self._store.begin(read_only=True) as connection:
            found: int | None = connection.execute(first).scalar()
            return found

    def claim(self, now_ms: int) -> Message | int:
        """The next notification to send, which nobody else will get before its lease ends; or when to look again."""
        due_at = self.due_at()
        if due_at is None or due_at > now_ms:
            return now_ms + IDLE_MS if due_at is None else min(due_at, now_ms + IDLE_MS)
        with self._store.begin() as connection:
            free = free_at(self._channel.limit, self._left_at(connection, now_ms), now_ms)
            if free > now_ms:
                return free
            row = self._next(connection, now_ms)
            return now_ms if row is None else self._claimed(connection, row, now_ms)

    def sent(self, message: Message, now_ms: int) -> None:
        """Records that a notification was taken."""
        self._record(message, {"state": SENT, "sent_at": now_ms, "last_error": None})

    def not_sent(self, message: Message, failure: Undelivered, now_ms: int) -> int | None:
        """Records a failed attempt; returns when the next one is due, None where there will be none."""
        this = notifications.c.notification_id == message.id
        with self._store.begin(read_only=True) as connection:
            attempts = connection.execute(select(notifications.c.attempts).where(this)).scalar_one()
        changes: dict[str, Any] = {"last_error": str(failure).replace("\0", "")}  # PostgreSQL takes no such text
        retry = self._channel.retry
        if failure.for_good or attempts >= retry.attempts:
            self._record(message, changes | {"state": FAILED})
            return None
        due_at = now_ms + next_attempt_ms(retry, attempts, failure.wait_ms)
        self._record(message, changes | {"due_at": due_at})
        return due_at

    def _record(self, message: Message, changes: dict[str, Any]) -> None:
        this = and_(notifications.c.notification_id == message.id, notifications.c.state == WAITING)
        with self._store.begin() as connection:
            connection.execute(update(notifications).where(this).values(changes))

    def _left_at(self, connection: Connection, now_ms: int) -> list[int]:
        """When notifications left that the limit still counts."""
        if self._channel.limit is None:
            return []
        at = notifications.c.attempted_at
        found = select(at).where(self._mine, at > now_ms - self._channel.limit.per_ms).order_by(at)
        return list(connection.execute(found).scalars())

    def _next(self, connection: Connection, now_ms: int) -> Row[Any] | None:
        """The next one that may leave; those that quiet hours hold back are due when these end."""
        due = select(notifications).where(self._waiting, notifications.c.due_at <= now_ms)
        order = (notifications.c.due_at, notifications.c.created_at)
        next_ones = due.order_by(*order).limit(_AT_ONCE).with_for_update(skip_locked=True)
        for row in connection.execute(next_ones).all():
            until = quiet_until(self._channel.quiet, RiskLevel(row.risk_level), now_ms)
            if until is None:
                return row
            this = notifications.c.notification_id == row.notification_id
            connection.execute(update(notifications).where(this).values(due_at=until))
        return None

    def _claimed(self, connection: Connection, row: Row[Any], now_ms: int) -> Message:
        this = notification_alerts.c.notification_id == row.notification_id
        found = select(notification_alerts.c.document).where(this).order_by(notification_alerts.c.position)
        alerts = tuple(json.loads(text, parse_float=Decimal) for text in connection.execute(found).scalars())
        title, body = row.title, row.body
        if body is None:  # the first attempt fixes the words, so that every other one says the same
            title, body = render(self._channel.template, alerts)
            if row.repeats:
                body += f"\n{row.repeats} more of what was told before"
            body += f"\nnotification {row.notification_id}"
        changes = {
            "title": title,
            "body": body,
            "attempts": row.attempts + 1,
            "attempted_at": now_ms,
            "due_at": now_ms + self._channel.timeout_ms + LEASE_BEYOND_TIMEOUT_MS,
        }
        connection.execute(
            update(notifications).where(notifications.c.notification_id == row.notification_id).values(changes)
        )
        level = RiskLevel(row.risk_level)
        return Message(row.notification_id, self._channel.name, title, body, level, row.repeats, alerts)
