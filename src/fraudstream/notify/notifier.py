"""`fraudstream notify PIPELINE`: from the topics of alerts into the outbox, and out of it to people.

It is a consumer of its own, far from scoring. Its place is in the store, in the transaction that holds the outbox's
rows, and not in Kafka.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from fraudstream.define.pipeline import Pipeline
from fraudstream.engine.alerts import NotAnAlert, alert_routes, input_topic_of, instant_of, read_alert
from fraudstream.errors import FencedError, StoreError, StoreUnreachable
from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.client import check_reachable
from fraudstream.kafka.consumer import InputConsumer
from fraudstream.kafka.series import kafka_series, lag_series
from fraudstream.notify.courier import Courier
from fraudstream.notify.gather import FAILED, WAITING
from fraudstream.notify.load import Notifications
from fraudstream.notify.outbox import Depth, Outbox
from fraudstream.notify.select import Taken
from fraudstream.settings import Settings
from fraudstream.store.migrate import open_store
from fraudstream.store.offsets import Place
from fraudstream.telemetry.exporter import STUCK_AFTER_S
from fraudstream.telemetry.series import Labels, Series, counter, gauge, histogram

_AT_ONCE = 500
_WAIT_S = 0.5
_PAUSE_S = 1.0
_TIDY_EVERY_S, _TIDY_AGAIN_S = 3_600.0, 10.0
_LOOK_EVERY_S = 2.0


class Summary(NamedTuple):
    """What a notifier did.

    Attributes:
        alerts: Records that were alerts of its pipelines.
        others: Records that no scorer wrote; those of other pipelines are not counted.
        told: Alerts put into notifications, once for each channel.
        repeats: Alerts left out because the channel knew, once for each channel.
        sent: Notifications taken by their channels.
        put_off: Attempts that will be made again.
        failed: Notifications that failed for good.
    """

    alerts: int
    others: int
    told: int
    repeats: int
    sent: int
    put_off: int
    failed: int


class Notifier:
    """Tells the channels of the pipelines' alerts.

    Args:
        settings: Which Kafka and which store.
        pipelines: Whose alerts.
        declared: The channels, checked against the pipelines.
        name: Under which it finds its place again.
        from_beginning: Where it has no place yet: begin with the oldest alert kept, not with the next one.
        keep_ms: How long notifications that were sent are kept.
        note: Told what an operator should know, a line each.

    Raises:
        UsageError: A pipeline has no alerts.
        BrokerUnreachable, TopicError, StoreError: Kafka or the store are not ready.

    Attributes:
        moved_at_s, stuck_after_s: As of `Watched` in `telemetry/exporter.py`.
    """

    stuck_after_s = STUCK_AFTER_S

    def __init__(
        self,
        settings: Settings,
        pipelines: Sequence[Pipeline],
        declared: Notifications,
        *,
        name: str,
        from_beginning: bool,
        keep_ms: int,
        note: Callable[[str], None],
    ) -> None:
        self._pipelines = {(route.topic, each.input.name): each for each in pipelines for route in alert_routes(each)}
        topics = list(dict.fromkeys(topic for topic, _ in self._pipelines))
        check_reachable(settings)
        self._ends = {} if from_beginning else KafkaAdmin(settings).end_offsets(topics)
        self._outbox = Outbox(open_store(settings), name)
        self._channels = list(declared.channels.values())
        self._couriers = [Courier(self._outbox, channel, note) for channel in self._channels]
        self._consumer = InputConsumer(
            settings, topics, f"fraudstream-{name}", on_assigned=self._assigned, on_revoked=self._revoked
        )
        self._next: dict[Place, int] = {}
        self._keep_ms = keep_ms
        self._note = note
        self._counts = Counter(alerts=0, others=0)
        self._by_channel = {each.name: Counter(told=0, grouped=0, repeats=0) for each in self._channels}
        self._depths: list[Depth] = []
        self._looked_at_s = -_LOOK_EVERY_S
        self._tidy_at_s = 0.0
        self._waits_for: str | None = "no partitions are assigned"
        self._lags: dict[Place, int] = {}
        self.moved_at_s = time.monotonic()
        self._ending = threading.Event()

    def stop(self) -> None:
        """Ends the run when what is in hand is done; may be called from a signal's handler."""
        self._ending.set()

    def run(self, *, until_caught_up: bool = False) -> Summary:
        """Takes and delivers until stopped; with `until_caught_up` until all alerts are taken and nothing is due."""
        try:
            self._consumer.open()
            for courier in self._couriers:
                courier.start()
            while not self._ending.is_set():
                self._tidy()
                self._look()
                taken = self._step()
                dead = [courier.name for courier in self._couriers if not courier.is_alive()]
                if dead:  # better no notifier, which is noticed, than one that is silent
                    raise RuntimeError(f"the thread of the {dead[0]} ended")
                if until_caught_up and not taken and self._is_caught_up():
                    break
        finally:
            for courier in self._couriers:
                courier.end()
            for courier in self._couriers:
                if courier.is_alive():
                    courier.join()
            self._consumer.close()
        return self._summary()

    def _step(self) -> int:
        """Takes what has come; returns how many records. After a failure of the store everything is read again."""
        batch = self._consumer.poll(_AT_ONCE, _WAIT_S)
        if not batch:
            return 0
        alerts: list[Taken] = []
        after: dict[Place, int] = {}
        counts: Counter[str] = Counter()
        for message in batch:
            after[message.topic(), message.partition()] = message.offset() + 1
            self._read(message, alerts, counts)
        try:
            taken = self._outbox.take(self._channels, alerts, self._next, after, _now_ms())
        except (StoreError, FencedError) as failed:
            # Whether it took effect is not known, or somebody else did it: the store knows where to go on.
            self._note(str(failed))
            self._waits_for = failed.found
            self._ending.wait(_PAUSE_S)
            self._rewind()
            return len(batch)
        self._next |= after
        self._counts.update(counts)
        for channel, told in taken.items():
            self._by_channel[channel].update(told)
        for courier in self._couriers:
            courier.wake()
        return len(batch)

    def _read(self, message: Any, alerts: list[Taken], counts: Counter[str]) -> None:
        value = message.value() or b""
        try:
            pipeline = self._pipelines.get((message.topic(), input_topic_of(value)))
            if pipeline is None:
                return
            document = read_alert(pipeline, value, message.key())
        except NotAnAlert:
            counts["others"] += 1
            return
        counts["alerts"] += 1
        alerts.append(Taken(document, message.key(), instant_of(document)))

    def _assigned(self, partitions: list[Any]) -> None:
        """Reading begins where the store says; where it says nothing, with the next alert, which is noted."""
        known = self._positions()
        new = {
            place: self._ends[place]
            for place in ((p.topic, p.partition) for p in partitions)
            if place not in known and place in self._ends
        }
        if new:
            self._outbox.begin_at(new)
        for partition in partitions:
            place = (partition.topic, partition.partition)
            self._next.pop(place, None)
            self._next |= {each: offset for each, offset in (known | new).items() if each == place}
            partition.offset = self._next.get(place, -1)
        self._waits_for = None if partitions else "no partitions are assigned"

    def _revoked(self, partitions: list[Any], _: bool) -> None:
        self._waits_for = "no partitions are assigned"
        for partition in partitions:
            self._next.pop((partition.topic, partition.partition), None)

    def _rewind(self) -> None:
        assigned = self._consumer.assignment()
        self._assigned(assigned)
        self._consumer.rewind(assigned)

    def _positions(self) -> dict[Place, int]:
        """Where the store says that taking stands, once it answers."""
        while True:
            self.moved_at_s = time.monotonic()
            try:
                return self._outbox.positions()
            except StoreUnreachable as away:
                self._waits_for = away.found
                if self._ending.wait(_PAUSE_S):
                    raise

    def _is_caught_up(self) -> bool:
        return (
            bool(self._consumer.assignment())
            and self._consumer.caught_up()
            and all(each.is_done() for each in self._couriers)
        )

    def _tidy(self) -> None:
        """At the start and every hour; soon again where the store is away, which whoever needs it says."""
        if time.monotonic() < self._tidy_at_s:
            return
        now_ms = _now_ms()
        try:
            self._outbox.forget(now_ms - self._keep_ms, now_ms)
            given_up = self._outbox.give_up([each.name for each in self._channels])
        except StoreError:
            self._tidy_at_s = time.monotonic() + _TIDY_AGAIN_S
            return
        self._tidy_at_s = time.monotonic() + _TIDY_EVERY_S
        for channel, count in given_up.items():
            self._note(
                f"{channel}: {count} notifications waited for it, and there is no such channel any more. They have "
                "failed; see `fraudstream notify failed`."
            )

    def _look(self) -> None:
        """Now and then: how far behind this is, and what waits in the outbox."""
        self.moved_at_s = time.monotonic()
        if self.moved_at_s - self._looked_at_s < _LOOK_EVERY_S:
            return
        self._looked_at_s = self.moved_at_s
        self._lags = {place: lag for place, lag in self._consumer.lag().items() if lag is not None}
        with contextlib.suppress(StoreError):  # whoever needs the store says that it is away
            self._depths = self._outbox.depths()

    def unready(self) -> str | None:
        """Why no alerts are taken now; None where they are. For any thread."""
        return self._waits_for

    def series(self) -> Iterable[Series]:
        """The notifier's metrics, for any thread."""
        yield counter("notifier_alerts_total", "Alerts taken.", self._counts["alerts"])
        yield counter("notifier_foreign_records_total", "Records no scorer wrote.", self._counts["others"])
        told: dict[Labels, int] = {}
        for channel, counts in self._by_channel.items():
            told |= {(channel, "told"): counts["told"], (channel, "grouped"): counts["grouped"]}
            told[channel, "suppressed"] = counts["repeats"]
        yield counter("notifier_channel_alerts_total", "Alerts for a channel.", told, "channel", "result")
        ends = {
            (courier.channel, result.replace(" ", "_")): count
            for courier in self._couriers
            for result, count in courier.counts.items()
        }
        yield counter("notifications_total", "Attempts to tell.", ends, "channel", "result")
        durations = {courier.channel: courier.durations for courier in self._couriers}
        yield histogram("notification_duration_seconds", "How long channels took.", durations, "channel")
        states = {(channel, state): 0 for channel in self._by_channel for state in (WAITING, FAILED)}
        found = {(depth.channel, depth.state): depth for depth in self._depths}
        depths = states | {key: depth.notifications for key, depth in found.items()}
        yield gauge("outbox_notifications", "Notifications in the outbox.", depths, "channel", "state")
        oldest = {key: depth.oldest_at_ms / 1_000 for key, depth in found.items()}
        yield gauge("outbox_oldest_timestamp_seconds", "When the oldest came.", oldest, "channel", "state")
        yield lag_series(self._lags)
        yield from kafka_series({"consumer": [self._consumer.statistics]})

    def _summary(self) -> Summary:
        ends = sum((courier.counts for courier in self._couriers), Counter[str]())
        told = sum(self._by_channel.values(), Counter[str]())
        return Summary(
            alerts=self._counts["alerts"],
            others=self._counts["others"],
            told=told["told"],
            repeats=told["repeats"],
            sent=ends["sent"],
            put_off=ends["put off"],
            failed=ends["failed"],
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
