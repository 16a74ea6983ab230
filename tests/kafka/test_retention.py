"""Topics keep their records for as long as the pipeline says, from when they are made or from when it is asked for."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fraudstream.define.retention import Retention
from fraudstream.define.write import to_yaml
from fraudstream.kafka.inspect import KafkaInspector
from fraudstream.settings import Settings
from runner.small import pipeline
from runner.workbench import Workbench

pytestmark = pytest.mark.kafka
DAY_MS = 86_400_000


def test_topics_keep_records_as_declared(
    kafka_settings: Settings,
    tmp_path: Path,
    unique_id: str,
    fraudstream: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)  # makes the topics, without anything declared
    broker = ("-b", kafka_settings.bootstrap_servers)
    inspector = KafkaInspector(kafka_settings)
    new = f"{unique_id}.new"
    bench.change(
        dead_letters=msgspec.structs.replace(bench.pipeline.dead_letters, name=new),
        retention=Retention(topics=((bench.pipeline.input.name, "30d"), (new, "12h"))),
    )
    made = fraudstream("topics", "create", str(bench.file), *broker)
    assert made.returncode == 0, made.stderr
    assert f"{bench.pipeline.input.name} keeps its records for" in made.stderr and "says 30d" in made.stderr

    def kept(name: str) -> int:
        return int(inspector.topic_settings([name])[name]["retention.ms"])

    assert kept(new) == DAY_MS // 2
    before = kept(bench.pipeline.input.name)
    assert before != 30 * DAY_MS
    expected = {bench.pipeline.input.name: {"kept_ms": before, "declared_ms": 30 * DAY_MS}}
    for arguments, after in ((("--dry-run",), before), ((), 30 * DAY_MS)):
        done = fraudstream("topics", "retain", str(bench.file), *broker, "--json", *arguments)
        assert json.loads(done.stdout)["changed"] == expected, done.stderr
        assert kept(bench.pipeline.input.name) == after
    again = fraudstream("topics", "retain", str(bench.file), *broker)
    assert "every topic keeps its records as declared" in again.stdout
    bench.file.write_text(to_yaml(bench.pipeline).replace("30d", "30m"))
    refused = fraudstream("topics", "retain", str(bench.file), *broker)
    assert refused.returncode == 2 and "features look back, 1h" in refused.stderr
