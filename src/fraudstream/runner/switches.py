"""Kill switches: what is switched off of a pipeline, told to all its scorers by a compacted topic.

A record's key is `PIPELINE/CODE`, where CODE is a rule's or MODEL_SCORE; the newest record of a key holds. Every scorer
reads the topic to its end before it decides anything, and then follows it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from fraudstream.define.pipeline import Pipeline
from fraudstream.errors import BrokerUnreachable
from fraudstream.kafka.producer import BulkProducer, require_topics
from fraudstream.kafka.tail import Record, TopicTail
from fraudstream.settings import Settings

LOGGER = logging.getLogger("fraudstream.runner")

READ_WITHIN_S = 30.0
_LONG_POLL_MS = 500  # the broker answers at once when there is something
_LOOK_S = 0.1
_AGAIN_S = 1.0


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the topic.

    Attributes:
        pipeline: Of which pipeline.
        code: A rule's code, or MODEL_SCORE.
        off: Whether it is switched off, or on again.
        by: Who did it.
        at: When, ISO 8601.
        reason: Why.
    """

    pipeline: str
    code: str
    off: bool
    by: str = ""
    at: str = ""
    reason: str = ""


def turn(settings: Settings, pipeline: Pipeline, code: str, *, off: bool, by: str, reason: str) -> Switch:
    """Switches something off or on again, for all scorers of a pipeline; it is stored when this returns.

    Raises:
        BrokerUnreachable, TopicError: It could not be stored, or the topic is missing.
    """
    require_topics(settings, [pipeline.control.name])
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    switch = Switch(pipeline=pipeline.name, code=code, off=off, by=by, at=at, reason=reason)
    producer = BulkProducer(settings)
    producer.send(pipeline.control.name, [msgspec.json.encode(switch)], [f"{pipeline.name}/{code}".encode()])
    producer.flush()
    return switch


def switched_off(settings: Settings, pipeline: Pipeline) -> list[Switch]:
    """What is switched off of a pipeline now.

    Raises:
        BrokerUnreachable, TopicError: The topic cannot be read.
    """
    tail = TopicTail(settings, [pipeline.control.name], from_beginning=True)
    try:
        newest = _newest({}, tail.to_end(), pipeline.name)
    finally:
        tail.close()
    return [switch for switch in newest.values() if switch.off]


def _newest(known: dict[str, Switch], records: Iterable[Record], pipeline: str) -> dict[str, Switch]:
    """The newest switch of each code of a pipeline, with these records behind what is known."""
    newest = dict(known)
    for record in records:
        try:
            switch = msgspec.json.decode(record.value or b"", type=Switch)
        except msgspec.MsgspecError:
            continue  # not written by this program
        if switch.pipeline == pipeline:
            newest[switch.code] = switch
    return newest


class Switches:
    """What is switched off, kept up to date on a thread.

    Args:
        settings: Which cluster.
        pipeline: Whose switches.
    """

    def __init__(self, settings: Settings, pipeline: Pipeline) -> None:
        self._settings = settings
        self._pipeline = pipeline
        self.off: frozenset[str] = frozenset()
        self._read = threading.Event()
        self._failed: Exception | None = None
        self._stopping = threading.Event()
        threading.Thread(target=self._follow, name="switches", daemon=True).start()

    def wait(self) -> None:
        """Waits until the topic was read to its end.

        Raises:
            BrokerUnreachable, TopicError: It cannot be read.
        """
        done = self._read.wait(2 * READ_WITHIN_S)
        if self._failed is not None:
            raise self._failed
        if not done:
            raise BrokerUnreachable(
                f"{self._pipeline.control.name} was not read within {2 * READ_WITHIN_S:g} s, so it is unknown what is "
                "switched off.",
                "See whether the broker is well.",
            )

    def close(self) -> None:
        """Ends the thread soon."""
        self._stopping.set()

    def _follow(self) -> None:
        deadline = time.monotonic() + READ_WITHIN_S
        while not self._stopping.is_set():
            try:
                self._follow_once()
            except Exception as error:  # whatever it is, a thread that ended would leave the switches as they are
                if self._read.is_set():
                    LOGGER.warning("the switches stay as they were, for now: %s", error)
                    self._stopping.wait(_AGAIN_S)
                # A topic that was just made may have no leader yet; one that is missing will not come.
                elif isinstance(error, BrokerUnreachable) and time.monotonic() < deadline:
                    self._stopping.wait(_LOOK_S)
                else:
                    self._failed = error
                    self._read.set()
                    return

    def _follow_once(self) -> None:
        """Reads the topic from its beginning, and on until there is an error or an end."""
        topics = [self._pipeline.control.name]
        tail = TopicTail(self._settings, topics, from_beginning=True, fetch_wait_ms=_LONG_POLL_MS)
        try:
            newest = _newest({}, tail.to_end(READ_WITHIN_S), self._pipeline.name)
            self._take(newest)
            self._read.set()
            while not self._stopping.is_set():
                found = tail.poll(wait_s=_LOOK_S)
                if found:
                    newest = _newest(newest, found, self._pipeline.name)
                    self._take(newest)
        finally:
            tail.close()

    def _take(self, newest: dict[str, Switch]) -> None:
        off = frozenset(code for code, switch in newest.items() if switch.off)
        if off != self.off:
            codes = sorted(off)
            LOGGER.warning(
                "switched off: %s", ", ".join(codes) or "nothing any more", extra={"kind": "switches", "off": codes}
            )
            self.off = off
