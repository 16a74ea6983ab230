"""The input of the stream: the topics' records in batches, from exactly the offsets the owner says."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from fraudstream.errors import BrokerUnreachable, FencedError, FraudstreamError
from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.client import LOGGER, build, client_config, explain
from fraudstream.kafka.clientstats import ClientStatistics
from fraudstream.settings import Settings

PartitionsHandler = Callable[[list[TopicPartition]], None]

# What the client library reports and overcomes by itself; the loop just goes on.
_PASSING = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError._MAX_POLL_EXCEEDED,
    KafkaError._WAIT_COORD,
}
_FENCED = {KafkaError._FENCED, KafkaError.FENCED_INSTANCE_ID}
# A fatal error of the client has one code; which one it was is only in its text.
_FENCED_TEXT = KafkaError(KafkaError.FENCED_INSTANCE_ID).str()
STATIC_SESSION_MS = 20_000
"""The session of a static member: its successor need not wait for its end, and most restarts of a broker take less."""
STALE_FOR_S = 20.0
"""So long a broker that has just come back may need until it knows all that was committed."""
HANGING_AFTER_S = 25.0
"""Committed offsets that cannot be read for so long have a transaction on them that nobody ends: ours last 10 s, and
the broker looks every 10 s for those that are over."""
_FETCHING = {
    "isolation.level": "read_committed",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",
    "enable.partition.eof": True,  # tells where the log ends behind the last transaction's marker
    "session.timeout.ms": 6_000,
    "heartbeat.interval.ms": 1_500,
    # A fetch answers with the first byte; a full queue pauses a partition for 5 ms, not for the default second.
    "fetch.min.bytes": 1,
    "fetch.wait.max.ms": 100,
    "fetch.queue.backoff.ms": 5,
    "fetch.error.backoff.ms": 50,
    "queued.min.messages": 50_000,
    "queued.max.messages.kbytes": 65_536,
    "max.partition.fetch.bytes": 4_194_304,
    "check.crcs": True,
    "topic.metadata.refresh.interval.ms": 30_000,
}


class InputConsumer:
    """A member of the scoring group that reads committed records and never commits by itself.

    The offsets are committed by the transaction that holds the output (`TransactionalProducer.commit`). All methods,
    and so both handlers, run on the thread that calls `poll`; `poll` must be called at least every five minutes.

    Args:
        settings: Which cluster, as whom.
        topics: The input topics; they must exist.
        group_id: The consumer group, whose committed offsets say where processing stands.
        instance_id: Makes this a static member: after a restart it takes its predecessor's place at once, and a
            predecessor that still runs is fenced. None: an ordinary member.
        on_assigned: Told the partitions this member now owns, each with the committed next offset (-1001: none yet)
            and the metadata committed with it. Reading starts at those offsets, or at the earliest record.
            It may change the offsets in place to start elsewhere.
        on_revoked: Told the partitions about to be taken away. The transaction in hand must be finished or aborted
            before it returns. `lost` is true where they are already another member's and a commit would fail.
        on_hanging: Told when the committed offsets stay unreadable for longer than a transaction lasts; see
            `AlternatingProducer.close_hanging`. The question is asked once more then.
        on_offsets: Asked of committed offsets whenever they were read, without those of partitions that have none. An
            error it gives is raised, unless they are others within `STALE_FOR_S`.

    Attributes:
        statistics: What the client tells of itself.
    """

    def __init__(
        self,
        settings: Settings,
        topics: Sequence[str],
        group_id: str,
        *,
        instance_id: str | None = None,
        on_assigned: PartitionsHandler | None = None,
        on_revoked: Callable[[list[TopicPartition], bool], None] | None = None,
        on_hanging: Callable[[], None] | None = None,
        on_offsets: Callable[[dict[tuple[str, int], int]], FraudstreamError | None] | None = None,
    ) -> None:
        self._settings = settings
        self._topics = list(topics)
        self._group_id = group_id
        self._instance_id = instance_id
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._on_hanging, self._on_offsets = on_hanging, on_offsets
        self._consumer: Any = None
        self._leaving = False
        self._member_id: str | None = None
        self._batch: list[Message] = []
        self._ends: dict[tuple[str, int], int] = {}
        self.statistics = ClientStatistics()

    def open(self, timeout_s: float = 10.0) -> None:
        """Joins the group; partitions arrive during a later `poll`.

        Raises:
            TopicError: An input topic does not exist or may not be read.
            BrokerUnreachable: No broker answered in `timeout_s`.
        """
        config = client_config(self._settings) | _FETCHING | {"group.id": self._group_id, "error_cb": self._note}
        if self._instance_id is not None:
            config |= {"group.instance.id": self._instance_id, "session.timeout.ms": STATIC_SESSION_MS}
        config |= self.statistics.configuration() | dict(self._settings.kafka_properties)
        self._consumer = build(Consumer, self._settings, config)
        for topic in self._topics:
            try:
                found = self._consumer.list_topics(topic, timeout=timeout_s).topics[topic]
            except KafkaException as failed:
                raise explain(self._settings, failed.args[0], f"Looking for the input topic {topic}") from None
            if found.error is not None:
                raise explain(self._settings, found.error, f"Reading the input topic {topic}")
        self._consumer.subscribe(self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    def poll(self, max_messages: int, wait_s: float) -> list[Message]:
        """Up to `max_messages` records: waits at most `wait_s` for the first, and not at all for the rest.

        Records of one partition come in offset order; across partitions in the order fetched. Partition handlers
        run inside. An empty list means that nothing came in time.

        Raises:
            TopicError: An input topic is gone or may not be read.
            SettingError: The cluster refused who we are.
            BrokerUnreachable: The client failed in a way it cannot recover from.
            FencedError: Another process took this static member's place.
        """
        deadline = time.monotonic() + wait_s
        batch: list[Message] = []
        self._batch = batch
        while True:
            first = self._consumer.poll(max(0.0, deadline - time.monotonic()))
            if first is None:
                return batch
            if first.error() is None:
                batch.append(first)
                break
            self._passed_over(first)
        while len(batch) < max_messages:
            more = self._consumer.consume(max_messages - len(batch), 0)
            if not more:
                break
            batch.extend(m for m in more if m.error() is None or self._passed_over(m))
        return batch

    def assignment(self) -> list[TopicPartition]:
        """The partitions this member owns now."""
        return list(self._consumer.assignment())

    def committed(
        self, partitions: list[TopicPartition] | None = None, timeout_s: float = 30.0
    ) -> list[TopicPartition]:
        """The group's committed next offsets with their metadata, once no transaction on them is open.

        Offset -1001 means that none has been committed.

        Raises:
            BrokerUnreachable: The group's coordinator did not answer in `timeout_s`.
            FraudstreamError: What `on_offsets` gave.
        """
        asked = self.assignment() if partitions is None else partitions
        if not asked:
            return []
        asked = [TopicPartition(p.topic, p.partition) for p in asked]
        deadline = time.monotonic() + STALE_FOR_S
        while True:
            answered = self._answered(asked, timeout_s)
            there = {(each.topic, each.partition): each.offset for each in answered if each.offset >= 0}
            wrong = self._on_offsets(there) if self._on_offsets is not None else None
            if wrong is None:
                return answered
            if time.monotonic() > deadline:
                raise wrong
            LOGGER.warning("%s They are read again.", wrong.found, extra={"kind": "stale"})
            time.sleep(1.0)

    def _answered(self, asked: list[TopicPartition], timeout_s: float) -> list[TopicPartition]:
        try:
            answered = self._settled(asked, timeout_s)
        except KafkaException as failed:
            raise explain(self._settings, failed.args[0], f"Reading the offsets of group {self._group_id}") from None
        for partition in answered:
            if partition.error is not None:
                raise explain(self._settings, partition.error, f"Reading the offsets of group {self._group_id}")
        return list(answered)

    def _settled(self, asked: list[TopicPartition], timeout_s: float) -> list[TopicPartition]:
        """The committed offsets; where a transaction on them hangs, once it has been closed."""
        if self._on_hanging is not None:
            try:
                return list(self._consumer.committed(asked, HANGING_AFTER_S))
            except KafkaException as failed:
                if failed.args[0].code() != KafkaError._TIMED_OUT:
                    raise
            LOGGER.warning("the offsets of group %s cannot be read: closing what hangs on them", self._group_id)
            self._on_hanging()
        return list(self._consumer.committed(asked, timeout_s))

    def rewind(self, offsets: list[TopicPartition]) -> None:
        """Makes the next record of each partition the one at its offset; a negative offset means the earliest.

        What had been fetched from those partitions is dropped. Partitions must be assigned.

        Raises:
            BrokerUnreachable: The client could not seek.
        """
        for partition in offsets:
            target = partition.offset if partition.offset >= 0 else OFFSET_BEGINNING
            self._ends.pop((partition.topic, partition.partition), None)
            try:
                self._consumer.seek(TopicPartition(partition.topic, partition.partition, target))
            except KafkaException as failed:
                raise explain(self._settings, failed.args[0], f"Rewinding {partition.topic}") from None

    def pause(self, partitions: list[TopicPartition] | None = None) -> None:
        """Stops delivery from the partitions (all by default) while `poll` keeps the membership alive."""
        self._consumer.pause(self.assignment() if partitions is None else partitions)

    def resume(self, partitions: list[TopicPartition] | None = None) -> None:
        """Takes delivery up again where it stopped."""
        self._consumer.resume(self.assignment() if partitions is None else partitions)

    def lag(self) -> dict[tuple[str, int], int | None]:
        """Records not yet delivered, by (topic, partition), from what the last fetches told: no broker is asked.

        None where nothing has been fetched yet. Zero when the end has been reached. While catching up the figure
        includes transaction markers and aborted records.
        """
        lags: dict[tuple[str, int], int | None] = {}
        for place in self._consumer.position(self._consumer.assignment()):
            key = (place.topic, place.partition)
            _, high = self._consumer.get_watermark_offsets(place, cached=True)
            at = max(place.offset, self._ends.get(key, -1))
            lags[key] = max(0, high - at) if high >= 0 and at >= 0 else None
        return lags

    def beginnings(self) -> dict[tuple[str, int], int]:
        """The first offset that each partition's log still holds, by (topic, partition), as the last fetches told."""
        begins = {}
        for place in self._consumer.assignment():
            low, _ = self._consumer.get_watermark_offsets(place, cached=True)
            begins[place.topic, place.partition] = low
        return begins

    def caught_up(self) -> bool:
        """Whether every owned partition has been delivered to its end as last seen."""
        return all(lag == 0 for lag in self.lag().values())

    def group_metadata(self) -> Any:
        """Who we are in the group right now; to be read anew for every commit, after the latest `poll`."""
        return self._consumer.consumer_group_metadata()

    def commit(self, offsets: Sequence[TopicPartition]) -> None:
        """Commits next offsets outside any transaction, for delivery at least once; may be called from any thread.

        Raises:
            KafkaException: The coordinator did not take them; the caller rewinds.
        """
        for answered in self._consumer.commit(offsets=list(offsets), asynchronous=False):
            if answered.error is not None:
                raise KafkaException(answered.error)

    def check_place(self) -> None:
        """Makes sure that no other process has the place of this static member; ordinary members have none to lose.

        Raises:
            FencedError: Another has it.
        """
        if self._is_taken():
            raise self._fenced()

    def close(self) -> None:
        """Leaves the group; the revoked handler runs first."""
        if self._consumer is not None:
            self._leaving = True
            self._consumer.close()
            self._consumer = None

    def _assigned(self, _: Any, partitions: list[TopicPartition]) -> None:
        if self._leaving:
            return  # the answer to joining comes too late: nobody will read
        self._ends.clear()
        self._member_id = self._consumer.memberid()
        self._batch.clear()  # what was fetched before belongs to the old assignment
        committed = self.committed(partitions)
        if self._on_assigned:
            self._on_assigned(committed)
        starts = [
            TopicPartition(p.topic, p.partition, p.offset if p.offset >= 0 else OFFSET_BEGINNING) for p in committed
        ]
        self._consumer.assign(starts)

    def _revoked(self, _: Any, partitions: list[TopicPartition]) -> None:
        if self._on_revoked:
            self._on_revoked(partitions, False)

    def _lost(self, _: Any, partitions: list[TopicPartition]) -> None:
        try:
            taken = self._is_taken()
        except BrokerUnreachable as away:
            LOGGER.warning("consumer: %s", away)
            taken = False
        if taken:
            # The client is about to join anew under the same instance id, which would fence the one that took over.
            with contextlib.suppress(KafkaException):  # it knows already, and does nothing more
                self._consumer.unsubscribe()
        if self._on_revoked:
            self._on_revoked(partitions, True)
        if taken:
            raise self._fenced()

    def _passed_over(self, message: Message) -> bool:
        """Takes note of an event that is not a record (always False), or raises what the loop cannot overcome."""
        error = message.error()
        if error.code() == KafkaError._PARTITION_EOF:
            self._ends[(message.topic(), message.partition())] = message.offset()
        elif error.code() in _FENCED or (error.code() == KafkaError._FATAL and _FENCED_TEXT in error.str()):
            self.check_place()
            self._join_anew()
        elif error.fatal() or not (error.retriable() or error.code() in _PASSING):
            where = f" {message.topic()}" if message.topic() else f"s {', '.join(self._topics)}"
            raise explain(self._settings, error, f"Reading the input topic{where}")
        else:
            LOGGER.warning("consumer: %s", error.str())
        return False

    def _is_taken(self) -> bool:
        """Whether another process is in the group under this static member's name, and stays there.

        An attempt of our own to join, whose answer was lost while the broker restarted, looks like one. But nobody
        sends heartbeats for it: it is gone when its session is over.
        """
        if self._instance_id is None:
            return False
        admin = KafkaAdmin(self._settings, timeout_s=30.0)
        own = {self._member_id, self._consumer.memberid()}
        deadline = time.monotonic() + STATIC_SESSION_MS / 1_000 + 2
        while any(
            name == self._instance_id and member not in own
            for member, name in admin.group_instances(self._group_id).items()
        ):
            if time.monotonic() > deadline:
                return True
            time.sleep(0.5)
        return False

    def _join_anew(self) -> None:
        """Nobody else has our place: what fenced us was an attempt of our own to join. The client is of no more use."""
        LOGGER.warning("fenced by an earlier attempt of its own to join the group %s; joining anew", self._group_id)
        self._consumer.close()  # tells of the loss of what is still assigned
        self._batch.clear()
        self.open(timeout_s=30.0)

    def _fenced(self) -> FencedError:
        return FencedError(
            f"Another process took the place of {self._instance_id} in the group {self._group_id}.",
            "Only one scorer may run under one name: stop the other, or give this one another --instance.",
        )

    def _note(self, error: KafkaError) -> None:
        LOGGER.warning("consumer: %s", error.str())
