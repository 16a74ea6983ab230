"""Delivers one channel's notifications, on a thread of its own: a slow channel holds up no other."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from fraudstream.errors import StoreError
from fraudstream.notify.claims import Claims
from fraudstream.notify.declaration import Channel
from fraudstream.notify.message import Message, Undelivered
from fraudstream.notify.outbox import Outbox
from fraudstream.telemetry.histogram import SECONDS, Histogram
from fraudstream.units import format_duration

Result = TypeVar("Result")
_STORE_PAUSE_S = 1.0


class Courier(threading.Thread):
    """A channel's thread.

    Args:
        outbox: What there is to deliver.
        channel: Where to.
        note: Told what an operator should know, a line each.

    Attributes:
        channel: The channel's name.
        counts: Attempts by how they ended: `sent`, `failed` for good, or `put off`.
        durations: How long the channel took for each, seconds.
    """

    def __init__(self, outbox: Outbox, channel: Channel, note: Callable[[str], None]) -> None:
        super().__init__(name=f"channel {channel.name}", daemon=True)
        self.channel = channel.name
        self.counts = Counter({"sent": 0, "failed": 0, "put off": 0})
        self.durations = Histogram(SECONDS)
        self._claims = Claims(outbox, channel)
        self._channel = channel
        self._note = note
        self._wake = threading.Event()
        self._ending = threading.Event()

    def wake(self) -> None:
        """Has it look at the outbox now."""
        self._wake.set()

    def end(self) -> None:
        """Has it end when what is in hand is recorded."""
        self._ending.set()
        self._wake.set()

    def is_done(self) -> bool:
        """Whether nothing is due now; what waits for a later attempt, or for quiet hours to end, is not."""
        due_at = self._claims.due_at()
        return due_at is None or due_at > _now_ms()

    def run(self) -> None:
        """Claims, sends and records until it is to end."""
        while not self._ending.is_set():
            self._wake.clear()
            claimed = self._patiently(lambda: self._claims.claim(_now_ms()))
            if isinstance(claimed, Message):
                self._deliver(claimed)
            elif claimed is not None:
                self._wake.wait(max(0, claimed - _now_ms()) / 1_000)

    def _deliver(self, message: Message) -> None:
        started_s = time.monotonic()
        try:
            try:
                self._channel.sender.send(message, self._channel.timeout_ms / 1_000)
            finally:
                self.durations.add_one(time.monotonic() - started_s)
        except Undelivered as failure:
            self._put_off(message, failure)
        except Exception as bug:  # of a channel from elsewhere: it may not take the others' notifications with it
            self._put_off(message, Undelivered(f"The channel failed: {type(bug).__name__}."))
        else:
            self._patiently(lambda: self._claims.sent(message, _now_ms()), even_at_the_end=True)
            self.counts["sent"] += 1

    def _put_off(self, message: Message, failure: Undelivered) -> None:
        due_at = self._patiently(lambda: self._claims.not_sent(message, failure, _now_ms()), even_at_the_end=True)
        self.counts["failed" if due_at is None else "put off"] += 1
        what = f"{self._channel.name}: {message.id} was not taken: {failure}"
        if due_at is None:
            self._note(f"{what} It has failed; see `fraudstream notify failed`.")
        else:
            self._note(f"{what} Again in {format_duration(max(1, (due_at - _now_ms()) // 1_000) * 1_000)}.")

    def _patiently(self, action: Callable[[], Result], *, even_at_the_end: bool = False) -> Result | None:
        """Does something with the store, again while the store fails; None where the end came before it worked."""
        tries = 0
        while True:
            try:
                return action()
            except StoreError as failed:
                tries += 1
                if self._ending.is_set() and (not even_at_the_end or tries > 3):
                    return None
                if tries == 1:
                    self._note(f"{self._channel.name}: {failed}")
                time.sleep(_STORE_PAUSE_S)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
