"""Alerts into the outbox: in one transaction with the offsets up to which they were taken.

Whoever is killed has either done both or nothing, so every alert is in the outbox once for each channel it concerns.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, and_, delete, insert, select, update

from fraudstream.notify.declaration import RISK_LEVELS, Channel
from fraudstream.notify.select import Taken, digest, meets
from fraudstream.store.engine import Store
from fraudstream.store.tables import notification_alerts, notification_repeats, notifications, sink_offsets

WAITING, SENT, FAILED = "waiting", "sent", "failed"
"""The states of a notification."""
MOST_ALERTS = 500
"""How many alerts one notification takes; the next one begins another."""
_REPEATS_KEPT_MS = 30 * 86_400_000
Place = tuple[str, int]
"""A topic and a partition."""
_document = msgspec.json.Encoder(decimal_format="number").encode


class Overtaken(Exception):
    """Another notifier has taken these alerts; whoever sees this looks at the offsets again."""


class Outbox:
    """The notifications of one notifier.

    Args:
        store: Where they are.
        notifier: Its name, under which it finds its place again.
    """

    def __init__(self, store: Store, notifier: str) -> None:
        self.store = store
        self.notifier = notifier

    def positions(self) -> dict[Place, int]:
        """The next offset to take, where one is known."""
        mine = sink_offsets.c.sink == self.notifier
        with self.store.begin(read_only=True) as connection:
            found = connection.execute(select(sink_offsets).where(mine))
            return {(row.topic, row.partition): row.next_offset for row in found}

    def begin_at(self, positions: Mapping[Place, int]) -> None:
        """Notes where taking begins, for partitions of which no offset is known."""
        with self.store.begin() as connection:
            for place, offset in positions.items():
                self._advance(connection, place, None, offset)

    def take(
        self,
        channels: Iterable[Channel],
        alerts: Sequence[Taken],
        moved: Mapping[Place, tuple[int | None, int]],
        now_ms: int,
    ) -> Counter[str]:
        """Puts alerts into the outbox and the offsets forward, both or neither.

        Args:
            channels: The channels there are.
            alerts: The alerts, in the order they came.
            moved: From where to where each partition's next offset moves.
            now_ms: The time by the clock.

        Returns:
            How many alerts were `told` (put into a notification), and how many were `repeats` and left out.

        Raises:
            Overtaken: The offsets are not where this began.
            StoreError: The store failed; whether both took effect is not known then.
        """
        counts: Counter[str] = Counter()
        with self.store.begin() as connection:
            for place, (before, after) in moved.items():
                self._advance(connection, place, before, after)
            for channel in channels:
                for alert in alerts:
                    if any(meets(condition, alert.document) for condition in channel.when):
                        counts[self._tell(connection, channel, alert, now_ms)] += 1
        return counts

    def forget(self, sent_before_ms: int, now_ms: int) -> None:
        """Deletes what was sent before then, and subjects that nothing was heard of for a month."""
        old = and_(notifications.c.notifier == self.notifier, notifications.c.state == SENT)
        old = and_(old, notifications.c.sent_at < sent_before_ms)
        with self.store.begin() as connection:
            ids = select(notifications.c.notification_id).where(old)
            connection.execute(delete(notification_alerts).where(notification_alerts.c.notification_id.in_(ids)))
            connection.execute(delete(notifications).where(old))
            connection.execute(
                delete(notification_repeats).where(
                    notification_repeats.c.notifier == self.notifier,
                    notification_repeats.c.told_at < now_ms - _REPEATS_KEPT_MS,
                )
            )

    def _advance(self, connection: Connection, place: Place, before: int | None, after: int) -> None:
        topic, partition = place
        here = and_(
            sink_offsets.c.sink == self.notifier,
            sink_offsets.c.topic == topic,
            sink_offsets.c.partition == partition,
        )
        if before is None:
            if connection.execute(select(sink_offsets).where(here)).first() is not None:
                raise Overtaken
            row = {"sink": self.notifier, "topic": topic, "partition": partition, "next_offset": after}
            connection.execute(insert(sink_offsets).values(row))
            return
        moving = update(sink_offsets).where(here, sink_offsets.c.next_offset == before).values(next_offset=after)
        if connection.execute(moving).rowcount != 1:
            raise Overtaken

    def _tell(self, connection: Connection, channel: Channel, alert: Taken, now_ms: int) -> str:
        """Puts one alert into one channel's notification, unless it repeats what the channel knows."""
        left_out = self._left_out(connection, channel, alert)
        if left_out is None:
            return "repeats"
        risk_level = alert.document["risk_level"]
        belongs_to = digest(alert, channel.group.by)
        due_at = now_ms + channel.group.over_ms
        open_one = connection.execute(
            select(notifications).where(
                notifications.c.notifier == self.notifier,
                notifications.c.channel == channel.name,
                notifications.c.state == WAITING,
                notifications.c.attempts == 0,
                notifications.c.belongs_to == belongs_to,
                notifications.c.alerts < MOST_ALERTS,
            )
        ).first()
        if open_one is None:
            notification_id, position = secrets.token_hex(16), 0
            connection.execute(
                insert(notifications).values(
                    notification_id=notification_id, notifier=self.notifier, channel=channel.name,
                    belongs_to=belongs_to, state=WAITING, risk_level=risk_level, alerts=1, repeats=left_out,
                    attempts=0, created_at=now_ms, due_at=due_at,
                )
            )  # fmt: skip
        else:
            notification_id, position = open_one.notification_id, open_one.alerts
            joined = {"alerts": open_one.alerts + 1, "repeats": open_one.repeats + left_out}
            if RISK_LEVELS.index(risk_level) > RISK_LEVELS.index(open_one.risk_level):
                # A graver one may break the quiet hours that the others wait for.
                joined |= {"risk_level": risk_level, "due_at": min(open_one.due_at, due_at)}
            this = notifications.c.notification_id == notification_id
            connection.execute(update(notifications).where(this).values(joined))
        document = _document(alert.document).decode()
        row = {"notification_id": notification_id, "position": position, "document": document}
        connection.execute(insert(notification_alerts).values(row))
        return "told"

    def _left_out(self, connection: Connection, channel: Channel, alert: Taken) -> int | None:
        """How many repeats were left out before this alert; None where it is one itself, which is counted."""
        if channel.repeats is None:
            return 0
        subject = digest(alert, channel.repeats.by)
        row = {"notifier": self.notifier, "channel": channel.name, "subject": subject}
        this = and_(*(notification_repeats.c[name] == value for name, value in row.items()))
        known = connection.execute(select(notification_repeats).where(this)).first()
        if known is None:
            connection.execute(insert(notification_repeats).values(row | {"told_at": alert.at_ms, "left_out": 0}))
            return 0
        if alert.at_ms < known.told_at + channel.repeats.after_ms:
            connection.execute(update(notification_repeats).where(this).values(left_out=known.left_out + 1))
            return None
        connection.execute(update(notification_repeats).where(this).values(told_at=alert.at_ms, left_out=0))
        return int(known.left_out)
