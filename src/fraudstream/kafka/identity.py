"""Which log is meant: a topic made anew under an old name is another log, whatever its offsets say."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from fraudstream.kafka.client import build, client_config, explain
from fraudstream.settings import Settings


def log_identity(settings: Settings, topics: Iterable[str], *, timeout_s: float = 10.0) -> dict[str, str]:
    """The cluster's id and the id of each topic, by name; they never come twice.

    Raises:
        BrokerUnreachable: No broker answered.
        TopicError: A topic is missing.
    """
    client = build(AdminClient, settings, client_config(settings))
    wanted = sorted(topics)
    try:
        cluster = client.list_topics(timeout=timeout_s).cluster_id
        described = client.describe_topics(TopicCollection(wanted), request_timeout=timeout_s)
        ids = {name: str(future.result().topic_id) for name, future in described.items()}
    except KafkaException as failed:
        raise explain(settings, failed.args[0], f"Describing the topics {', '.join(wanted)}") from None
    return {"": str(cluster), **ids}
