"""What could not be told: to be seen, and to be sent again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select, update

from fraudstream.notify.gather import FAILED, WAITING
from fraudstream.store.engine import Store
from fraudstream.store.tables import notifications


class Failure(NamedTuple):
    """A notification that has failed for good, or waits for another attempt.

    Attributes:
        state: `failed` or `waiting`.
        alerts: How many it has.
        attempted_at: The latest attempt, epoch ms; None where there was none.
        due_at: When a waiting one is due, epoch ms.
    """

    notification_id: str
    notifier: str
    channel: str
    state: str
    risk_level: str
    alerts: int
    attempts: int
    created_at: int
    attempted_at: int | None
    due_at: int
    title: str | None
    last_error: str | None


def failures(store: Store, *, waiting: bool = False, channel: str | None = None) -> list[Failure]:
    """The notifications that failed, the oldest first; with `waiting` also those that still wait."""
    states = (FAILED, WAITING) if waiting else (FAILED,)
    found = select(*(notifications.c[name] for name in Failure._fields)).where(notifications.c.state.in_(states))
    if channel is not None:
        found = found.where(notifications.c.channel == channel)
    with store.begin(read_only=True) as connection:
        return [Failure(*row) for row in connection.execute(found.order_by(notifications.c.created_at))]


def resend(store: Store, ids: Sequence[str], now_ms: int) -> list[str]:
    """Makes failed notifications due now, with new attempts and under the ids they have.

    The wish is an entry of the audit chain.

    Returns:
        The ids of those that had failed.
    """
    this = (notifications.c.notification_id.in_(ids), notifications.c.state == FAILED)
    with store.change("notifications sent again", f"{len(ids)} notifications", {"ids": list(ids)}) as connection:
        found = list(connection.execute(select(notifications.c.notification_id).where(*this)).scalars())
        # Not to none: a notification that was attempted takes no more alerts.
        changes = {"state": WAITING, "attempts": 1, "due_at": now_ms}
        connection.execute(update(notifications).where(*this).values(changes))
    return found
