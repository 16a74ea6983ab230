"""Hands events on as fast as they go or when their time comes, and their labels among them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fraudstream.simulate.labels import NEVER, LabelQueue
from fraudstream.telemetry.exporter import STUCK_AFTER_S
from fraudstream.telemetry.series import Series, counter, gauge

TICK_S = 0.005
"""Paced events go out in ticks this long."""
_LONGEST_SLEEP_S = 0.1


class Batch(Protocol):
    """Consecutive events in event-time order."""

    @property
    def event_at_ms(self) -> NDArray[np.int64]:
        """Event times, ascending."""

    @property
    def is_fraud(self) -> NDArray[np.bool_]:
        """The truth."""

    @property
    def ids(self) -> pl.Series | None:
        """Event ids; None where there are none."""

    def __len__(self) -> int: ...


B = TypeVar("B", bound=Batch)


@dataclass
class Delivered:
    """What was handed on so far, or altogether."""

    events: int = 0
    fraud: int = 0
    labels: int = 0
    labels_not_due: int = 0
    first_at_ms: int | None = None
    last_at_ms: int | None = None
    seconds: float = 0.0
    stopped: bool = False

    @property
    def events_per_s(self) -> float:
        """Events a second of wall time."""
        return self.events / self.seconds if self.seconds else 0.0


class Pace:
    """How event time follows the wall clock.

    Args:
        speed_up: Seconds of event time that pass in one second.
        live: Event time is wall time itself; otherwise the first event is due at once.
    """

    def __init__(self, speed_up: float = 1.0, *, live: bool = False) -> None:
        self._speed_up = speed_up
        self._event_ms: float | None = None
        self._origin_s = 0.0
        if live:
            self._event_ms, self._origin_s = time.time() * 1_000, time.monotonic()

    def begin(self, event_at_ms: int) -> None:
        """Event time is now this, unless it is settled already."""
        if self._event_ms is None:
            self._event_ms, self._origin_s = float(event_at_ms), time.monotonic()

    def now_ms(self) -> int:
        """Event time at this moment."""
        return int((self._event_ms or 0.0) + (time.monotonic() - self._origin_s) * 1_000 * self._speed_up)

    def seconds_until(self, event_at_ms: int) -> float:
        """Wall seconds until an instant of event time."""
        return (event_at_ms - self.now_ms()) / 1_000 / self._speed_up


@dataclass
class Delivery(Generic[B]):
    """Everything about how events are handed on.

    Attributes:
        emit: Takes the events of a batch within a slice.
        emit_labels: Takes label values and keys.
        labels: Where labels wait; None without labels.
        pace: None for as fast as it goes.
        stop: Set from outside to end early, with everything handed on so far complete.
        progress: Called a few times a second with the state.
        done: What was handed on so far.
        moved_at_s, stuck_after_s: As of `Watched` in `telemetry/exporter.py`.
    """

    emit: Callable[[B, slice], None]
    emit_labels: Callable[[list[bytes], list[bytes]], None] | None = None
    labels: LabelQueue | None = None
    pace: Pace | None = None
    stop: threading.Event | None = None
    progress: Callable[[Delivered], None] | None = None
    done: Delivered = field(default_factory=Delivered, init=False)
    moved_at_s: float = field(default_factory=time.monotonic, init=False)
    stuck_after_s: float = field(default=STUCK_AFTER_S, init=False)
    _begun_s: float = field(default=0.0, init=False)

    def unready(self) -> str | None:
        """Whether nothing was handed on yet. For any thread."""
        return None if self.done.events else "nothing has been sent yet"

    def series(self) -> Iterable[Series]:
        """What was handed on, as metrics, for any thread."""
        done = self.done
        yield counter("sent_events_total", "Events sent.", done.events)
        yield counter("sent_frauds_total", "Fraudulent ones among them.", done.fraud)
        yield counter("sent_labels_total", "Labels sent.", done.labels)
        newest = None if done.last_at_ms is None else done.last_at_ms / 1_000
        yield gauge("sent_newest_event_timestamp_seconds", "Event time of the newest one.", newest)

    def run(self, batches: Iterable[B]) -> Delivered:
        """Hands on all batches, and every label that becomes due before the last event."""
        done = self.done
        stop = self.stop or threading.Event()
        self._begun_s = time.monotonic()
        ready = prefetch(batches, stop) if self.pace else batches
        for batch in ready:
            self.moved_at_s = time.monotonic()
            if not len(batch):
                continue
            if self.labels is not None and batch.ids is not None:
                self.labels.add(batch.ids, batch.event_at_ms, batch.is_fraud)
            if self.pace:
                self.pace.begin(int(batch.event_at_ms[0]))
                self._when_due(batch, self.pace, done, stop)
            else:
                self._hand_on(batch, slice(0, len(batch)), done)
                self._hand_on_labels(int(batch.event_at_ms[-1]), done)
            done.seconds = time.monotonic() - self._begun_s
            if self.progress:
                self.progress(done)
            if stop.is_set():
                done.stopped = True
                break
        done.labels_not_due = len(self.labels) if self.labels is not None else 0
        done.seconds = time.monotonic() - self._begun_s
        return done

    def _when_due(self, batch: B, pace: Pace, done: Delivered, stop: threading.Event) -> None:
        """Hands on the events of one batch as event time reaches them."""
        at, sent = batch.event_at_ms, 0
        shown = time.monotonic()
        while sent < len(at) and not stop.is_set():
            self.moved_at_s = time.monotonic()
            now_ms = pace.now_ms()
            due = int(np.searchsorted(at, now_ms, side="right"))
            if due > sent:
                self._hand_on(batch, slice(sent, due), done)
                sent = due
            self._hand_on_labels(now_ms, done)
            if self.progress and time.monotonic() - shown > 0.2:
                shown = time.monotonic()
                done.seconds = shown - self._begun_s
                self.progress(done)
            if sent < len(at):
                next_label = self.labels.next_at_ms if self.labels is not None else NEVER
                wait_s = pace.seconds_until(min(int(at[sent]), next_label))
                time.sleep(min(max(wait_s, TICK_S), _LONGEST_SLEEP_S))

    def _hand_on(self, batch: B, part: slice, done: Delivered) -> None:
        self.emit(batch, part)
        done.events += part.stop - part.start
        done.fraud += int(batch.is_fraud[part].sum())
        if done.first_at_ms is None:
            if self.pace:
                self._begun_s = time.monotonic()  # the wait for the first instant is not part of the rate
            done.first_at_ms = int(batch.event_at_ms[part.start])
        done.last_at_ms = int(batch.event_at_ms[part.stop - 1])

    def _hand_on_labels(self, now_ms: int, done: Delivered) -> None:
        if self.labels is None or self.emit_labels is None:
            return
        values, keys = self.labels.due(now_ms)
        if values:
            self.emit_labels(values, keys)
            done.labels += len(values)


T = TypeVar("T")


def prefetch(items: Iterable[T], stop: threading.Event, depth: int = 3) -> Iterator[T]:
    """The items, made ahead by a thread of their own so that pacing does not wait for them.

    An exception of the items is raised here. The thread ends when `stop` is set or the items do.
    """
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(depth)
    abandoned = threading.Event()

    def put(entry: tuple[T | None, BaseException | None]) -> bool:
        while not (stop.is_set() or abandoned.is_set()):
            try:
                ready.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def make() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put((None, None))
        except BaseException as failure:
            put((None, failure))

    threading.Thread(target=make, name="prefetch", daemon=True).start()
    try:
        while not stop.is_set():
            try:
                item, failure = ready.get(timeout=0.1)
            except queue.Empty:
                continue
            if failure is not None:
                raise failure
            if item is None:
                return
            yield item
    finally:
        abandoned.set()
