"""`fraudstream doctor` on a real broker: a healthy set-up has no finding, each planted fault its own, with its fix."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from fraudstream.define.decision import ModelRef
from fraudstream.define.pipeline import Format
from fraudstream.define.retention import Retention
from fraudstream.doctor import folders, machine, scorers
from fraudstream.doctor.examine import Examined, examine
from fraudstream.doctor.finding import Check, Finding, Level, Subject, ok
from fraudstream.errors import BrokerUnreachable
from fraudstream.kafka.transactions import TransactionalProducer
from fraudstream.pipelines import find_plan
from fraudstream.settings import Settings, load_settings
from fraudstream.state.snapshot import read_snapshot, write_snapshot
from fraudstream.status.model import state
from fraudstream.store.engine import connect
from fraudstream.store.migrate import upgrade
from fraudstream.tokens.keyfile import make_keys
from runner import small, tiny_model
from runner.workbench import Workbench

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bench(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> Workbench:
    return Workbench(kafka_settings, small.pipeline(), tmp_path, unique_id)


def subject(bench: Workbench, **environ: str) -> Subject:
    """What is examined; other settings by the environment's names."""
    settings = load_settings(
        {"bootstrap_servers": bench.settings.bootstrap_servers}, environ=environ, folder=bench.folder
    )
    plan = find_plan(bench.file)
    return Subject(settings, plan, f"fraudstream-{plan.pipeline.name}", bench.folder)


def wrong(examined: list[Examined]) -> list[Examined]:
    return [each for each in examined if each.level in (Level.WARNING, Level.ERROR)]


def only(examined: list[Examined], check: str, level: Level) -> Examined:
    """The one thing that is wrong; it is this check's."""
    found = wrong(examined)
    assert [(each.check, each.level) for each in found] == [(check, level)], found
    assert found[0].advice
    return found[0]


def test_a_healthy_set_up_has_no_finding(bench: Workbench, command: Command) -> None:
    values, keys = small.events(300)
    bench.produce(bench.pipeline.input.name, values, keys)
    small.score_here(bench)
    upgrade(connect(subject(bench).settings))
    done = command("doctor", str(bench.file), "-b", bench.settings.bootstrap_servers, "--json")
    assert done.returncode == 0, done.stdout
    found = [Examined(**each) for each in json.loads(done.stdout)["findings"]]
    assert wrong(found) == []
    assert all(each.found.endswith(".") and not each.advice for each in found)
    shown = command("doctor", "-b", bench.settings.bootstrap_servers)
    assert (shown.returncode, shown.stdout.splitlines()[-1]) == (0, "0 errors, 0 warnings")
    assert "scorers" not in shown.stdout


def anew(bench: Workbench, topic: str, partitions: int, **config: str) -> None:
    """Makes a topic again, kept otherwise."""
    bench.admin.delete_topics([topic])
    bench.wait_for(lambda: topic not in bench.admin.topics())
    bench.admin.create_topics({topic: partitions}, {name.replace("_", "."): value for name, value in config.items()})


def test_topics_that_are_missing_or_of_another_shape_are_named(bench: Workbench) -> None:
    bench.admin.delete_topics([bench.scores])
    bench.wait_for(lambda: bench.scores not in bench.admin.topics())
    bench.change(input=msgspec.structs.replace(bench.pipeline.input, partitions=5))
    missing, shape = wrong(examine(subject(bench)))
    assert (missing.check, missing.level) == ("topics", Level.ERROR)
    assert bench.scores in missing.found
    assert missing.advice == f"Run `fraudstream topics create {bench.pipeline.name}`."
    assert (shape.check, shape.level) == ("topics", Level.WARNING)
    assert "has 3 partitions, and the pipeline declares 5" in shape.found


