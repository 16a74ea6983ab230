"""What is in the store is what is on the topics, whoever is killed when."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions
from sqlalchemy import func, select

from fraudstream.define.pipeline import Form, Route, Selection
from fraudstream.errors import FencedError, TopicError
from fraudstream.kafka.tail import Record
from fraudstream.pipelines import find_plan
from fraudstream.settings import Settings, load_settings
from fraudstream.sinks.loop import Pace, Progress, SinkLoop
from fraudstream.sinks.store import StoreTarget, record_versions
from fraudstream.store.engine import Store
from fraudstream.store.migrate import open_store
from fraudstream.store.tables import alerts, audit, dead_letters, decisions, labels, sink_offsets, versions
from fraudstream.tokens.keys import TokenKeys
from runner.small import event, events, label, pipeline, score_here
from runner.workbench import Workbench, kill

from .keeping import decided, made, rows, target_of

if TYPE_CHECKING:
    from postgres import PostgresServer

pytestmark = pytest.mark.kafka

PACE = Pace(records=500, wait_s=0.1)


def sink(bench: Workbench, store: Store, *, skip_missing: bool = False) -> SinkLoop:
    """A sink of the workbench's pipeline in this process."""
    target = StoreTarget(store, find_plan(bench.file))
    return SinkLoop(bench.settings, target.topics, target, PACE, skip_missing=skip_missing)


def caught_up(bench: Workbench, store: Store, *, skip_missing: bool = False) -> Progress:
    """Runs a sink until everything there is has been written."""
    return sink(bench, store, skip_missing=skip_missing).run(until_caught_up=True)


def said(bench: Workbench, topic: str) -> list[dict[str, Any]]:
    """Every record of a topic that is JSON."""
    return [json.loads(message.value()) for message in bench.read(topic) if message.value().startswith(b"{")]


