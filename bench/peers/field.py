"""The field that all rows play on: one broker, one topic of events with one partition, fresh output topics.

One partition, so that every system sees the events in the same order and must give the same values.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
from confluent_kafka import Consumer, KafkaException, TopicPartition

from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.local import LocalBroker
from fraudstream.kafka.producer import BulkProducer
from fraudstream.settings import Settings, load_settings

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "handbook_transactions.parquet"
ALL_EVENTS = 1_754_155
BACKLOG = "transactions"
PROGRAM = [sys.executable, "-m", "fraudstream"]
COMMAND_S = 300


class Field:
    """A running broker with the backlog in it, in a temporary folder.

    Args:
        folder: Where everything is kept.
        events: How many events the backlog has.
    """

    def __init__(self, folder: Path, events: int) -> None:
        self.folder = folder
        self.events = events
        self.broker = LocalBroker(folder / ".fraudstream" / "kafka", heap_mb=1_024)
        self.broker.start()
        self.settings: Settings = load_settings({}, environ={}, folder=folder)
        self.bootstrap = self.broker.bootstrap
        self.admin = KafkaAdmin(self.settings)
        self.history = DATA if DATA.exists() else self._simulated()

    @property
    def broker_pid(self) -> int:
        """The broker's process."""
        pid = self.broker.status().pid
        assert pid is not None
        return pid

    def fill(self) -> None:
        """The backlog."""
        self.fresh(BACKLOG)
        self.admin.create_topics({"fraud-labels": 1, "small-dead-letters": 1, "fraud-dead-letters": 1})
        producer = BulkProducer(self.settings)
        for keys, values in events(self.history, 0, self.events):
            producer.send(BACKLOG, values, keys)
        producer.flush()

    def fresh(self, *topics: str) -> None:
        """Empties topics; they have one partition."""
        there = self.admin.topics()
        old = [topic for topic in topics if topic in there]
        if old:
            self.admin.delete_topics(old)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and any(topic in self.admin.topics() for topic in old):
            time.sleep(0.05)
        self.admin.create_topics(dict.fromkeys(topics, 1))

    def tidy(self, group: str) -> None:
        """Deletes the topics that a peer made for itself."""
        own = [topic for topic in self.admin.topics(internal=True) if group in topic]
        if own:
            self.admin.delete_topics(own)

    def command(self, *arguments: str) -> None:
        """Runs a fraudstream command to its end."""
        done = subprocess.run(
            [*PROGRAM, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"fraudstream {' '.join(arguments)}: {done.stderr[-400:]}")

    def close(self) -> None:
        """Stops the broker and deletes its data."""
        self.broker.clean(force=True)
        shutil.rmtree(self.folder / ".fraudstream", ignore_errors=True)

    def _simulated(self) -> Path:
        """Where the third-party data is not there: simulated events of the same shape."""
        path = self.folder / "history.parquet"
        size = ("--events", str(self.events), "--customers", "5000")
        self.command("simulate", "terminal-payments", "--history", "180d", *size, "--to", str(path))
        return path


class Progress:
    """How far a topic has grown, as `read_committed` readers see it."""

    def __init__(self, field: Field, topic: str) -> None:
        self._place = TopicPartition(topic, 0)
        self._consumer = Consumer(
            {"bootstrap.servers": field.bootstrap, "group.id": "progress", "isolation.level": "read_committed"}
        )

    def __call__(self) -> int:
        """Its last stable offset."""
        deadline = time.monotonic() + 10
        while True:
            try:
                return self._consumer.get_watermark_offsets(self._place, timeout=10)[1]
            except KafkaException:  # a topic that is new, or a busy broker
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def close(self) -> None:
        """Lets the connection go."""
        self._consumer.close()


def events(history: Path, begin: int, end: int) -> Iterator[tuple[list[bytes | None], list[bytes]]]:
    """Keys and values of the events begin … end − 1 in time order, in batches; ids are made to count up from 0."""
    query = f"""
        SELECT row_number() OVER (ORDER BY TX_DATETIME, TRANSACTION_ID) - 1 AS id,
            strftime(TX_DATETIME, '%Y-%m-%d %H:%M:%S'), CUSTOMER_ID, TERMINAL_ID, TX_AMOUNT::DOUBLE
        FROM read_parquet('{history}') QUALIFY id BETWEEN {begin} AND {end - 1} ORDER BY id"""
    with duckdb.connect(config={"threads": 1}) as connection:
        found = connection.execute(query)
        while rows := found.fetchmany(20_000):
            yield [str(row[2]).encode() for row in rows], [_written(*row) for row in rows]


def _written(number: int, at: str, customer: int, terminal: int, amount: float) -> bytes:
    event = {
        "TRANSACTION_ID": number,
        "TX_DATETIME": at,
        "CUSTOMER_ID": customer,
        "TERMINAL_ID": terminal,
        "TX_AMOUNT": amount,
    }
    return json.dumps(event, separators=(",", ":")).encode()