def test_topics_that_are_kept_wrongly_are_found_with_the_setting_that_is_right(bench: Workbench) -> None:
    pipeline = bench.pipeline
    anew(bench, pipeline.control.name, 1)
    anew(bench, pipeline.input.name, 3, retention_ms="60000")
    anew(bench, bench.scores, 6, max_message_bytes="50000", cleanup_policy="compact")
    anew(bench, pipeline.dead_letters.name, 1, min_insync_replicas="2")
    bench.change(retention=Retention(topics=((pipeline.dead_letters.name, "30d"),)))
    found = wrong(examine(subject(bench)))
    assert {each.check for each in found} == {"topic settings"}
    said = "\n".join(f"{each.level} {each.found} {each.advice}" for each in found)
    assert f"error {pipeline.control.name} is not compacted" in said
    assert "keeps records for 1m, and features look back 1h" in said
    assert "Set retention.ms=3600000 or more" in said
    assert f"error {bench.scores} is compacted" in said
    assert f"{bench.scores} takes records of 50,000 bytes; a decision on the largest event may have 81,920" in said
    assert f"error {pipeline.dead_letters.name} has 1 copies and takes records only where 2 are in sync" in said
    assert f"{pipeline.dead_letters.name} keeps records for ever, and the pipeline's `retention` says 30d" in said
    assert f"Run `fraudstream topics retain {pipeline.name}`" in said
    assert len(found) == 6


def test_records_that_wait_and_records_that_were_deleted_unread_are_told(bench: Workbench, broker: str) -> None:
    values, keys = small.events(60)
    topic = bench.pipeline.input.name
    bench.produce(topic, values, keys)
    found = only(examine(subject(bench)), "scorers", Level.WARNING)
    assert "About 60 records wait" in found.found
    small.score_here(bench)
    bench.produce(topic, values, keys)
    ends = bench.admin.end_offsets([topic])
    admin = AdminClient({"bootstrap.servers": broker})
    for done in admin.delete_records([TopicPartition(*place, end) for place, end in ends.items()]).values():
        done.result(10)
    found = only(examine(subject(bench)), "scorers", Level.ERROR)
    assert found.found.startswith("60 records")


def written(bench: Workbench) -> int:
    """The offsets that decisions take; none while the new topic's partitions look for their leaders."""
    try:
        return sum(bench.admin.end_offsets([bench.scores]).values())
    except BrokerUnreachable:
        return 0


