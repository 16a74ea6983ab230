"""However a scorer ends, the next one goes on where the committed offsets say: nothing twice, nothing missing."""

from __future__ import annotations

import contextlib
import random
import signal
import threading
import time
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from fraudstream.engine.program import Program
from fraudstream.errors import StateError
from fraudstream.kafka.transactions import TransactionInDoubt
from fraudstream.runner.committer import Committer
from fraudstream.settings import Settings, load_settings
from fraudstream.state.snapshot import read_snapshot, snapshots_in

from .small import FEATURES, assert_once, events, pipeline, score_here, scorer
from .workbench import Workbench, kill

pytestmark = pytest.mark.kafka


def produce_slowly(
    bench: Workbench, batches: list[tuple[list[bytes], list[bytes]]], pause_s: float
) -> threading.Thread:
    """Sends batches in the background, with a pause after each."""

    def send() -> None:
        for values, keys in batches:
            bench.produce(bench.pipeline.input.name, values, keys)
            time.sleep(pause_s)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def in_batches(count: int, size: int) -> list[tuple[list[bytes], list[bytes]]]:
    values, keys = events(count)
    return [(values[i : i + size], keys[i : i + size]) for i in range(0, count, size)]


def state_folder(bench: Workbench) -> Path:
    """Where the snapshots are."""
    (found,) = bench.folder.rglob("state/*")
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_within_5_s_and_a_snapshot(
    kafka_settings: Settings, tmp_path: Path, unique_id: str, number: signal.Signals
) -> None:
    """In the middle of traffic; the next start takes the snapshot and replays nothing."""
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    sender = produce_slowly(bench, in_batches(4_000, 200), 0.1)
    process = bench.start()
    bench.wait_for(lambda: bench.committed_events() > 500)
    asked = time.monotonic()
    process.send_signal(number)
    assert process.wait(20) == 0, (tmp_path / "scorer.log").read_text()
    assert time.monotonic() - asked < 5
    (newest, *_) = snapshots_in(state_folder(bench))
    header, _ = read_snapshot(newest)
    assert sum(header.offsets.values()) == header.sequence == bench.committed_events()
    sender.join()
    summary = score_here(bench)
    assert (summary.replayed, summary.decisions) == (0, 4_000 - header.sequence)
    assert_once(bench)


