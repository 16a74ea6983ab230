"""What is in the lake is what is on the topics, whoever is killed when; on disk and on a server that speaks S3."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars
import pytest
from deltalake import DeltaTable

from fraudstream.errors import FencedError, LakeError, LakeUnreachable
from fraudstream.kafka.tail import Record
from fraudstream.pipelines import find_plan
from fraudstream.settings import Settings, load_settings
from fraudstream.sinks.lake import LakeTarget
from fraudstream.sinks.loop import Pace, SinkLoop
from runner.small import START_MS, events, pipeline, score_here
from runner.workbench import Workbench, kill

pytestmark = pytest.mark.kafka

CHILD = """
import sys
from pathlib import Path
from fraudstream.pipelines import find_plan
from fraudstream.settings import load_settings
from fraudstream.sinks.lake import LakeTarget
from fraudstream.sinks.loop import Pace, SinkLoop
settings = load_settings({"bootstrap_servers": sys.argv[2]})
target = LakeTarget(settings, find_plan(Path(sys.argv[1])))
SinkLoop(settings, target.topics, target, Pace(100, 0.05)).run()
"""


def lake_settings(bench: Workbench, **flags: str) -> Settings:
    """Settings with the lake in the workbench's folder."""
    return load_settings(
        {"bootstrap_servers": bench.settings.bootstrap_servers, **flags}, environ={}, folder=bench.folder
    )


def caught_up(bench: Workbench, **flags: str) -> LakeTarget:
    """Runs a sink until all that is there is in the lake."""
    settings = lake_settings(bench, **flags)
    target = LakeTarget(settings, find_plan(bench.file))
    SinkLoop(settings, target.topics, target, Pace(300, 0.1)).run(until_caught_up=True)
    return target


def read(target: LakeTarget, name: str, what: str) -> list[tuple[Any, ...]]:
    """A query of DuckDB over a table's files; `rows` stands for them."""
    uris = DeltaTable(target.tables[name].uri).file_uris()
    return duckdb.sql(f"WITH rows AS (SELECT * FROM read_parquet({uris!r})) {what}").fetchall()


def assert_equal_to_the_topics(bench: Workbench, target: LakeTarget) -> None:
    """Each event and each decision once, value by value."""
    sent = {(m.partition(), m.offset()): m.value() for m in bench.read(bench.pipeline.input.name)}
    kept = read(target, "events", 'SELECT partition, "offset", event FROM rows')
    assert len(kept) == len(sent)
    assert {(partition, offset): event for partition, offset, event in kept} == {
        place: value.decode() if value.startswith(b"{") else None for place, value in sent.items()
    }
    expected = {
        (d["input"]["partition"], d["input"]["offset"]): (d["sequence"], d["outcome"], d["decided_at"], d["features"])
        for d in (each["decision"] for each in bench.decisions())
    }
    columns = "input_partition, input_offset, sequence, outcome, epoch_ms(decided_at), features"
    found = read(target, "decisions", f"SELECT {columns} FROM rows")
    assert len(found) == len(expected) > 0
    assert {row[:2]: (*row[2:5], json.loads(row[5])) for row in found} == expected
    suspicious = {place for place, decision in expected.items() if decision[1] != "approve"}
    assert sorted(read(target, "suspicious", "SELECT input_partition, input_offset FROM rows")) == sorted(suspicious)


