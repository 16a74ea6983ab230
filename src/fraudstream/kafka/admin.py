"""Topics and offsets of a cluster: create, list, delete, where logs begin and end, where groups stand."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from fraudstream.errors import TopicError
from fraudstream.kafka.client import build, client_config, explain
from fraudstream.settings import Settings

RETENTION = "retention.ms"
_NOT_READY = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
}
"""A coordinator or leader is being found: a moment later the question can be answered."""


class Topic(NamedTuple):
    """A topic as the cluster describes it.

    Attributes:
        partitions: Its number of partitions.
        replicas: Copies of each partition.
    """

    name: str
    partitions: int
    replicas: int


class Created(NamedTuple):
    """What `create_topics` did: topics made now, and topics that were there with the wanted partitions."""

    made: list[str]
    existing: list[str]


class KafkaAdmin:
    """Administration of one cluster. Every method raises BrokerUnreachable, TopicError or SettingError as it fits.

    Args:
        settings: Which cluster, as whom.
        timeout_s: How long any one question may take.
    """

    def __init__(self, settings: Settings, *, timeout_s: float = 10.0) -> None:
        self._settings = settings
        self._timeout_s = timeout_s
        self._client = build(AdminClient, settings, client_config(settings))

    def topics(self, *, internal: bool = False) -> dict[str, Topic]:
        """Every topic by name, in order; those of Kafka's own (`__…`) only on demand."""
        found = self._asked("Listing the topics", lambda: self._client.list_topics(timeout=self._timeout_s).topics)
        return {
            name: Topic(
                name, len(about.partitions), max((len(p.replicas) for p in about.partitions.values()), default=0)
            )
            for name, about in sorted(found.items())
            if internal or not name.startswith("__")
        }

    def create_topics(
        self,
        wanted: Mapping[str, int],
        config: Mapping[str, str] | None = None,
        *,
        replicas: int = -1,
        compacted: Collection[str] = (),
        keep_ms: Mapping[str, int] | None = None,
    ) -> Created:
        """Makes the topics that are missing; running it again changes nothing.

        Args:
            wanted: Partitions by topic name.
            config: Topic configuration of those made, e.g. `{"retention.ms": "-1"}`.
            replicas: Copies of each partition; -1 is the cluster's default.
            compacted: Topics of which the newest record of each key is kept for ever.
            keep_ms: How long topics keep their records, by name; what `config` says of it goes before.

        Raises:
            TopicError: A topic is there with another number of partitions (nothing is made then), or cannot be made.
        """
        there = self.topics(internal=True)
        wrong = [name for name, count in wanted.items() if name in there and there[name].partitions != count]
        if wrong:
            raise TopicError(
                "; ".join(f"topic {n} has {there[n].partitions} partitions, not {wanted[n]}" for n in wrong)
                + f" at {self._settings.bootstrap_servers}.",
                "A key's partition depends on that number: declare the number it has, or delete the topic first.",
            )
        missing = [name for name in wanted if name not in there]
        own = {name: {RETENTION: str(ms)} for name, ms in (keep_ms or {}).items()}
        own |= {name: {"cleanup.policy": "compact"} for name in compacted}
        new = [NewTopic(n, wanted[n], replicas, config=own.get(n, {}) | dict(config or {})) for n in missing]
        if new:
            for name, future in self._client.create_topics(new, operation_timeout=self._timeout_s).items():
                self._asked(f"Creating the topic {name}", future.result, unless=KafkaError.TOPIC_ALREADY_EXISTS)
        return Created(missing, [name for name in wanted if name in there])

    def keep(self, keep_ms: Mapping[str, int]) -> None:
        """Changes how long topics keep their records."""
        operation = AlterConfigOpType.SET
        wanted = [
            ConfigResource(
                ResourceType.TOPIC, name,
                incremental_configs=[ConfigEntry(RETENTION, str(ms), incremental_operation=operation)],
            )
            for name, ms in keep_ms.items()
        ]  # fmt: skip
        for resource, future in self._client.incremental_alter_configs(wanted).items():
            self._asked(f"Changing how long {resource.name} keeps its records", future.result)

    def delete_topics(self, names: Sequence[str]) -> None:
        """Deletes the topics and everything in them; a name that is not there raises TopicError."""
        for name, future in self._client.delete_topics(list(names), operation_timeout=self._timeout_s).items():
            self._asked(f"Deleting the topic {name}", future.result)

    def partitions_of(self, names: Iterable[str]) -> list[TopicPartition]:
        """All partitions of the topics; raises TopicError where one is missing."""
        there = self.topics(internal=True)
        missing = [name for name in names if name not in there]
        if missing:
            raise TopicError(
                f"There is no topic {', '.join(missing)} at {self._settings.bootstrap_servers}.",
                f"Create {'them' if len(missing) > 1 else 'it'} with "
                f"`fraudstream topics create {' '.join(missing)} --partitions N`, or all that a pipeline needs with "
                "`fraudstream topics create PIPELINE`; `fraudstream topics list` shows those there are.",
            )
        return [TopicPartition(name, p) for name in names for p in range(there[name].partitions)]

    def beginning_offsets(self, names: Iterable[str]) -> dict[tuple[str, int], int]:
        """The first offset kept, by (topic, partition)."""
        return self._offsets(names, OffsetSpec.earliest())

    def end_offsets(self, names: Iterable[str]) -> dict[tuple[str, int], int]:
        """The offset after the last record, by (topic, partition): the high watermark.

        Transaction markers count, so this is not a number of records.
        """
        return self._offsets(names, OffsetSpec.latest())

    def offsets_since(self, names: Iterable[str], at_ms: int) -> dict[tuple[str, int], int]:
        """The offset of the first record from this Kafka timestamp on; partitions without one are left out."""
        found = self._offsets(names, OffsetSpec.for_timestamp(at_ms))
        return {place: offset for place, offset in found.items() if offset >= 0}

    def committed_offsets(self, group_id: str, names: Iterable[str]) -> dict[tuple[str, int], TopicPartition]:
        """The next offsets a group has committed, with their metadata; partitions without a commit are left out.

        A transaction still open may hold a newer commit back.
        """
        partitions = self.partitions_of(names)
        # Not by the admin client: its answer crashes the process where the group's coordinator is not ready yet.
        config = client_config(self._settings) | {"group.id": group_id, "isolation.level": "read_uncommitted"}
        reader = build(Consumer, self._settings, config)
        doing = f"Reading the offsets of group {group_id}"
        try:
            answered = self.patiently(doing, lambda: reader.committed(partitions, self._timeout_s))
        finally:
            reader.close()
        return {(p.topic, p.partition): p for p in answered if p.offset >= 0}

    def group_members(self, group_id: str) -> list[str]:
        """The member ids of a consumer group; empty for a group that does not exist."""
        return list(self.group_instances(group_id))

    def group_instances(self, group_id: str) -> dict[str, str | None]:
        """The members of a consumer group: the instance id of each (None for an ordinary member) by its member id."""

        def members() -> Any:
            futures = self._client.describe_consumer_groups([group_id], request_timeout=self._timeout_s)
            return futures[group_id].result().members

        found = self.patiently(f"Describing the group {group_id}", members, unless=KafkaError.GROUP_ID_NOT_FOUND)
        return {member.member_id: member.group_instance_id for member in found or ()}

    def _offsets(self, names: Iterable[str], spec: Any) -> dict[tuple[str, int], int]:
        partitions = self.partitions_of(names)
        if not partitions:
            return {}
        futures = self._client.list_offsets(dict.fromkeys(partitions, spec), request_timeout=self._timeout_s)
        return {
            (p.topic, p.partition): self._asked(f"Reading the offsets of {p.topic}", future.result).offset
            for p, future in futures.items()
        }

    def patiently(self, doing: str, question: Callable[[], Any], unless: int | None = None) -> Any:
        """The answer, asked for again while the cluster, new or just started, looks for a coordinator or a leader.

        Args:
            doing: What is being done, for the error.
            question: Raises Kafka's errors.
            unless: The error that means None.
        """
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return question()
            except KafkaException as failed:
                error = failed.args[0]
            if error.code() == unless:
                return None
            if error.code() not in _NOT_READY or time.monotonic() > deadline:
                raise explain(self._settings, error, doing)
            time.sleep(0.2)

    def _asked(self, doing: str, question: Callable[[], Any], unless: int | None = None) -> Any:
        """The answer, or the user's error for Kafka's; None where the error is the one of `unless`."""
        try:
            return question()
        except KafkaException as failed:
            error = failed.args[0]
            if error.code() == unless:
                return None
            raise explain(self._settings, error, doing) from None
