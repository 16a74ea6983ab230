"""The consumer and the transactional producer on a real broker; nothing here is simulated."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import Producer, TopicPartition

from fraudstream.errors import FencedError, TopicError
from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.alternating import AlternatingProducer
from fraudstream.kafka.client import client_config
from fraudstream.kafka.consumer import InputConsumer
from fraudstream.kafka.transactions import (
    TransactionAborted,
    TransactionalProducer,
    TransactionExpired,
    TransactionInDoubt,
)
from fraudstream.settings import Settings

pytestmark = pytest.mark.kafka
NewTopic = Callable[..., str]


def fill(settings: Settings, topic: str, count: int) -> None:
    producer = Producer(client_config(settings) | {"partitioner": "murmur2_random"})
    producer.produce_batch(topic, [{"value": b"%d" % i, "key": b"%d" % (i % 7)} for i in range(count)])
    assert producer.flush(10) == 0


def read(consumer: InputConsumer, count: int, timeout_s: float = 10.0) -> list[bytes]:
    found: list[bytes] = []
    deadline = time.monotonic() + timeout_s
    while len(found) < count and time.monotonic() < deadline:
        found += [message.value() for message in consumer.poll(count - len(found), 0.2)]
    return found


def committed_values(settings: Settings, topic: str, group: str) -> list[bytes]:
    """Everything a read_committed reader sees up to the end of the log."""
    with reading(settings, [topic], group + "-check") as consumer:
        found: list[bytes] = []
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            found += [message.value() for message in consumer.poll(10_000, 0.1)]
            if consumer.assignment() and consumer.caught_up():
                return found
    raise AssertionError("the end of the log was not reached")


@contextmanager
def reading(settings: Settings, topics: list[str], group: str, **handlers: object) -> Iterator[InputConsumer]:
    consumer = InputConsumer(settings, topics, group, **handlers)  # type: ignore[arg-type]
    consumer.open()
    try:
        yield consumer
    finally:
        consumer.close()


@contextmanager
def transactional(settings: Settings, name: str, **options: int) -> Iterator[TransactionalProducer]:
    producer = TransactionalProducer(settings, name, **options)
    producer.open()
    try:
        yield producer
    finally:
        producer.close()


def test_committed_output_and_offsets_appear_together_with_their_metadata(
    kafka_settings: Settings, new_topic: NewTopic, unique_id: str
) -> None:
    source, target = new_topic("in"), new_topic("out", 3)
    fill(kafka_settings, source, 10)
    with reading(kafka_settings, [source], unique_id) as consumer, transactional(kafka_settings, unique_id) as producer:
        values = read(consumer, 10)
        assert len(values) == 10
        producer.begin()
        producer.send(target, values, [b"key"] * 10)
        took_ms = producer.commit([TopicPartition(source, 0, 10, "snapshot-1")], consumer.group_metadata())
        assert 0 < took_ms < 5_000
        (place,) = consumer.committed()
        assert (place.offset, place.metadata) == (10, "snapshot-1")
    assert sorted(committed_values(kafka_settings, target, unique_id)) == sorted(values)
    seen = KafkaAdmin(kafka_settings).committed_offsets(unique_id, [source])
    assert seen[(source, 0)].offset == 10


def test_aborted_output_is_invisible_and_moves_no_offset(
    kafka_settings: Settings, new_topic: NewTopic, unique_id: str
) -> None:
    source, target = new_topic("in"), new_topic("out")
    fill(kafka_settings, source, 4)
    with reading(kafka_settings, [source], unique_id) as consumer, transactional(kafka_settings, unique_id) as producer:
        first = read(consumer, 4)
        producer.begin()
        producer.send(target, [b"aborted"] * 4)
        producer._producer.flush(5)  # the records must be in the log, to be hidden there
        producer.abort()
        consumer.rewind(consumer.committed())
        assert read(consumer, 4) == first
        producer.begin()
        producer.send(target, [b"committed"])
        producer.commit([TopicPartition(source, 0, 4)], consumer.group_metadata())
    assert KafkaAdmin(kafka_settings).end_offsets([target])[(target, 0)] > 5
    assert committed_values(kafka_settings, target, unique_id) == [b"committed"]


def test_a_second_producer_with_the_same_id_fences_the_first(
    kafka_settings: Settings, new_topic: NewTopic, unique_id: str
) -> None:
    target = new_topic("out")
    with transactional(kafka_settings, unique_id) as first:
        first.begin()
        first.send(target, [b"zombie"])
        with transactional(kafka_settings, unique_id) as second:
            with pytest.raises(FencedError, match=unique_id):
                first.commit([], None)
            second.begin()
            second.send(target, [b"successor"])
            second.commit([], None)
    assert committed_values(kafka_settings, target, unique_id) == [b"successor"]


def test_a_rebuilt_producer_aborts_what_was_open_and_goes_on(
    kafka_settings: Settings, new_topic: NewTopic, unique_id: str
) -> None:
    target = new_topic("out")
    with transactional(kafka_settings, unique_id) as producer:
        producer.begin()
        producer.send(target, [b"open"])
        producer._producer.flush(5)
        producer.rebuild()
        assert producer.rebuilds == 1
        producer.begin()
        producer.send(target, [b"after"])
        producer.commit([], None)
    assert committed_values(kafka_settings, target, unique_id) == [b"after"]


def test_trouble_seen_during_a_transaction_makes_even_a_successful_commit_doubtful(
    kafka_settings: Settings, new_topic: NewTopic, unique_id: str
) -> None:
    target = new_topic("out")
    with transactional(kafka_settings, unique_id) as producer:
        producer.begin()
        producer.send(target, [b"once"])
        producer._watch.on_error("127.0.0.1: Disconnected")
        with pytest.raises(TransactionInDoubt, match="Disconnected"):
            producer.commit([], None)
        with pytest.raises(TransactionInDoubt):
            producer.begin()
        producer.rebuild()
        producer.begin()
        producer.send(target, [b"twice"])
        producer.commit([], None)
    assert committed_values(kafka_settings, target, unique_id) == [b"once", b"twice"]


def test_a_slow_commit_is_doubtful(kafka_settings: Settings, new_topic: NewTopic, unique_id: str) -> None:
    target = new_topic("out")
    with transactional(kafka_settings, unique_id, slow_commit_ms=0) as producer:
        producer.begin()
        producer.send(target, [b"x"])
        with pytest.raises(TransactionInDoubt, match="took"):
            producer.commit([], None)


def test_a_transaction_open_for_too_long_has_expired(
    kafka_settings: Settings, new_topic: NewTopic, unique_id: str
) -> None:
    target = new_topic("out")
    with transactional(kafka_settings, unique_id, transaction_timeout_ms=1_000, slow_commit_ms=500) as producer:
        producer.begin()
        producer.send(target, [b"expired"])
        producer._producer.flush(5)
        time.sleep(3.5)  # the broker looks once a second
        with pytest.raises((TransactionExpired, TransactionAborted)):
            producer.commit([], None)
        producer.rebuild()
        producer.begin()
        producer.send(target, [b"after"])
        producer.commit([], None)
    assert committed_values(kafka_settings, target, unique_id) == [b"after"]


def test_a_batch_larger_than_the_producers_queue_arrives_whole_and_in_order(
    kafka_settings: Settings, new_topic: NewTopic, unique_id: str
) -> None:
    from dataclasses import replace

    target = new_topic("out")
    small = replace(kafka_settings, kafka_properties={"queue.buffering.max.messages": "1000"})
    values = [b"%d" % i for i in range(20_000)]
    with transactional(small, unique_id) as producer:
        producer.begin()
        producer.send(target, values, [b"key"] * len(values))
        producer.commit([], None)
    assert committed_values(kafka_settings, target, unique_id) == values


def test_a_record_too_large_for_the_cluster_is_a_topic_error(
    kafka_settings: Settings, new_topic: NewTopic, unique_id: str
) -> None:
    target = new_topic("out")
    with transactional(kafka_settings, unique_id) as producer:
        producer.begin()
        with pytest.raises(TopicError, match=r"2,000,000 bytes"):
            producer.send(target, [b"small", b"x" * 2_000_000])


def test_rewinding_mid_stream_gives_exactly_the_records_from_there(
    kafka_settings: Settings, new_topic: NewTopic, unique_id: str
) -> None:
    source = new_topic("in")
    fill(kafka_settings, source, 5_000)
    with reading(kafka_settings, [source], unique_id) as consumer:
        assert read(consumer, 1_234)[-1] == b"1233"
        lag = consumer.lag()[(source, 0)]
        assert lag == 5_000 - 1_234
        assert not consumer.caught_up()
        consumer.rewind([TopicPartition(source, 0, 777)])
        assert read(consumer, 5_000 - 777) == [b"%d" % i for i in range(777, 5_000)]
        assert consumer.poll(1, 0.2) == []
        assert consumer.caught_up()


def test_the_owner_is_told_committed_offsets_and_metadata_and_may_start_elsewhere(
    kafka_settings: Settings, new_topic: NewTopic, unique_id: str
) -> None:
    source = new_topic("in")
    fill(kafka_settings, source, 10)
    told: list[tuple[int, str | None]] = []
    taken: list[bool] = []

    def start_earlier(partitions: list[TopicPartition]) -> None:
        told.extend((p.offset, p.metadata) for p in partitions)
        for partition in partitions:
            partition.offset = max(0, partition.offset - 2)

    handlers = {"on_assigned": start_earlier, "on_revoked": lambda _, lost: taken.append(lost)}
    with (
        reading(kafka_settings, [source], unique_id, **handlers) as consumer,
        transactional(kafka_settings, unique_id) as producer,
    ):
        assert len(read(consumer, 10)) == 10
        producer.begin()
        producer.send(new_topic("out"), [b"x"])
        producer.commit([TopicPartition(source, 0, 6, "m")], consumer.group_metadata())
    with reading(kafka_settings, [source], unique_id, **handlers) as consumer:
        assert read(consumer, 6)[0] == b"4"
    assert told == [(-1001, None), (6, "m")]
    assert taken == [False, False]


def test_an_input_topic_that_does_not_exist_is_a_topic_error(kafka_settings: Settings, unique_id: str) -> None:
    consumer = InputConsumer(kafka_settings, ["no-such-topic"], unique_id)
    with pytest.raises(TopicError, match=r"no-such-topic.*fraudstream topics create"):
        consumer.open()
    consumer.close()


def test_a_paused_consumer_delivers_nothing_until_resumed(
    kafka_settings: Settings, new_topic: NewTopic, unique_id: str
) -> None:
    source = new_topic("in")
    fill(kafka_settings, source, 100)
    with reading(kafka_settings, [source], unique_id) as consumer:
        assert len(read(consumer, 10)) == 10
        consumer.pause()
        assert consumer.poll(100, 0.2) == []
        consumer.resume()
        assert read(consumer, 90) == [b"%d" % i for i in range(10, 100)]


def test_producers_in_turn_commit_in_order_and_are_fenced_by_a_successor(
    kafka_settings: Settings, new_topic: NewTopic, unique_id: str
) -> None:
    source, target = new_topic("in"), new_topic("out")
    fill(kafka_settings, source, 20)
    pair, successor = (AlternatingProducer(kafka_settings, unique_id) for _ in range(2))
    with reading(kafka_settings, [source], unique_id) as consumer:
        assert len(read(consumer, 20)) == 20
        pair.open()
        for number in range(20):
            pair.begin()
            pair.send(target, [b"%d" % number], [b"key"])
            pair.commit([TopicPartition(source, 0, number + 1)], consumer.group_metadata())
        assert consumer.committed()[0].offset == 20
        pair.begin()
        pair.send(target, [b"zombie"])
        successor.open()
        with pytest.raises(FencedError):
            pair.commit([], None)
        pair.close()
        successor.close()
    assert committed_values(kafka_settings, target, unique_id) == [b"%d" % number for number in range(20)]
