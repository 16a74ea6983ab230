"""What a cluster tells about itself: brokers, how topics are kept, who is in a group, what this user may do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType

from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.client import build, client_config, explain
from fraudstream.kafka.tail import Place
from fraudstream.settings import Settings


class Cluster(NamedTuple):
    """A cluster.

    Attributes:
        id: Its id.
        brokers: Their addresses.
    """

    id: str
    brokers: tuple[str, ...]


class Group(NamedTuple):
    """A consumer group.

    Attributes:
        state: `stable`, `empty`, `preparing_rebalancing`, …; `none` where there is none.
        members: The client id and address of each member.
    """

    state: str
    members: tuple[str, ...]


class KafkaInspector:
    """Questions to one cluster that change nothing. Every method raises BrokerUnreachable or TopicError as it fits.

    Args:
        settings: Which cluster, as whom.
        timeout_s: How long any one question may take.
    """

    def __init__(self, settings: Settings, *, timeout_s: float = 5.0) -> None:
        self._settings = settings
        self._timeout_s = timeout_s
        self._admin = KafkaAdmin(settings, timeout_s=timeout_s)
        self._client = build(AdminClient, settings, client_config(settings))

    def cluster(self) -> Cluster:
        """Which cluster it is, and its brokers."""
        found = self._answer("Describing the cluster", self._client.describe_cluster(request_timeout=self._timeout_s))
        return Cluster(str(found.cluster_id), tuple(f"{node.host}:{node.port}" for node in found.nodes))

    def topic_settings(self, topics: Iterable[str]) -> dict[str, dict[str, str]]:
        """How topics are kept, such as `retention.ms`, by topic."""
        resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
        return {resource.name: found for resource, found in self._settings_of(resources).items()}

    def broker_settings(self) -> dict[str, str]:
        """How the brokers are set up, as one of them has it."""
        nodes = self._answer("Describing the cluster", self._client.describe_cluster()).nodes
        (found,) = self._settings_of([ConfigResource(ResourceType.BROKER, str(nodes[0].id))]).values()
        return found

    def group(self, group_id: str) -> Group:
        """Who is in a group."""

        def describe() -> Any:
            asked = self._client.describe_consumer_groups([group_id], request_timeout=self._timeout_s)
            return asked[group_id].result()

        doing = f"Describing the group {group_id}"
        found = self._admin.patiently(doing, describe, unless=KafkaError.GROUP_ID_NOT_FOUND)
        if found is None or found.state.name == "DEAD":
            return Group("none", ())
        state = found.state.name.lower()
        return Group(state, tuple(f"{each.client_id} at {each.host.lstrip('/')}" for each in found.members))

    def allowed(self, topics: Iterable[str]) -> dict[str, frozenset[str]]:
        """What this user may do with each topic: `read`, `write`, …; a topic it may not see is left out."""
        asked = self._client.describe_topics(
            TopicCollection(list(topics)), include_authorized_operations=True, request_timeout=self._timeout_s
        )
        found = {}
        for topic, future in asked.items():
            try:
                operations = future.result().authorized_operations
            except KafkaException:
                continue
            found[topic] = frozenset(operation.name.lower() for operation in operations or ())
        return found

    def stable_ends(self, topics: Collection[str]) -> dict[Place, int]:
        """The offset of the first record of a transaction that is still open; where none is, that after the last."""
        return {place: found.offset for place, found in self._offsets(topics, OffsetSpec.latest(), stable=True).items()}

    def newest_ms(self, topics: Collection[str]) -> dict[Place, int]:
        """The greatest timestamp of each partition's records, epoch ms; empty partitions are left out."""
        found = self._offsets(topics, OffsetSpec.max_timestamp(), stable=False)
        return {place: each.timestamp for place, each in found.items() if each.timestamp >= 0}

    def written_at_ms(self, place: Place, offset: int) -> int | None:
        """The timestamp of the first record from an offset on, of whatever transaction; None where none comes."""
        reading = {"group.id": "fraudstream-inspector", "isolation.level": "read_uncommitted"}
        reader = build(Consumer, self._settings, client_config(self._settings) | reading)
        try:
            reader.assign([TopicPartition(*place, offset)])
            message = reader.poll(self._timeout_s)
        finally:
            reader.close()
        return None if message is None or message.error() else int(message.timestamp()[1])

    def _offsets(self, topics: Collection[str], spec: OffsetSpec, *, stable: bool) -> dict[Place, Any]:
        partitions = self._admin.partitions_of(topics)
        if not partitions:
            return {}
        level = IsolationLevel.READ_COMMITTED if stable else IsolationLevel.READ_UNCOMMITTED

        def ask() -> dict[Place, Any]:
            asked = self._client.list_offsets(
                dict.fromkeys(partitions, spec), isolation_level=level, request_timeout=self._timeout_s
            )
            return {(place.topic, place.partition): future.result() for place, future in asked.items()}

        found: dict[Place, Any] = self._admin.patiently(f"Reading the offsets of {', '.join(topics)}", ask)
        return found

    def _settings_of(self, resources: list[ConfigResource]) -> Mapping[ConfigResource, dict[str, str]]:
        asked = self._client.describe_configs(resources, request_timeout=self._timeout_s)
        return {
            resource: {
                name: str(entry.value)
                for name, entry in self._answer(f"Reading the settings of {resource.name}", future).items()
            }
            for resource, future in asked.items()
        }

    def _answer(self, doing: str, future: Future[Any]) -> Any:
        """What was asked for, or the user's error for Kafka's."""
        try:
            return future.result()
        except KafkaException as failed:
            raise explain(self._settings, failed.args[0], doing) from None
