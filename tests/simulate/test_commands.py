"""The commands `simulate` and `produce`, on files and on a real broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.settings import Settings
from fraudstream.simulate.patterns.catalog import NAMES

Run = Callable[..., subprocess.CompletedProcess[str]]
HANDBOOK = Path(__file__).parents[3] / "shared" / "data" / "handbook_transactions.parquet"


def consume(settings: Settings, topic: str, count: int) -> list[Any]:
    """The first `count` messages of a topic, and what else there is."""
    from confluent_kafka import Consumer

    consumer = Consumer(
        {"bootstrap.servers": settings.bootstrap_servers, "group.id": topic, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    messages: list[Any] = []
    deadline = time.monotonic() + 30
    while len(messages) < count and time.monotonic() < deadline:
        messages += [m for m in consumer.consume(10_000, 0.3) if m.error() is None]
    messages += consumer.consume(10, 0.5)
    consumer.close()
    return messages


def test_files_of_one_run_agree_line_by_line_with_the_truth(fraudstream: Run, tmp_path: Path) -> None:
    done = fraudstream(
        "simulate",
        "retail",
        "--to",
        "a.jsonl",
        "--events",
        "3000",
        "--customers",
        "500",
        "--truth",
        "t.parquet",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    events = [orjson.loads(line) for line in (tmp_path / "a.jsonl").read_bytes().splitlines()]
    truth = pl.read_parquet(tmp_path / "t.parquet")
    assert truth["event_id"].to_list() == [event["transaction_id"] for event in events]
    assert truth["ordinal"].to_list() == list(range(3_000))
    summary = orjson.loads(done.stdout)
    assert summary["events"] == 3_000
    assert summary["fraud"] == truth["is_fraud"].sum() == sum(summary["fraud_by_pattern"].values()) > 0


def test_the_same_command_writes_the_same_file_again(fraudstream: Run, tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        fraudstream("simulate", "account-transfers", "--to", name, "--events", "2000", "--customers", "500")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert (tmp_path / "a.jsonl").stat().st_size > 100_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("simulate", "retial", "--to", "a.jsonl"), "Did you mean retail?"),
        (("simulate", "retail", "--to", "a.csv"), "Let it end with .jsonl or .parquet"),
        (("simulate", "retail", "--to", "no/a.jsonl"), "cannot be written"),
        (("simulate", "retail", "--to", "a.jsonl", "--fraud", "mule_fan_in"), "does not fit retail"),
        (("simulate", "retail", "--to", "a.jsonl", "--duration", "5m"), "--history"),
        (("simulate", "retail", "--to", "a.jsonl", "--history", "soon"), "is not a duration"),
        (("simulate", "retail", "--rate", "60000"), "at most 50,000"),
        (("simulate", "retail", "--history", "1d", "-b", "127.0.0.1:1"), "No Kafka broker answered"),
        (("produce", "absent.parquet", "--topic", "t"), "is not there"),
        (("produce", "absent.parquet", "--topic", "t", "--labels", "x"), "--id"),
    ],
)
def test_a_mistake_is_answered_with_one_paragraph(fraudstream: Run, arguments: tuple[str, ...], said: str) -> None:
    done = fraudstream(*arguments)
    assert done.returncode in (2, 3)
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.kafka
def test_every_simulated_event_and_label_arrives_once_with_its_key(
    fraudstream: Run, kafka_settings: Settings, new_topic: Callable[..., str]
) -> None:
    topic, labels_topic = new_topic("events", partitions=3), new_topic("labels")
    done = fraudstream(
        "simulate", "card-payments", "--history", "20d", "--events", "20000", "--customers", "500", "--topic", topic,
        "--labels-topic", labels_topic, "--json", "-b", kafka_settings.bootstrap_servers,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = orjson.loads(done.stdout)
    messages = consume(kafka_settings, topic, 20_000)
    events = [orjson.loads(m.value()) for m in messages]
    assert len(events) == len({event["transaction_id"] for event in events}) == summary["events"] == 20_000
    assert all(m.key().decode() == event["card_hash"] for m, event in zip(messages, events, strict=True))
    labels = [orjson.loads(m.value()) for m in consume(kafka_settings, labels_topic, summary["labels"])]
    assert len(labels) == summary["labels"] > 0
    assert {label["event_id"] for label in labels} < {event["transaction_id"] for event in events}
    assert summary["labels"] + summary["labels_not_due"] == summary["fraud"]


@pytest.mark.kafka
def test_no_labels_are_sent_for_a_pipeline_that_reads_none(
    fraudstream: Run, kafka_settings: Settings, new_topic: Callable[..., str]
) -> None:
    done = fraudstream(
        "simulate", "retail", "--history", "20d", "--events", "500", "--fraud", "bursts=0.3", "--label-delay", "1ms",
        "--topic", new_topic("unlabelled"), "--json", "-b", kafka_settings.bootstrap_servers,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = orjson.loads(done.stdout)
    assert summary["fraud"] > 0
    assert summary["labels"] == summary["labels_not_due"] == 0


def test_the_help_names_every_pattern(fraudstream: Run) -> None:
    shown = fraudstream("simulate", "--help").stdout
    assert all(name in shown for name in NAMES)


@pytest.mark.kafka
def test_an_interrupted_live_run_ends_well_and_says_how_much_it_sent(
    kafka_settings: Settings, new_topic: Callable[..., str], tmp_path: Path
) -> None:
    topic = new_topic("live")
    program = [str(Path(sys.executable).with_name("fraudstream")), "simulate", "user-activity", "--rate", "400"]
    program += ["--topic", topic, "--json", "-b", kafka_settings.bootstrap_servers]
    running = subprocess.Popen(program, stdout=subprocess.PIPE, cwd=tmp_path, env=os.environ)
    admin = KafkaAdmin(kafka_settings)
    deadline = time.monotonic() + 60
    while not sum(admin.end_offsets([topic]).values()):
        assert running.poll() is None and time.monotonic() < deadline, "nothing was sent"
        time.sleep(0.1)
    time.sleep(1)
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=30)
    summary = orjson.loads(out)
    assert running.returncode == 0
    assert summary["stopped"] is True
    messages = consume(kafka_settings, topic, summary["events"])
    assert len(messages) == summary["events"] > 0
    # Event time is wall time: the broker stamped each record when the event says it happened.
    at_ms = pl.Series([orjson.loads(m.value())["timestamp"] for m in messages]).str.to_datetime().dt.epoch("ms")
    behind_ms = pl.Series([m.timestamp()[1] for m in messages]) - at_ms
    assert -50 < behind_ms.median() < 500


@pytest.mark.kafka
@pytest.mark.skipif(not HANDBOOK.exists(), reason="the third-party data is not here")
def test_a_third_party_history_arrives_in_order_with_its_labels_and_without_its_truth(
    fraudstream: Run, kafka_settings: Settings, new_topic: Callable[..., str]
) -> None:
    topic, labels_topic = new_topic("past", partitions=2), new_topic("past-labels")
    done = fraudstream(
        "produce", str(HANDBOOK), "--topic", topic, "--limit", "120000", "--json",
        "--labels", "TX_FRAUD", "--id", "TRANSACTION_ID", "--drop", "TX_FRAUD_SCENARIO",
        "--labels-topic", labels_topic, "--label-delay", "2d", "-b", kafka_settings.bootstrap_servers,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "taken from TX_DATETIME" in done.stderr
    summary = orjson.loads(done.stdout)
    past = pl.read_parquet(HANDBOOK).head(120_000)
    messages = consume(kafka_settings, topic, 120_000)
    events = [orjson.loads(m.value()) for m in messages]
    assert sorted(event["TRANSACTION_ID"] for event in events) == past["TRANSACTION_ID"].to_list()
    assert set(events[0]) == {"TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT"}
    for partition in (0, 1):
        times = [e["TX_DATETIME"] for e, m in zip(events, messages, strict=True) if m.partition() == partition]
        assert times == sorted(times)
    assert all(m.key() == str(event["CUSTOMER_ID"]).encode() for m, event in zip(messages, events, strict=True))
    labels = [orjson.loads(m.value()) for m in consume(kafka_settings, labels_topic, summary["labels"])]
    assert len(labels) == summary["labels"]
    assert len(labels) + summary["labels_not_due"] == past["TX_FRAUD"].sum()
    fraud = set(past.filter(pl.col("TX_FRAUD") == 1)["TRANSACTION_ID"])
    assert {label["event_id"] for label in labels} <= fraud


@pytest.mark.kafka
def test_a_topic_that_is_not_there_is_an_error_with_advice(fraudstream: Run, kafka_settings: Settings) -> None:
    done = fraudstream("simulate", "retail", "--topic", "absent", "-b", kafka_settings.bootstrap_servers)
    assert done.returncode == 3
    assert "There is no topic 'absent'" in done.stderr
    assert "fraudstream topics create" in done.stderr
