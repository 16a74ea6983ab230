"""Offsets that cannot be read because of a transaction that nobody ends: the scorer closes it and goes on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from reading import ends

from fraudstream.errors import StateError
from fraudstream.kafka import consumer as consuming
from fraudstream.kafka.alternating import AlternatingProducer
from fraudstream.kafka.consumer import InputConsumer
from fraudstream.plan.compile import plan_of
from fraudstream.runner.hanging import closer
from fraudstream.settings import Settings
from runner.small import assert_once, events, pipeline, score_here
from runner.workbench import Workbench

pytestmark = pytest.mark.kafka
OF_ANOTHER_PIPELINE = b'{"class":"not_json","input":{"topic":"elsewhere","partition":0,"offset":999}}'


def test_what_hangs_although_its_decisions_are_visible_is_not_decided_again(
    broker: str, kafka_settings: Settings, tmp_path: Path, unique_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I1. The broker lost the offsets' marker of a committed transaction: the scorer says so and decides nothing."""
    monkeypatch.setattr(consuming, "HANGING_AFTER_S", 2.0)
    bench = Workbench(kafka_settings, pipeline(shops=True), tmp_path, unique_id)
    values, keys = events(60)
    topic, group, member = bench.pipeline.input.name, f"fraudstream-{unique_id}", f"fraudstream-{unique_id}-0"
    bench.produce(topic, values[:30], keys[:30])
    score_here(bench)
    bench.produce(topic, values[30:], keys[30:])
    before = ends(broker, [bench.scores], stable=False)
    # The decision, as if its part of the transaction had got its marker; and the offsets, as if theirs had not.
    visible = Producer({"bootstrap.servers": broker})
    place = f'"input":{{"topic":"{topic}","partition":0,"offset":{ends(broker, [topic], stable=True)[topic, 0] - 1}}}'
    visible.produce(bench.scores, f'{{"event":{{}},"decision":{{{place}}}}}'.encode(), partition=0)
    visible.produce(bench.scores, OF_ANOTHER_PIPELINE, partition=0)  # behind it, on a topic that both write to
    visible.flush(10)
    reader = Consumer({"bootstrap.servers": broker, "group.id": group})
    left_open = Producer({"bootstrap.servers": broker, "transactional.id": f"{member}-other"})
    left_open.init_transactions(20)
    left_open.begin_transaction()
    left_open.produce(bench.pipeline.dead_letters.name, b"nothing", partition=0)
    left_open.flush(10)
    left_open.send_offsets_to_transaction([TopicPartition(topic, 0, 1)], reader.consumer_group_metadata(), 20)
    reader.close()

    with pytest.raises(StateError, match="decided twice"):
        score_here(bench)
    assert sum(ends(broker, [bench.scores], stable=False).values()) == sum(before.values()) + 2
    left_open.abort_transaction(20)


def test_a_transaction_left_open_on_the_offsets_is_closed_and_nothing_of_it_is_seen(
    broker: str, kafka_settings: Settings, tmp_path: Path, unique_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I6, I1. Whether the transaction hangs because of its client or of a lost marker, the question is the same, and so
    is the answer. (Lost markers were met in the mix, with a broker that had stood still; no test can order one.)"""
    monkeypatch.setattr(consuming, "HANGING_AFTER_S", 2.0)
    bench = Workbench(kafka_settings, pipeline(shops=True), tmp_path, unique_id)
    values, keys = events(60)
    topic, group, member = bench.pipeline.input.name, f"fraudstream-{unique_id}", f"fraudstream-{unique_id}-0"
    bench.produce(topic, values[:30], keys[:30])
    score_here(bench)
    producer = AlternatingProducer(kafka_settings, member)
    producer.open()
    reader = Consumer({"bootstrap.servers": broker, "group.id": group})
    left_open = Producer({"bootstrap.servers": broker, "transactional.id": f"{member}-1"})
    left_open.init_transactions(20)
    left_open.begin_transaction()
    visible = Producer({"bootstrap.servers": broker})
    visible.produce(bench.pipeline.dead_letters.name, OF_ANOTHER_PIPELINE, partition=0)
    visible.flush(10)
    left_open.produce(bench.scores, b"not a decision", partition=0)
    left_open.flush(10)
    left_open.send_offsets_to_transaction([TopicPartition(topic, 0, 1)], reader.consumer_group_metadata(), 20)
    reader.close()

    written = {name: count for name, count in bench.pipeline.topics_to_create() if name != topic}
    plan = plan_of(bench.pipeline)
    asking = InputConsumer(
        kafka_settings, [topic], group, on_hanging=closer(kafka_settings, plan, producer, group, written)
    )
    asking.open()
    began = time.monotonic()
    committed = asking.committed([TopicPartition(topic, partition) for partition in range(3)])
    assert time.monotonic() - began >= 2.0
    assert sum(each.offset for each in committed) == 30
    asking.close()
    producer.close()

    assert ends(broker, [bench.scores], stable=True) == ends(broker, [bench.scores], stable=False)
    bench.produce(topic, values[30:], keys[30:])
    assert score_here(bench).decisions == 30
    assert_once(bench)
