"""Alerts into the outbox: in one transaction with the offsets up to which they were taken.

Whoever is killed has either done both or nothing, so every alert is in the outbox once for each channel it concerns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import and_, delete, func, select, update

from fraudstream.notify.declaration import Channel
from fraudstream.notify.gather import FAILED, SENT, WAITING, tell
from fraudstream.notify.select import Taken
from fraudstream.store import offsets
from fraudstream.store.engine import Store
from fraudstream.store.offsets import Place
from fraudstream.store.tables import notification_alerts, notification_repeats, notifications

_REPEATS_KEPT_MS = 30 * 86_400_000


class Depth(NamedTuple):
    """How many notifications of a channel are in a state, and since when the oldest is there, epoch ms."""

    channel: str
    state: str
    notifications: int
    oldest_at_ms: int


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
        with self.store.begin(read_only=True) as connection:
            return offsets.next_offsets(connection, self.notifier)

    def begin_at(self, positions: Mapping[Place, int]) -> None:
        """Notes where taking begins, for partitions of which no offset is known."""
        with self.store.begin() as connection:
            offsets.move_on(connection, self.notifier, {}, positions)

    def take(
        self,
        channels: Iterable[Channel],
        alerts: Sequence[Taken],
        believed: Mapping[Place, int],
        after: Mapping[Place, int],
        now_ms: int,
    ) -> dict[str, Counter[str]]:
        """Puts alerts into the outbox and the offsets forward, both or neither.

        Args:
            channels: The channels there are.
            alerts: The alerts, in the order they came.
            believed: Where each partition's next offset is thought to be.
            after: Where it is after these alerts.
            now_ms: The time by the clock.

        Returns:
            By channel how many alerts were `told` (put into a notification), how many of them into one that
            had others already (`grouped`), and how many were `repeats` and left out.

        Raises:
            FencedError: The offsets are elsewhere: another notifier has taken these alerts.
            StoreError: The store failed; whether both took effect is not known then.
        """
        with self.store.begin() as connection:
            offsets.move_on(connection, self.notifier, believed, after)
            return {each.name: tell(connection, self.notifier, each, alerts, now_ms) for each in channels}

    def depths(self) -> list[Depth]:
        """What waits and what has failed, by channel."""
        c = notifications.c
        found = select(c.channel, c.state, func.count(), func.min(c.created_at))
        found = found.where(c.notifier == self.notifier, c.state.in_((WAITING, FAILED))).group_by(c.channel, c.state)
        with self.store.begin(read_only=True) as connection:
            return [Depth(*row) for row in connection.execute(found)]

    def give_up(self, declared: Collection[str]) -> Counter[str]:
        """Lets what waits for channels that are not declared fail, to be seen; returns how many, by channel."""
        c = notifications.c
        theirs = and_(c.notifier == self.notifier, c.state == WAITING, c.channel.not_in(declared))
        with self.store.begin() as connection:
            found = connection.execute(select(c.channel).where(theirs).with_for_update()).scalars().all()
            if found:
                changes = {"state": FAILED, "last_error": "There is no such channel any more."}
                connection.execute(update(notifications).where(theirs).values(changes))
        return Counter(found)

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
