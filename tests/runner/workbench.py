"""What tests of the stream share: pipelines on topics of their own, scorers to kill, and readers of what came out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from confluent_kafka import Consumer, Message, TopicPartition

from fraudstream.define.pipeline import Pipeline, Topic
from fraudstream.define.write import to_yaml
from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.producer import BulkProducer
from fraudstream.settings import Settings

PROGRAM = Path(sys.executable).with_name("fraudstream")


class Workbench:
    """A pipeline on topics of its own, in a folder of its own.

    Args:
        settings: The broker.
        pipeline: Its topics get the prefix.
        folder: Where its file, state and logs go.
        prefix: A name no other test uses.
    """

    def __init__(self, settings: Settings, pipeline: Pipeline, folder: Path, prefix: str) -> None:
        self.settings = settings
        self.folder = folder
        self.pipeline = msgspec.structs.replace(
            pipeline,
            name=prefix,
            input=_renamed(pipeline.input, prefix),
            labels=_renamed(pipeline.labels, prefix) if pipeline.labels else None,
            dead_letters=_renamed(pipeline.dead_letters, prefix),
            control=_renamed(pipeline.control, prefix),
            shadow=_renamed(pipeline.shadow, prefix),
            routes=tuple(msgspec.structs.replace(route, topic=f"{prefix}.{route.topic}") for route in pipeline.routes),
        )
        self.file = folder / "pipeline.yaml"
        self.file.write_text(to_yaml(self.pipeline), encoding="utf-8")
        self.admin = KafkaAdmin(settings)
        self.admin.create_topics(dict(self.pipeline.topics_to_create()), compacted=self.pipeline.compacted_topics())

    @property
    def scores(self) -> str:
        """The topic of all decisions."""
        return self.pipeline.routes[0].topic

    def change(self, **parts: object) -> None:
        """Writes the pipeline anew with other parts."""
        self.pipeline = msgspec.structs.replace(self.pipeline, **parts)
        self.file.write_text(to_yaml(self.pipeline), encoding="utf-8")

    def produce(self, topic: str, values: Sequence[bytes | None], keys: Sequence[bytes | None] | None = None) -> None:
        """Sends records and waits until they are stored."""
        producer = BulkProducer(self.settings)
        producer.send(topic, values, keys)
        producer.flush()

    def start(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """A scorer process."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("FRAUDSTREAM_")}
        # The output goes to a file: a pipe that nobody reads would stop the scorer.
        log = (self.folder / "scorer.log").open("a")
        return subprocess.Popen(
            [str(PROGRAM), "run", str(self.file), "-b", self.settings.bootstrap_servers, "--json", *arguments],
            cwd=self.folder,
            env=clean | (env or {}),
            stdout=log,
            stderr=log,
            text=True,
        )

    def score_everything(self, timeout_s: float = 120) -> dict[str, object]:
        """Runs a scorer until it has caught up; returns its summary."""
        process = self.start("--until-caught-up")
        code = process.wait(timeout_s)
        lines = (self.folder / "scorer.log").read_text().splitlines()
        assert code == 0, lines[-5:]
        summary: dict[str, object] = msgspec.json.decode(lines[-1])["summary"]
        return summary

    def count(self, topic: str) -> int:
        """How many committed records a topic holds."""
        return sum(1 for _ in self.read(topic))

    def read(self, topic: str) -> list[Message]:
        """Every committed record of a topic."""
        return read_committed(self.settings, topic)

    def decisions(self) -> list[dict[str, object]]:
        """Every committed decision, in processing order, with its event."""
        found = [msgspec.json.decode(message.value()) for message in self.read(self.scores)]
        return sorted(found, key=lambda each: each["decision"]["sequence"])

    def dead_letters(self) -> list[dict[str, object]]:
        """Every committed dead letter."""
        return [msgspec.json.decode(message.value()) for message in self.read(self.pipeline.dead_letters.name)]

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 60) -> None:
        """Waits until a condition holds."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.05)

    def committed_events(self) -> int:
        """How many input offsets the group has committed."""
        group = f"fraudstream-{self.pipeline.name}"
        committed = self.admin.committed_offsets(group, [self.pipeline.input.name])
        return sum(max(0, place.offset) for place in committed.values())


def _renamed(topic: Topic, prefix: str) -> Topic:
    return msgspec.structs.replace(topic, name=f"{prefix}.{topic.name}")


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL, and nothing else."""
    process.send_signal(signal.SIGKILL)
    process.wait(10)


def read_committed(settings: Settings, topic: str) -> list[Message]:
    """Every committed record of a topic up to its end: bounded by the high watermark, which read_committed honours."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "group.id": f"reader-{time.time_ns()}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        open_partitions = set(partitions)
        messages: list[Message] = []
        deadline = time.monotonic() + 120
        while open_partitions:
            assert time.monotonic() < deadline, f"{topic} could not be read to its end"
            for message in consumer.consume(50_000, 0.2):
                if message.error() is None:
                    messages.append(message)
                else:
                    open_partitions.discard(message.partition())
        return messages
    finally:
        consumer.close()
