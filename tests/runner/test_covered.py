"""Offsets that went back behind what the outputs show: nothing is decided twice, and nothing before they are right."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from fraudstream.errors import StateError
from fraudstream.kafka import consumer as consuming
from fraudstream.kafka.consumer import InputConsumer
from fraudstream.settings import Settings

from .small import assert_once, events, pipeline, score_here
from .workbench import Workbench

pytestmark = pytest.mark.kafka


def set_back(broker: str, bench: Workbench, group: str, by: int) -> None:
    """Sets the group's offsets back, as a broker that lost the last commits would have them."""
    reader = Consumer({"bootstrap.servers": broker, "group.id": group})
    topic = bench.pipeline.input.name
    places = [TopicPartition(topic, number) for number in range(bench.pipeline.input.partitions)]
    known = [each for each in reader.committed(places, 10) if each.offset >= by]
    reader.close()
    assert known
    back = [TopicPartition(topic, each.partition, each.offset - by) for each in known]
    admin = AdminClient({"bootstrap.servers": broker})
    asked = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, back)])
    assert not [each.error for each in asked[group].result(10).topic_partitions if each.error]


def test_offsets_that_went_back_are_told_of_and_nothing_is_decided_twice(
    broker: str, kafka_settings: Settings, tmp_path: Path, unique_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "STALE_FOR_S", 0.0)
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    values, keys = events(60)
    bench.produce(bench.pipeline.input.name, values[:40], keys[:40])
    score_here(bench)
    set_back(broker, bench, f"fraudstream-{unique_id}", 3)
    bench.produce(bench.pipeline.input.name, values[40:], keys[40:])
    with pytest.raises(StateError, match=r"decided a second time.*--reset-offsets"):
        score_here(bench)
    assert len(bench.decisions()) == 40
    set_back(broker, bench, f"fraudstream-{unique_id}", -3)
    score_here(bench)
    assert len(assert_once(bench)) == 60


def test_offsets_that_are_right_a_moment_later_are_waited_for(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    bench = Workbench(kafka_settings, pipeline(partitions=1), tmp_path, unique_id)
    topic, answers = bench.pipeline.input.name, [StateError("They went back."), None]
    asked: list[dict[tuple[str, int], int]] = []

    def of(offsets: dict[tuple[str, int], int]) -> StateError | None:
        asked.append(offsets)
        return answers.pop(0)

    reader = InputConsumer(kafka_settings, [topic], unique_id, on_offsets=of)
    reader.open()
    try:
        (place,) = reader.committed([TopicPartition(topic, 0)])
        assert (place.offset < 0, answers, asked) == (True, [], [{}, {}])
    finally:
        reader.close()
