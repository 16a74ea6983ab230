"""Reads committed records outside any group: to look at topics, never to process them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, Message, TopicPartition

from fraudstream.errors import TopicError
from fraudstream.kafka.client import build, client_config, explain
from fraudstream.settings import Settings


class CommittedReader:
    """Follows topics as a `read_committed` consumer does, without a group and without committing anything.

    Args:
        settings: Which cluster, as whom.
        topics: What to read; all partitions of each.
        from_beginning: Whether to start at the earliest records instead of behind the newest.

    Raises:
        TopicError: A topic does not exist.
        BrokerUnreachable: No broker answered.
    """

    def __init__(self, settings: Settings, topics: Sequence[str], *, from_beginning: bool) -> None:
        config: dict[str, Any] = client_config(settings) | {
            "group.id": "fraudstream-reader",  # asked for by the client, never joined
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
            "fetch.queue.backoff.ms": 5,
        }
        self._settings = settings
        self._consumer = build(Consumer, settings, config)
        found = self._consumer.list_topics(timeout=10).topics
        missing = [topic for topic in topics if topic not in found]
        if missing:
            self._consumer.close()
            raise TopicError(
                f"These topics do not exist on {settings.bootstrap_servers}: {', '.join(missing)}.",
                "Create them with `fraudstream topics create`.",
            )
        start = OFFSET_BEGINNING if from_beginning else OFFSET_END
        places = [TopicPartition(topic, partition, start) for topic in topics for partition in found[topic].partitions]
        self._unread = {(place.topic, place.partition) for place in places}
        self._consumer.assign(places)

    def poll(self, max_messages: int = 10_000, wait_s: float = 0.1) -> list[Message]:
        """Up to so many records; an empty list where none came in time."""
        batch: list[Message] = []
        first = self._consumer.poll(wait_s)
        for message in [] if first is None else [first, *self._consumer.consume(max_messages - 1, 0)]:
            error = message.error()
            if error is None:
                batch.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._unread.discard((message.topic(), message.partition()))
            elif error.fatal():
                raise explain(self._settings, error, f"Reading {message.topic()}")
        return batch

    @property
    def at_end(self) -> bool:
        """Whether every partition has been read to its end at least once."""
        return not self._unread

    def read_to_end(self, timeout_s: float = 120.0) -> list[Message]:
        """Everything up to the end.

        Raises:
            TopicError: The end was not reached in time.
        """
        messages: list[Message] = []
        deadline = time.monotonic() + timeout_s
        while not self.at_end:
            messages += self.poll()
            if time.monotonic() > deadline:
                raise TopicError(
                    f"The topics could not be read to their end in {timeout_s:.0f} s.",
                    "A transaction may hang: look for an open one, or read again later.",
                )
        return messages

    def close(self) -> None:
        """Lets the client go."""
        self._consumer.close()

    def __enter__(self) -> CommittedReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
