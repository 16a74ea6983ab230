"""The end of a transaction that arrives late (KAFKA-17754): harmless with the guard, and proved harmful without."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from proxy import END_TXN, Act, Proxy, once
from reading import read_all

from fraudstream.kafka.doubt import DoubtWatch
from fraudstream.kafka.transactions import TransactionalProducer, TransactionInDoubt
from fraudstream.settings import Settings, load_settings

pytestmark = pytest.mark.kafka
NewTopic = Callable[..., str]


@pytest.fixture
def proxy(broker: str) -> Iterator[Proxy]:
    """Between this test's clients and the broker."""
    made = Proxy(broker)
    yield made
    made.close()


def through(proxy: Proxy, folder: Path) -> Settings:
    return load_settings({"bootstrap_servers": proxy.address}, environ={}, folder=folder)


def late_end(producer: TransactionalProducer, proxy: Proxy, topic: str) -> None:
    """A commit whose first EndTxn is held, a second transaction of which half is sent, and then the EndTxn arrives."""
    proxy.rule = once(END_TXN, Act.HOLD)
    producer.begin()
    producer.send(topic, [b"whole"])
    try:
        producer.commit([], None)
    except TransactionInDoubt:
        producer.rebuild()
    producer.begin()
    producer.send(topic, [b"half"])
    assert producer._producer.flush(10) == 0  # the half is in the log
    assert proxy.release() == 1
    with contextlib.suppress(TransactionInDoubt, KafkaException):
        producer._producer.poll(1)
        producer.abort()


def test_with_the_guard_a_late_end_ends_nothing(
    proxy: Proxy, broker: str, new_topic: NewTopic, unique_id: str, tmp_path: Path
) -> None:
    """The rebuilt producer has another epoch, which fences the late request: the half stays invisible."""
    topic = new_topic("late")
    producer = TransactionalProducer(through(proxy, tmp_path), unique_id)
    producer.open()
    late_end(producer, proxy, topic)
    producer.close()
    assert producer.rebuilds == 1
    assert [record.value for record in read_all(broker, topic)] == [b"whole"]


def test_without_the_guard_it_commits_half_a_transaction(
    proxy: Proxy, broker: str, new_topic: NewTopic, unique_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same with the guard's witnesses silenced: what was aborted is visible. If this fails, the guard is not needed
    any more, or this test does not test it."""
    monkeypatch.setattr(DoubtWatch, "log", lambda *_: None)
    monkeypatch.setattr(DoubtWatch, "on_error", lambda *_: None)
    monkeypatch.setattr(DoubtWatch, "on_statistics", lambda *_: None)
    topic = new_topic("late")
    producer = TransactionalProducer(through(proxy, tmp_path), unique_id, slow_commit_ms=60_000)
    producer.open()
    late_end(producer, proxy, topic)
    producer.close()
    assert producer.rebuilds == 0
    assert [record.value for record in read_all(broker, topic)] == [b"whole", b"half"]