def test_a_transaction_that_nobody_ends_is_found(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    producer = TransactionalProducer(bench.settings, f"{bench.pipeline.name}-left", transaction_timeout_ms=60_000)
    producer.open()
    producer.begin()
    producer.send(bench.scores, [b"{}"], partition=0)
    bench.wait_for(lambda: written(bench) == 1)
    assert wrong(examine(subject(bench))) == []
    monkeypatch.setattr(scorers, "_HANGING_MS", 0)
    found = only(examine(subject(bench)), "open transactions", Level.ERROR)
    assert f"{bench.scores}, partition 0, is open since offset 0" in found.found
    producer.close()


def test_a_record_from_the_future_says_that_a_clock_is_wrong(bench: Workbench, broker: str) -> None:
    producer = Producer({"bootstrap.servers": broker})
    producer.produce(bench.scores, b"{}", timestamp=time.time_ns() // 1_000_000 + 60_000)
    producer.flush(10)
    assert "s ahead of this machine" in only(examine(subject(bench)), "clock", Level.WARNING).found


def test_a_model_that_is_missing_or_broken_is_told(bench: Workbench) -> None:
    bench.change(model=ModelRef(features=tiny_model.FEATURES))
    bench.admin.create_topics({bench.pipeline.shadow.name: 1})
    bench.wait_for(lambda: bench.pipeline.shadow.name in bench.admin.topics())
    assert "no version" in only(examine(subject(bench)), "model", Level.WARNING).found
    tiny_model.add(bench, 0.001)
    tiny_model.add(bench, 0.002)
    assert wrong(examine(subject(bench))) == []
    champion = tiny_model.registry_of(bench).roles().champion
    onnx = bench.folder / "models" / bench.pipeline.name / str(champion) / "model.onnx"
    onnx.write_bytes(onnx.read_bytes()[:-1] + b"x")
    assert "The champion cannot serve." in only(examine(subject(bench)), "model", Level.ERROR).found


def test_a_store_without_its_tables_and_one_that_is_away_are_told(bench: Workbench) -> None:
    with connect(subject(bench).settings).begin():
        pass  # the file is there now, without tables
    assert "`fraudstream store upgrade`" in only(examine(subject(bench)), "store", Level.ERROR).advice
    away = examine(subject(bench, FRAUDSTREAM_STORE_URL="postgresql://u:hidden@127.0.0.1:1/x"))
    assert {each.check for each in wrong(away)} == {"store", "notifications"}
    assert "hidden" not in str(away)


def test_a_pipeline_whose_name_begins_the_same_is_another(bench: Workbench) -> None:
    """Scorers of `payments` and `payments-eu` keep their snapshots side by side."""
    bench.produce(bench.pipeline.input.name, *small.events(60))
    small.score_here(bench)
    (path,) = (bench.folder / ".fraudstream" / "state").glob("*/*.snapshot")
    header, arrays = read_snapshot(path)
    other = msgspec.structs.replace(header, pipeline=f"{bench.pipeline.name}-eu", identity="another")
    write_snapshot(path.parent.with_name(f"fraudstream-{bench.pipeline.name}-eu-0"), other, arrays)
    assert wrong(examine(subject(bench))) == []
    own = state(subject(bench).settings, find_plan(bench.file), f"fraudstream-{bench.pipeline.name}")
    assert list(own.figures["snapshots"]) == [path.parent.name]


def test_a_snapshot_that_is_damaged_or_of_another_definition_is_told(bench: Workbench) -> None:
    values, keys = small.events(60)
    bench.produce(bench.pipeline.input.name, values, keys)
    small.score_here(bench)
    (path,) = (bench.folder / ".fraudstream" / "state").glob("*/*.snapshot")
    now = time.time()
    os.utime(path, (now, now - 2 * 86_400))
    assert "48.0 h old" in only(examine(subject(bench)), "snapshots", Level.WARNING).found
    longer = msgspec.structs.replace(small.FEATURES[0], over="2h")
    bench.change(features=(longer, small.FEATURES[1]))
    assert "--rebuild-state" in only(examine(subject(bench)), "snapshots", Level.ERROR).advice
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert "checksum" in only(examine(subject(bench)), "snapshots", Level.WARNING).found


def test_what_is_wrong_with_files_is_told(bench: Workbench) -> None:
    """Secrets that others can read, folders that cannot be written, channels and sinks that are not understood."""
    key = bench.folder / "model.key"
    key.write_text("k" * 40)
    key.chmod(0o644)
    (bench.folder / "file").write_text("")
    (bench.folder / "notify.yaml").write_text("channels: {desk: {knid: x}}\n")
    (bench.folder / "sinks.yaml").write_text("sinks: {siem: {kind: none}}\n")
    found = wrong(
        examine(
            subject(
                bench,
                FRAUDSTREAM_MODEL_KEY_FILE="model.key",
                FRAUDSTREAM_LAKE_URL=str(bench.folder / "file" / "lake"),
                FRAUDSTREAM_PROJECT_FOLDER="file/project",
            )
        )
    )
    assert {each.check: each.level for each in found} == dict.fromkeys(
        ("lake", "channels", "sinks", "secrets", "disk"), Level.ERROR
    )
    said = {each.check: f"{each.found} {each.advice}" for each in found}
    assert "holds model_key (its mode is 0644)" in said["secrets"]
    assert f"chmod 600 {key}" in said["secrets"]
    assert f"{bench.folder / 'file'} is not a folder" in said["disk"]
    assert "fraudstream notify check" in said["channels"]
    assert "fraudstream sink check" in said["sinks"]


def test_a_disk_that_fills_up_is_told_before_it_is_full(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_LITTLE_ROOM_BYTES", 1 << 60)
    assert "GiB are free" in only(examine(subject(bench)), "disk", Level.WARNING).found
    monkeypatch.setattr(folders, "_NO_ROOM_BYTES", 1 << 60)
    assert "Make room" in only(examine(subject(bench)), "disk", Level.ERROR).advice


def test_libraries_older_than_declared_are_named(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "requires", lambda _: ["polars>=999.1", 'gone>=2; extra == "x"', "rich>=14"])
    found = only(examine(subject(bench)), "versions", Level.ERROR)
    assert "(needs 999.1)" in found.found
    assert found.advice == "Run `pip install --upgrade polars`."


def test_a_dead_broker_costs_seconds_and_the_rest_is_looked_at(command: Command) -> None:
    began = time.monotonic()
    done = command("doctor", "retail", "-b", "127.0.0.1:1")
    assert time.monotonic() - began < 10
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("ERROR")
    assert "No Kafka broker answered at 127.0.0.1:1" in lines[0]
    assert "fraudstream kafka start" in lines[1]
    assert sum("Not looked at: Kafka does not answer." in line for line in lines) == 8
    assert any("retail" in line and "degraded" in line for line in lines)


def test_a_check_that_fails_or_hangs_is_a_finding_and_holds_up_nothing(bench: Workbench) -> None:
    ending = threading.Event()

    def crashes(_: Subject) -> Iterator[Finding]:
        yield ok("first")
        raise ZeroDivisionError("nobody meant this")

    def hangs(_: Subject) -> Iterator[Finding]:
        ending.wait()
        yield ok("late")

    checks = [Check("crashes", crashes), Check("hangs", hangs), Check("works", lambda _: [ok("well")])]
    found = {each.check: each for each in examine(subject(bench), checks, limit_s=0.2)}
    assert "ZeroDivisionError: nobody meant this" in found["crashes"].found
    assert found["hangs"].found == "No answer within 0.2 s."
    assert found["works"].level is Level.OK
    ending.set()


def test_a_pipeline_with_problems_does_not_keep_the_surroundings_from_being_looked_at(
    bench: Workbench, command: Command
) -> None:
    bench.file.write_text(bench.file.read_text().replace("amount >= 900", "amonut >= 900"))
    done = command("doctor", str(bench.file), "-b", bench.settings.bootstrap_servers)
    assert done.returncode == 1
    assert f"Run `fraudstream check {bench.file}`." in done.stdout
    assert done.stdout.splitlines()[-1] == "1 error, 0 warnings"


def test_two_scorers_where_one_has_to_own_all_partitions_are_told(bench: Workbench, broker: str) -> None:
    bench.change(features=(*small.FEATURES, small.SHOP_FEATURES[0]))
    group = f"fraudstream-{bench.pipeline.name}"
    both = [Consumer({"bootstrap.servers": broker, "group.id": group, "client.id": name}) for name in ("one", "two")]
    for each in both:
        each.subscribe([bench.pipeline.input.name])
    bench.wait_for(lambda: not any(each.poll(0.05) for each in both) and all(each.assignment() for each in both))
    found = only(examine(subject(bench)), "scorers", Level.ERROR)
    assert f"2 scorers share the group {group}" in found.found
    assert "shop_count" in found.found
    for each in both:
        each.close()


def test_a_registry_that_is_missing_or_away_is_told(bench: Workbench) -> None:
    away = {"FRAUDSTREAM_SCHEMA_REGISTRY_URL": "http://127.0.0.1:1"}
    found = only(examine(subject(bench, **away)), "schema registry", Level.ERROR)
    assert "The schema registry at http://127.0.0.1:1 did not give" in found.found
    bench.change(input=msgspec.structs.replace(bench.pipeline.input, format=Format.AVRO))
    assert "Set schema_registry_url" in only(examine(subject(bench)), "schema registry", Level.ERROR).advice


def test_token_keys_that_are_missing_or_no_keys_are_told(bench: Workbench) -> None:
    fields = (*small.EVENT.fields[:3], msgspec.structs.replace(small.EVENT.fields[3], sensitive=True))
    event = msgspec.structs.replace(small.EVENT, fields=(*fields, *small.EVENT.fields[4:]))
    bench.change(event=event)
    assert wrong(examine(subject(bench))) == []
    keys = bench.folder / "keys.toml"
    keys.write_text("[keys]\n")
    keys.chmod(0o600)
    named = {"FRAUDSTREAM_TOKEN_KEYS_FILE": "keys.toml"}
    assert str(keys) in only(examine(subject(bench, **named)), "token keys", Level.ERROR).found
    keys.unlink()
    make_keys(keys)
    assert wrong(examine(subject(bench, **named))) == []
    assert not (bench.folder / ".fraudstream" / "token-keys.toml").exists()