def test_kills_at_any_moment_change_nothing(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> None:
    """SIGKILL three times in the middle of traffic: every event once, sequences without a gap, the same values."""
    bench = Workbench(kafka_settings, pipeline(shops=True), tmp_path, unique_id)
    sender = produce_slowly(bench, in_batches(6_000, 100), 0.05)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for _ in range(3):
        process, before = bench.start(), bench.committed_events()
        bench.wait_for(lambda before=before: bench.committed_events() > before)
        time.sleep(dice.uniform(0, 0.5))
        assert process.poll() is None, (tmp_path / "scorer.log").read_text()
        kill(process)
    sender.join()
    summary = score_here(bench)
    assert summary.replayed > 0
    assert len(assert_once(bench)) == 6_000


def test_an_empty_topic_is_caught_up_at_once(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> None:
    """No event, no transaction, no error."""
    bench = Workbench(kafka_settings, pipeline(shops=True), tmp_path, unique_id)
    assert score_here(bench).transactions == 0
    assert score_here(bench).transactions == 0


def test_partitions_of_very_different_fill(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> None:
    """Six partitions, of which one holds nearly all and two nothing; order in event time across them all."""
    bench = Workbench(kafka_settings, pipeline(shops=True, partitions=6), tmp_path, unique_id)
    values, keys = events(3_000)
    hot = keys[0]
    rare = next(key for key in keys if key != hot)
    chosen = [rare if i % 500 == 7 else hot for i in range(3_000)]
    bench.produce(bench.pipeline.input.name, values, chosen)
    score_here(bench)
    decisions = assert_once(bench)
    times = [each["event"]["at"] for each in decisions]
    assert times == sorted(times)
    assert len({each["decision"]["input"]["partition"] for each in decisions}) == 2


def test_a_changed_pipeline_is_refused_until_the_state_is_rebuilt(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """The refusal says what changed; --rebuild-state replays the topic under the new definition."""
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    values, keys = events(600)
    bench.produce(bench.pipeline.input.name, values[:400], keys[:400])
    score_here(bench)
    longer = msgspec.structs.replace(FEATURES[0], name="card_count_1d", over="1d")
    bench.change(features=(*FEATURES, longer))
    with pytest.raises(StateError, match=r"1d instead of 1h\. Start") as refused:
        scorer(bench)
    assert "--rebuild-state" in refused.value.advice
    bench.produce(bench.pipeline.input.name, values[400:], keys[400:])
    summary = score_here(bench, rebuild=True)
    assert (summary.replayed, summary.decisions) == (400, 200)
    newest = bench.decisions()[-1]
    card = newest["event"]["card"]
    of_card = sum(each["event"]["card"] == card for each in bench.decisions())
    assert newest["decision"]["features"]["card_count_1d"] == of_card
    assert score_here(bench).replayed == 0


def test_a_damaged_snapshot_is_passed_over(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> None:
    """The older one is taken, and the log replayed from there; with none left, from the beginning."""
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    for batch in in_batches(900, 300):
        bench.produce(bench.pipeline.input.name, *batch)
        score_here(bench)
    newest, older, oldest = snapshots_in(state_folder(bench))
    newest.write_bytes(newest.read_bytes()[:-1])
    assert score_here(bench).replayed == 300
    for path in (older, oldest):
        path.write_bytes(path.read_bytes()[:50] + b"?" + path.read_bytes()[51:])
    assert score_here(bench).replayed == 900
    values, keys = events(300, begin=900)
    bench.produce(bench.pipeline.input.name, values, keys)
    score_here(bench)
    assert len(assert_once(bench)) == 1_200


def test_a_topic_made_anew_is_another_log(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> None:
    """Snapshots of the old topic are not used, and do not push out those of the new one."""
    bench = Workbench(kafka_settings, pipeline(partitions=1), tmp_path, unique_id)
    for batch in in_batches(800, 200):
        bench.produce(bench.pipeline.input.name, *batch)
        score_here(bench)
    bench.admin.delete_topics([bench.pipeline.input.name, bench.scores])
    bench.wait_for(lambda: not {bench.pipeline.input.name, bench.scores} & set(bench.admin.topics()))
    bench.admin.create_topics(dict(bench.pipeline.topics_to_create()))
    values, keys = events(50)
    bench.produce(bench.pipeline.input.name, values, keys)
    assert score_here(bench).decisions == 50
    assert score_here(bench).replayed == 0
    assert len(assert_once(bench)) == 50


def test_events_that_the_log_has_lost_are_told_of_when_the_state_is_rebuilt(
    kafka_settings: Settings, tmp_path: Path, unique_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And only then: with the snapshot nobody needs them."""
    bench = Workbench(kafka_settings, pipeline(partitions=1), tmp_path, unique_id)
    topic = bench.pipeline.input.name
    bench.produce(topic, *events(100))
    score_here(bench)
    admin = AdminClient({"bootstrap.servers": kafka_settings.bootstrap_servers})
    for future in admin.delete_records([TopicPartition(topic, 0, 30)]).values():
        future.result()
    bench.produce(topic, *events(10, begin=100))
    score_here(bench)
    assert not any("no longer in the log" in each for each in caplog.messages)
    score_here(bench, rebuild=True)
    (told,) = [each for each in caplog.messages if "no longer in the log" in each]
    assert told.endswith(f"{topic} 0 begins at offset 30, the state is rebuilt from 0 on")
    bench.produce(topic, *events(10, begin=110))
    score_here(bench)
    sequences = [each["decision"]["sequence"] for each in bench.decisions()]
    assert sequences == list(range(120)), "they go on where they were"


def test_an_error_in_the_middle_of_a_batch_leaves_no_snapshot_of_it(
    kafka_settings: Settings, tmp_path: Path, unique_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state has moved, its positions have not: such a pair must never be kept."""
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    values, keys = events(900)
    bench.produce(bench.pipeline.input.name, values[:300], keys[:300])
    real = Program.decide

    def breaks(self: Program, state: object, batch: object, *rest: object) -> object:
        decided = real(self, state, batch, *rest)  # type: ignore[arg-type]
        if len(batch) and state.sequence > 300:  # type: ignore[arg-type, attr-defined]
            raise MemoryError
        return decided

    with monkeypatch.context() as patched:
        patched.setattr(Program, "decide", breaks)
        loop = scorer(bench)
        sender = threading.Timer(3, bench.produce, (bench.pipeline.input.name, values[300:600], keys[300:600]))
        sender.start()
        with pytest.raises(MemoryError):
            loop.run()
        sender.join()
    bench.produce(bench.pipeline.input.name, values[600:], keys[600:])
    score_here(bench)
    assert len(assert_once(bench)) == 900


def test_a_doubtful_commit_is_looked_up_and_nothing_is_done_twice(
    kafka_settings: Settings, tmp_path: Path, unique_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every third commit raises doubt after it succeeded, every fifth before it began."""
    bench = Workbench(kafka_settings, pipeline(shops=True), tmp_path, unique_id)
    real, count = Committer._commit, 0

    def doubtful(self: Committer, *arguments: object) -> int:
        nonlocal count
        count += 1
        if count % 5 == 0:
            raise TransactionInDoubt("before")
        at_ms = real(self, *arguments)  # type: ignore[arg-type]
        if count % 3 == 0:
            raise TransactionInDoubt("after")
        return at_ms

    monkeypatch.setattr(Committer, "_commit", doubtful)
    loop = scorer(bench)
    sender = produce_slowly(bench, in_batches(3_000, 100), 0.05)
    runner = threading.Thread(target=loop.run)
    runner.start()
    sender.join()
    bench.wait_for(lambda: bench.committed_events() == 3_000)
    loop.stop()
    runner.join(20)
    monkeypatch.undo()
    assert count > 10
    assert loop._totals.aborted >= 3
    assert loop._totals.decisions == 3_000
    assert len(assert_once(bench)) == 3_000


def test_lost_partitions_leave_no_snapshot_without_positions(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """Stopped between losing its partitions and getting them back, it saves nothing that would be counted twice."""
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    values, keys = events(400)
    bench.produce(bench.pipeline.input.name, values[:300], keys[:300])
    loop = scorer(bench)
    loop._producer.open()
    loop._consumer.open()
    with contextlib.closing(loop._consumer):
        bench.wait_for(lambda: loop._step() is None and loop._caught_up() and loop._totals.decisions == 300)
        loop._revoked(loop._consumer.assignment(), True)
        loop._save(wait=True)
    loop._producer.close()
    assert not list(bench.folder.rglob("*.snapshot"))
    bench.produce(bench.pipeline.input.name, values[300:], keys[300:])
    score_here(bench)
    assert len(assert_once(bench)) == 400


def test_offsets_of_markers_and_aborted_records_are_no_events(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """Aborted input is never scored; markers at the end of the input neither block the end nor a restart."""
    from fraudstream.kafka.transactions import TransactionalProducer

    bench = Workbench(kafka_settings, pipeline(partitions=1), tmp_path, unique_id)
    topic = bench.pipeline.input.name
    values, keys = events(300)
    settings = load_settings({"bootstrap_servers": kafka_settings.bootstrap_servers}, environ={}, folder=tmp_path)
    producer = TransactionalProducer(settings, f"{unique_id}-input")
    producer.open()
    skipped, at = [], 0
    for begin in range(0, 300, 100):
        for kept in (True, False):
            producer.begin()
            producer.send(topic, values[begin : begin + 100], keys[begin : begin + 100])
            if kept:
                producer.commit([], None)
                skipped.append(at + 100)
            else:
                producer._producer.flush()
                producer.abort()
                skipped += range(at, at + 101)
            at += 101
        assert score_here(bench).decisions == 100
        assert score_here(bench).decisions == 0
    producer.close()
    for snapshot in bench.folder.rglob("*.snapshot"):
        snapshot.unlink()
    assert score_here(bench).replayed == 300
    assert len(assert_once(bench, [(topic, 0, offset) for offset in skipped])) == 300
