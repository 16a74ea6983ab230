"""A static member that is fenced: by another process it gives way, by an attempt of its own it joins anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import Consumer

from fraudstream.errors import FencedError
from fraudstream.kafka.consumer import STATIC_SESSION_MS, InputConsumer
from fraudstream.kafka.producer import BulkProducer
from fraudstream.settings import Settings

pytestmark = pytest.mark.kafka
NewTopic = Callable[..., str]


@contextmanager
def another(settings: Settings, group: str, topic: str, session_ms: int = STATIC_SESSION_MS) -> Iterator[None]:
    """A member under the instance id `me` while the block lasts; then it goes away without a word."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "group.id": group,
            "group.instance.id": "me",
            "session.timeout.ms": session_ms,
        }
    )
    joined: list[object] = []
    consumer.subscribe([topic], on_assign=lambda _, partitions: joined.append(partitions))
    deadline = time.monotonic() + 30
    while not joined:
        assert time.monotonic() < deadline
        consumer.poll(0.1)
    yield
    consumer.close()


def poll_until(member: InputConsumer, condition: Callable[[list[bytes | None]], bool]) -> None:
    """Polls until what was polled fulfils a condition."""
    values: list[bytes | None] = []
    deadline = time.monotonic() + 60
    while not condition(values):
        assert time.monotonic() < deadline, values
        values += [message.value() for message in member.poll(100, 0.1)]


def test_fenced_by_its_own_first_attempt_it_joins_anew(
    kafka_settings: Settings, new_topic: NewTopic, unique_id: str
) -> None:
    """As after a broker's long restart: what fenced it goes away, it is given its partitions again, and reads on."""
    topic = new_topic("static", partitions=2)
    producer = BulkProducer(kafka_settings)
    assigned: list[int] = []
    member = InputConsumer(
        kafka_settings, [topic], unique_id, instance_id="me", on_assigned=lambda p: assigned.append(len(p))
    )
    member.open()
    producer.send(topic, [b"before"])
    producer.flush()
    poll_until(member, lambda values: values == [b"before"])
    with another(kafka_settings, unique_id, topic, session_ms=6_000):
        pass
    poll_until(member, lambda values: assigned == [2, 2] and values == [b"before"])
    producer.send(topic, [b"after"])
    producer.flush()
    poll_until(member, lambda values: values == [b"after"])
    member.close()


def test_fenced_by_another_process_it_gives_way(kafka_settings: Settings, new_topic: NewTopic, unique_id: str) -> None:
    topic = new_topic("static")
    member = InputConsumer(kafka_settings, [topic], unique_id, instance_id="me")
    member.open()
    deadline = time.monotonic() + 30
    while not member.assignment():
        assert time.monotonic() < deadline
        member.poll(100, 0.1)
    with another(kafka_settings, unique_id, topic), pytest.raises(FencedError, match="me in the group"):
        poll_until(member, lambda _: False)
    member.close()