def test_rows_are_what_the_topics_say(
    kafka_settings: Settings, store_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """Every decision, alert, label and dead letter, value by value, on both databases."""
    bench = Workbench(kafka_settings, pipeline(shops=True), tmp_path, unique_id)
    assert bench.pipeline.labels is not None
    values, keys = events(400)
    odd = event(400, card="tab\there", shop="back\\slash\nand line")
    nul = event(401)[:-1] + b', "note": "nul \\u0000, not \\\\u0000"}'
    bench.produce(bench.pipeline.input.name, [*values, odd, nul, b"not json"], [*keys, b"tab\there", b"c0", b"c0"])
    bench.produce(bench.pipeline.labels.name, [label(3, True, 2**52), label(4, False, 1), b"{}"])
    score_here(bench)
    bench.produce(bench.scores, [b"no scorer wrote this"])
    store = made(store_settings)
    progress = caught_up(bench, store)

    found = rows(store, decisions, decisions.c.sequence)
    expected = sorted(said(bench, bench.scores), key=lambda each: each["decision"]["sequence"])
    assert len(found) == len(expected) == 402
    for row, record in zip(found, expected, strict=True):
        decision, fields = record["decision"], record["event"]
        decision |= {f"input_{name}": value for name, value in decision.pop("input").items()}
        decision.setdefault("explanation", None)  # only what is flagged has one
        if "note" in fields:
            fields["note"] = "nul \ufffd, not \\u0000"
        decision |= {"pipeline": unique_id, "key": fields["card"], "amount": fields["amount"], "event": fields}
        assert row == decision
    flagged = said(bench, bench.pipeline.routes[1].topic)
    assert len(flagged) > 10
    shown = ("score", "risk_level", "reasons", "rules", "explanation", "features", "versions")
    assert {row["event_id"]: {name: row[name] for name in (*shown, "amount")} for row in rows(store, alerts)} == {
        each["transaction_id"]: {name: each[name] for name in (*shown, "amount")} for each in flagged
    }
    found = rows(store, labels, labels.c.offset)
    assert [(row["event_id"], row["label"]) for row in found] == [("e3", "fraud"), ("e4", "legitimate")]
    letters = rows(store, dead_letters)
    assert sorted(row["class"] for row in letters) == ["not_json", "unreadable", "wrong_type"]
    assert progress.records == 402 + len(flagged) + 3 + 2 + 1
    assert caught_up(bench, store).records == 0


def test_flat_records_in_two_parts_and_sensitive_values(
    kafka_settings: Settings, store_settings: Settings, tmp_path: Path, unique_id: str, token_keys: TokenKeys
) -> None:
    """Outcomes on routes of their own; a sensitive value is a token in every column; event time is Kafka's."""
    plain = pipeline()
    fields = tuple(
        msgspec.structs.replace(
            field, sensitive=field.name == "card", path="who.card" if field.name == "card" else None
        )
        for field in plain.event.fields
    )
    routes = (
        Route(topic="legit", carries=Selection.APPROVED, form=Form.FLAT),
        Route(topic="fraud", carries=Selection.FLAGGED, form=Form.FLAT),
    )
    event_ = msgspec.structs.replace(plain.event, fields=fields, time=None)
    changed = msgspec.structs.replace(plain, event=event_, routes=routes, features=())
    bench = Workbench(kafka_settings, changed, tmp_path, unique_id)
    amounts = {"a": "1.50", "b": "85.64999999999999", "c": '"950.00"'}
    at = 1_767_225_600_000
    bench.produce(
        bench.pipeline.input.name,
        [
            f'{{"id":"{name}","at":{at},"shop":"s","amount":{amount},"who":{{"card":"4000001234567899"}}}}'.encode()
            for name, amount in amounts.items()
        ],
    )
    score_here(bench)
    store = made(store_settings)
    caught_up(bench, store)
    found = rows(store, decisions, decisions.c.event_id)
    assert [(row["event_id"], row["amount"], row["outcome"]) for row in found] == [
        ("a", 1.5, "approve"),
        ("b", 85.65, "approve"),
        ("c", 950, "block"),
    ]
    token = token_keys.token(b"4000001234567899")
    assert all(row["event"]["who"] == {"card": token} and row["key"] == token for row in found)
    assert "4000001234567899" not in str(found)
    assert all(0 <= row["decided_at"] - row["event_at"] < 600_000 for row in found)


def test_dashboards_find_their_schema(
    kafka_settings: Settings,
    postgres_settings: Callable[..., Settings],
    tmp_path: Path,
    unique_id: str,
    token_keys: TokenKeys,
) -> None:
    """`shop.transactions` and `shop.fraud_transactions` of the shipped retail pipeline."""
    bench = Workbench(kafka_settings, find_plan("retail").pipeline, tmp_path, unique_id)
    name = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org"}
    bought = [
        {
            "transaction_id": f"t{n}", "user_id": "u1", "timestamp": f"2026-01-01T0{n}:00:00Z", "location": "London",
            "transaction_location": "Lagos" if n > 1 else "London", "amount": 100.5 + 1_000 * (n > 1),
            "device": "phone", **name,
        }
        for n in range(4)
    ]  # fmt: skip
    bench.produce(bench.pipeline.input.name, [json.dumps(each).encode() for each in bought])
    score_here(bench)
    store = made(postgres_settings())
    caught_up(bench, store)
    with store.begin(read_only=True) as connection:
        columns = 'transaction_id, user_id, amount, "timestamp", transaction_location, device, is_fraud'
        found = connection.exec_driver_sql(f"SELECT {columns} FROM shop.transactions ORDER BY 1").all()
        assert [tuple(row) for row in found] == [
            (each["transaction_id"], "u1", Decimal(str(each["amount"])), datetime.fromisoformat(each["timestamp"]),
             each["transaction_location"], "phone", each["amount"] > 1_000)
            for each in bought
        ]  # fmt: skip
        flagged = connection.exec_driver_sql(
            "SELECT transaction_id, event ->> 'email' FROM shop.fraud_transactions WHERE flagged_at > '2026-01-01'"
        ).all()
        assert sorted(map(tuple, flagged)) == [(name, token_keys.token(b"ada@example.org")) for name in ("t2", "t3")]


def test_kills_of_sink_and_server_leave_each_record_once(
    kafka_settings: Settings,
    postgres: PostgresServer,
    postgres_settings: Callable[..., Settings],
    tmp_path: Path,
    unique_id: str,
) -> None:
    """The sink is killed at random moments while it writes, and so is the server, which comes back; rows span days."""
    settings = postgres_settings()
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    store = made(settings)
    count = 60_000
    bench.produce(bench.scores, decided(count, bench.pipeline.input.name))
    assert settings.store_url is not None
    url, log = settings.store_url.reveal(), (tmp_path / "sink.log").open("a")
    dice = random.Random(5)

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "fraudstream", "sink", "store", str(bench.file)]
        environ = {"FRAUDSTREAM_STORE_URL": url, "PYTHONPATH": ":".join(sys.path)}
        return subprocess.Popen(
            [*command, "-b", bench.settings.bootstrap_servers], cwd=tmp_path, env=environ, stderr=log, text=True
        )

    def read() -> int:
        with store.begin(read_only=True) as connection:
            return connection.execute(select(func.coalesce(func.sum(sink_offsets.c.next_offset), 0))).scalar_one()

    process = start()
    for what in ("sink", "server", "sink", "server", "sink"):
        before = read()
        bench.wait_for(lambda before=before: read() > before or read() >= count)
        time.sleep(dice.random() / 4)
        if what == "sink":
            kill(process)
            process = start()
        else:
            postgres.kill()
            postgres.start()
    bench.wait_for(lambda: read() >= count)
    kill(process)
    assert caught_up(bench, store).records == 0
    c = decisions.c
    with store.begin(read_only=True) as connection:
        places = select(c.input_partition, c.input_offset, c.event_id)
        found = sorted(tuple(row) for row in connection.execute(places))
    assert found == sorted((n % 3, n // 3, f"e{n}") for n in range(count))
    assert "Trying again" in (tmp_path / "sink.log").read_text()


def _records(values: list[bytes | None]) -> list[Record]:
    return [Record("fraud-scores", 0, offset, 0, b"c0", value) for offset, value in enumerate(values)]


def test_of_two_sinks_at_once_one_is_refused(store_settings: Settings, pipeline_file: Path) -> None:
    """Both begin at the same offsets; the second to write is told, and writes nothing; so is one further on."""
    store = made(store_settings)
    first, second = target_of(pipeline_file, store), target_of(pipeline_file, store)
    records = _records(list(decided(20, "events")))
    first.write(records[:10])
    with pytest.raises(FencedError, match="One at a time"):
        second.write(records[:5])
    second.positions()
    first.write(records[10:])
    with pytest.raises(FencedError):
        second.write(records[10:])
    assert len(rows(store, decisions)) == 20


def test_what_nobody_meant_for_the_store_is_a_dead_letter_there(store_settings: Settings, pipeline_file: Path) -> None:
    """Records on the topic of decisions that would be more than a column can hold, or no record at all."""
    store = made(store_settings)
    good = decided(1, "events")[0]
    odd = [
        None, b"", b"\xff", b"[]", b"[" * 100_000, b"{}", good[:-1], good.replace(b'"sequence": 0', b'"sequence": -1'),
        good.replace(b'"offset": 0', b'"offset": 9223372036854775808'), good.replace(b'"score": 0.1', b'"score": "1"'),
        good.replace(b'"e0"', b'"\\ud800"'), good.replace(b'"decided_at": 1767225600000', b'"decided_at": 1e99'),
        good.replace(b'"approve"', b'"maybe"'),
    ]  # fmt: skip
    target_of(pipeline_file, store).write(_records([*odd, good, good.replace(b'"events"', b'"of another pipeline"')]))
    letters = rows(store, dead_letters, dead_letters.c.offset)
    assert [(row["offset"], row["class"]) for row in letters] == [(n, "unreadable") for n in range(len(odd))]
    assert len(rows(store, decisions)) == 1


def test_characters_that_postgresql_cannot_hold_are_replaced(store_settings: Settings, pipeline_file: Path) -> None:
    store = made(store_settings)
    value = decided(1, "events")[0].replace(b'"event_id": "e0"', b'"event_id": "a\\u0000\\tb\\\\N"')
    target_of(pipeline_file, store).write(_records([value]))
    (row,) = rows(store, decisions)
    assert row["event_id"].replace("\0", "\ufffd") == "a\ufffd\tb\\N"


def test_records_deleted_before_they_were_read_are_not_passed_over_silently(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """As when the topic was made anew: what was read is more than there is."""
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    store = open_store(load_settings(environ={}, folder=tmp_path))
    row = {"sink": f"store-{unique_id}", "topic": bench.scores, "partition": 0, "next_offset": 7}
    with store.begin() as connection:
        connection.execute(sink_offsets.insert().values(row))
    bench.produce(bench.scores, decided(50, bench.pipeline.input.name))
    ends = bench.admin.end_offsets([bench.scores])
    with store.begin() as connection:
        connection.execute(sink_offsets.update().values(next_offset=ends[bench.scores, 0] + 1))
    with pytest.raises(TopicError, match=r"has been read up to \d+\. .* give --skip-missing once"):
        caught_up(bench, store)
    caught_up(bench, store, skip_missing=True)
    assert len(rows(store, decisions)) == 50


def test_what_stands_behind_the_versions_is_kept_once(pipeline_file: Path, tmp_path: Path) -> None:
    store = open_store(load_settings(environ={}, folder=tmp_path))
    plan = find_plan(pipeline_file)
    assert record_versions(store, plan) == ["lists", "pipeline", "rules"]
    assert record_versions(store, plan) == []
    kept = {row["kind"]: row for row in rows(store, versions)}
    (tmp_path / "kept.yaml").write_text(kept["pipeline"]["content"])
    assert str(find_plan(tmp_path / "kept.yaml").versions.pipeline) == kept["pipeline"]["version"]
    assert [row["action"] for row in rows(store, audit, audit.c.sequence)] == ["store upgraded", "versions recorded"]


def test_partitions_added_while_it_runs_are_read(
    kafka_settings: Settings, tmp_path: Path, unique_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fraudstream.sinks.loop._LOOK_S", 0.2)
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    store = open_store(load_settings(environ={}, folder=tmp_path))
    loop = sink(bench, store)
    running = threading.Thread(target=loop.run)
    running.start()
    try:
        admin = AdminClient({"bootstrap.servers": bench.settings.bootstrap_servers})
        count = len(bench.admin.partitions_of([bench.scores]))
        admin.create_partitions([NewPartitions(bench.scores, count + 2)])[bench.scores].result()
        producer = Producer({"bootstrap.servers": bench.settings.bootstrap_servers})
        bench.wait_for(lambda: len(producer.list_topics(bench.scores).topics[bench.scores].partitions) == count + 2)
        for number, value in enumerate(decided(20, bench.pipeline.input.name)):
            producer.produce(bench.scores, value, partition=count + number % 2)
        producer.flush()
        bench.wait_for(lambda: len(rows(store, decisions)) == 20)
    finally:
        loop.stop()
        running.join()
