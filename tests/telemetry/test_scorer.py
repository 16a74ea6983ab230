"""What a scorer tells of itself: counts that are those of its records, and whether it can do its work."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from fraudstream.define.decision import ModelRef
from fraudstream.engine.program import Program
from fraudstream.runner.loop import StreamLoop
from fraudstream.settings import Settings
from fraudstream.telemetry.exporter import Exporter
from runner.small import events, pipeline, score_here, scorer
from runner.tiny_model import FEATURES, add, save
from runner.workbench import Workbench

from .scraped import Scraped, get, until

pytestmark = pytest.mark.kafka
COUNT = 2_000
BAD = {"not_json": b"no", "missing_field": b"{}", "empty": b""}


@contextmanager
def served(loop: StreamLoop) -> Iterator[Exporter]:
    """A scorer at work in this process, with its metrics served."""
    exporter = Exporter(0, "127.0.0.1", "run", {"pipeline": "small"})
    assert get(exporter.port, "/readyz") == (503, "it is starting\n")
    assert get(exporter.port, "/healthz") == (200, "ok\n")
    exporter.watch(loop)
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield exporter
    finally:
        loop.stop()
        thread.join()
        exporter.close()


def test_what_is_counted_is_what_was_written(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> None:
    bench = Workbench(kafka_settings, pipeline(shops=True, model=ModelRef(features=FEATURES)), tmp_path, unique_id)
    version = save(bench, 0.001)
    assert add(bench, 0.002) != version
    values, keys = events(COUNT)
    topic = bench.pipeline.input.name
    bench.produce(topic, [*values, *BAD.values()], [*keys, *([b"k"] * len(BAD))])

    def clients_told() -> bool:
        """Producers tell something only while they send, and clients once in two seconds."""
        bench.produce(topic, values[:1], keys[:1])
        now = Scraped(exporter.port)
        return bool(now.of("kafka_broker_rtt_seconds")) and bool(now.of("kafka_received_bytes_total"))

    with served(scorer(bench)) as exporter:
        until(clients_told)
        bench.wait_for(lambda: bench.committed_events() == sum(bench.admin.end_offsets([topic]).values()))
        time.sleep(1.2)  # most is brought up to date once a second
        seen = Scraped(exporter.port)
    decided = [each["decision"] for each in bench.decisions()]
    n = len(decided)
    for outcome, count in Counter(each["outcome"] for each in decided).items():
        assert seen.of("decisions_total", outcome=outcome) == count
    for level, count in Counter(each["risk_level"] for each in decided).items():
        assert seen.of("decision_risk_levels_total", risk_level=level) == count
    assert seen.of("rule_hits_total", code="HIGH") == sum("HIGH" in each["rules"] for each in decided) > 0
    assert seen.of("decision_flags_total", flag="duplicate") == n - COUNT > 0
    assert {name: seen.of("dead_letters_total", **{"class": name}) for name in BAD} == dict.fromkeys(BAD, 1.0)
    assert seen.of("dead_letters_total", **{"class": "too_deep"}) == 0
    assert seen.of("event_latency_seconds_count") == seen.of("decision_score_count") == n
    assert seen.of("decision_score_sum") == pytest.approx(sum(each["score"] for each in decided))
    assert seen.of("model_score_count", model=version, role="champion") == n
    assert seen.of("transaction_records_sum") == n + len(BAD)
    assert seen.of("stage_duration_seconds_count", stage="commit") == seen.of("transactions_total", result="committed")
    assert seen.of("consumer_lag_records", topic=topic, partition="0") == 0
    assert seen.of("ready") == 1
    seen.assert_sound()
    seen.assert_documented("A scorer", of_process={"pipeline"})
    assert seen.without_samples() == {
        f"fraudstream_{name}"
        for name in (
            "snapshot_timestamp_seconds", "snapshot_bytes", "snapshot_duration_seconds", "switched_off",
            "open_transaction_records", "open_transaction_age_seconds",
        )
    }  # fmt: skip


def test_a_scorer_is_ready_when_its_state_is_rebuilt_and_stuck_when_its_loop_stands_still(
    kafka_settings: Settings, tmp_path: Path, unique_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    values, keys = events(COUNT)
    bench.produce(bench.pipeline.input.name, values, keys)
    score_here(bench)
    go_on = threading.Event()
    learn = Program.learn

    def slowly(*arguments: Any) -> None:
        assert go_on.wait(30)
        learn(*arguments)

    loop = scorer(bench, rebuild=True)
    monkeypatch.setattr(Program, "learn", slowly)
    with served(loop) as exporter:
        until(lambda: "the state is being rebuilt" in get(exporter.port, "/readyz").text)
        assert Scraped(exporter.port).of("ready") == 0
        assert get(exporter.port, "/healthz").status == 200
        loop.stuck_after_s = 0.2
        until(lambda: get(exporter.port, "/healthz").status == 503)
        assert get(exporter.port, "/healthz").text.startswith("the loop has not moved for ")
        loop.stuck_after_s = 60
        go_on.set()
        until(lambda: get(exporter.port, "/readyz") == (200, "ok\n"))
        until(lambda: Scraped(exporter.port).of("replayed_records_total") == COUNT)
        assert get(exporter.port, "/elsewhere").status == 404


def test_a_transaction_that_stays_open_on_the_input_is_seen(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """Another program's, which keeps everything behind it from being read: how much that is, and for how long."""
    bench = Workbench(kafka_settings, pipeline(partitions=1), tmp_path, unique_id)
    topic = bench.pipeline.input.name
    other = Producer({"bootstrap.servers": kafka_settings.bootstrap_servers, "transactional.id": unique_id})
    other.init_transactions()
    other.begin_transaction()
    other.produce(topic, b"not yet")
    other.flush()
    values, keys = events(5)
    bench.produce(topic, values, keys)
    with served(scorer(bench)) as exporter:
        until(lambda: Scraped(exporter.port).of("open_transaction_records", topic=topic) == 6)
        until(lambda: (Scraped(exporter.port).of("open_transaction_age_seconds", topic=topic) or 0) > 0.1)
        assert Scraped(exporter.port).of("transaction_records_count") == 0
        other.abort_transaction()
        until(lambda: Scraped(exporter.port).of("open_transaction_records", topic=topic) is None)
        until(lambda: Scraped(exporter.port).of("transaction_records_sum") == 5)