def test_kills_leave_each_record_once(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> None:
    """Killed at random moments between and within commits of the three tables; DuckDB reads what is there."""
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    values, keys = events(4_000)
    bench.produce(bench.pipeline.input.name, [*values, b"not json"], [*keys, b"c0"])
    score_here(bench)
    dice = random.Random(3)
    log = tmp_path / ".fraudstream" / "lake" / unique_id / "decisions" / "_delta_log"
    for _ in range(4):
        command = [sys.executable, "-c", CHILD, str(bench.file), bench.settings.bootstrap_servers]
        process = subprocess.Popen(command, cwd=tmp_path, env={"PYTHONPATH": ":".join(sys.path)}, text=True)
        enough = len(list(log.glob("*.json"))) + 2
        bench.wait_for(lambda enough=enough: len(list(log.glob("*.json"))) >= enough)
        time.sleep(dice.random() / 4)
        kill(process)
    target = caught_up(bench)
    assert 0 < target.rows["decisions"] < 4_000
    assert_equal_to_the_topics(bench, target)
    assert DeltaTable(target.tables["decisions"].uri).protocol().min_reader_version == 1  # what every reader knows


def test_small_files_are_joined(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> None:
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    bench.produce(bench.pipeline.input.name, *events(1_500))
    score_here(bench)
    target = caught_up(bench)
    table = target.tables["events"].uri
    assert len(DeltaTable(table).file_uris()) > 1
    target.tidy()
    assert len(DeltaTable(table).file_uris()) == 1
    assert_equal_to_the_topics(bench, target)


def _decided(number: int, outcome: str, at_ms: int) -> Record:
    decision = {
        "event_id": f"e{number}", "input": {"topic": "events", "partition": 0, "offset": number}, "sequence": number,
        "outcome": outcome, "score": 0.5, "model_score": None, "risk_level": "LOW", "threshold": 0.6, "reasons": [],
        "rules": [], "features": {}, "versions": {}, "flags": [], "duplicate_of": None, "event_at": START_MS,
        "decided_at": at_ms,
    }  # fmt: skip
    value = json.dumps({"event": {"id": f"e{number}", "amount": 1.5}, "decision": decision}).encode()
    return Record("fraud-scores", 0, number, at_ms, b"c0", value)


def _opened(settings: Settings, file: Path) -> LakeTarget:
    target = LakeTarget(settings, find_plan(file))
    for table in target.tables.values():
        table.open([("fraud-scores", 0)])
    return target


def test_suspicious_decisions_outlive_the_others(tmp_path: Path, pipeline_file: Path) -> None:
    """Each table deletes by its own retention."""
    settings = load_settings(environ={}, folder=tmp_path)
    with pipeline_file.open("a") as file:
        file.write("retention: {decisions: 30d, events: 30d, suspicious: 2500d}\n")
    target = _opened(settings, pipeline_file)
    now_ms = time.time_ns() // 1_000_000
    long_ago_ms = now_ms - 90 * 86_400_000
    ages = {0: ("approve", long_ago_ms), 1: ("block", long_ago_ms), 2: ("approve", now_ms), 3: ("review", now_ms)}
    target.write([_decided(number, *age) for number, age in ages.items()])
    target.tidy()
    assert read(target, "decisions", "SELECT input_offset FROM rows ORDER BY 1") == [(2,), (3,)]
    assert read(target, "suspicious", "SELECT input_offset FROM rows ORDER BY 1") == [(1,), (3,)]


def test_of_two_sinks_at_once_one_is_refused(tmp_path: Path, pipeline_file: Path) -> None:
    """Even where both have opened the tables before either wrote; and what only one table has is completed."""
    settings = load_settings(environ={}, folder=tmp_path)
    first, second = _opened(settings, pipeline_file), _opened(settings, pipeline_file)
    records = [_decided(number, "block", START_MS) for number in range(10)]
    first.write(records[:6])
    with pytest.raises(FencedError, match="One at a time"):
        second.write(records)
    alone = _opened(settings, pipeline_file)
    alone.tables["decisions"].append([], {("fraud-scores", 0): 8})  # as if killed before the other table's commit
    _opened(settings, pipeline_file).write(records)
    assert read(first, "suspicious", "SELECT input_offset FROM rows ORDER BY 1") == [(n,) for n in range(10)]
    assert read(first, "decisions", "SELECT input_offset FROM rows ORDER BY 1") == [(n,) for n in (*range(6), 8, 9)]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket on a server that speaks S3, known to this process by the usual variables."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    variables = {
        "AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    urllib.request.urlopen(urllib.request.Request(f"{address}/lake", method="PUT")).close()
    yield "s3://lake/fraud"
    server.stop()


def test_a_lake_on_s3_holds_each_record_once(
    kafka_settings: Settings, tmp_path: Path, unique_id: str, bucket: str
) -> None:
    """Written in two runs, with the second sink refused in between; read back through S3."""
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    values, keys = events(600)
    bench.produce(bench.pipeline.input.name, values[:300], keys[:300])
    score_here(bench)
    late = LakeTarget(lake_settings(bench, lake_url=bucket), find_plan(bench.file))
    late.positions()
    caught_up(bench, lake_url=bucket)
    with pytest.raises(FencedError):
        late.write([Record(bench.pipeline.input.name, 0, 10**6, 0, None, b"{}")])
    bench.produce(bench.pipeline.input.name, values[300:], keys[300:])
    score_here(bench)
    target = caught_up(bench, lake_url=bucket)
    for name, count in (("events", 600), ("decisions", 600)):
        places = ["input_partition", "input_offset"] if name == "decisions" else ["partition", "offset"]
        table = polars.read_delta(target.tables[name].uri).select(places)
        assert (len(table), table.n_unique()) == (count, count)


def test_a_lake_that_cannot_be_reached_is_said_in_words(tmp_path: Path, pipeline_file: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder would be")
    settings = load_settings({"lake_url": str(tmp_path / "taken")}, environ={}, folder=tmp_path)
    with pytest.raises(LakeUnreachable, match="lake_url names a folder or bucket"):
        _opened(settings, pipeline_file)


def test_a_sink_is_stopped_while_the_lake_was_never_there(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """SIGTERM ends it as ever; until then it says what the lake says, and what to do."""
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    (tmp_path / "taken").write_text("a file where the folder would be")
    command = [sys.executable, "-m", "fraudstream", "sink", "lake", str(bench.file), "--set", "lake_url=taken"]
    command += ["-b", bench.settings.bootstrap_servers]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "Trying again" in line:
            assert "could not be reached" in line and "lake_url names a folder or bucket that may be written" in line
            break
    process.terminate()
    said, more = process.communicate(timeout=30)
    assert (process.returncode, more) == (0, "".join(each for each in more.splitlines(True) if "WARNING" in each))
    assert "0 records" in said


def test_an_address_that_is_no_folder_and_no_bucket_is_refused(tmp_path: Path, pipeline_file: Path) -> None:
    settings = load_settings({"lake_url": "gs://fraud/lake"}, environ={}, folder=tmp_path)
    with pytest.raises(LakeError, match=r"lake_url \(from .*\) begins with gs://\. Allowed are a folder and s3://"):
        LakeTarget(settings, find_plan(pipeline_file))


def test_a_bucket_that_answers_nothing_is_said_with_its_reason_on_one_line(
    tmp_path: Path, pipeline_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"ENDPOINT_URL": "http://127.0.0.1:1", "REGION": "x", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}
    for name, value in names.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    settings = load_settings({"lake_url": "s3://fraud/lake"}, environ={}, folder=tmp_path)
    with pytest.raises(LakeUnreachable) as away:
        _opened(settings, pipeline_file)
    assert "URL scheme is not allowed" in away.value.found, "what AWS_ALLOW_HTTP is for"
    assert "\n" not in away.value.found and "\x1b" not in away.value.found


def test_a_person_erased_is_in_no_file_of_the_lake(
    tmp_path: Path, pipeline_file: Path, fraudstream: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """Rows that name the subject go, and so do the files they were in; others stay."""
    settings = load_settings(environ={}, folder=tmp_path)
    target = _opened(settings, pipeline_file)
    records = [_decided(number, "block", START_MS) for number in range(6)]
    target.write([record._replace(key=b"O'Hara-77" if record.offset % 2 else b"c0") for record in records])
    folder = Path(target.tables["decisions"].uri)
    orphan = folder / "day=2026-01-01" / "being-written.parquet"
    orphan.write_bytes(b"of a sink that runs")
    before = {path.name for path in folder.rglob("part-*.parquet")}
    done = fraudstream("erase", "O'Hara-77", str(pipeline_file))
    assert done.returncode == 0, done.stderr
    assert "small/decisions 3, small/suspicious 3" in done.stdout
    assert not before & {path.name for path in folder.rglob("part-*.parquet")}
    assert orphan.exists()
    assert read(_opened(settings, pipeline_file), "decisions", "SELECT DISTINCT key FROM rows") == [("c0",)]
    kept = [path.read_bytes() for path in folder.parent.rglob("*") if path.is_file()]
    assert any(b"addFile" in each or b'"add"' in each for each in kept)
    assert not any(b"Hara-77" in each for each in kept), "not in the statistics and conditions of the log either"
