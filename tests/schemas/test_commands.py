"""Trying it: events simulated and produced in the input's format, their schema, and what is registered."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from fraudstream.define.pipeline import Format
from fraudstream.define.write import to_yaml
from fraudstream.engine.schemas import WriterSchema
from fraudstream.kafka.registry import A_PERSON_WAITS_S, SchemaRegistry
from fraudstream.pipelines import SHIPPED, find_plan
from fraudstream.settings import Settings, load_settings
from registry import RegistryServer
from runner.workbench import Workbench
from servers import free_port

from .payments import avro, payment, pipeline
from .test_registry import score

Command = Callable[..., CompletedProcess[str]]
pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka_settings: Settings, registry: RegistryServer, tmp_path: Path) -> Settings:
    flags = {"bootstrap_servers": kafka_settings.bootstrap_servers, "schema_registry_url": registry.url}
    return load_settings(flags, environ={}, folder=tmp_path)


def done(command: Command, settings: Settings, *arguments: str) -> str:
    """What a command prints; it has to succeed."""
    env = {"FRAUDSTREAM_SCHEMA_REGISTRY_URL": settings.schema_registry_url or ""}
    found = command(*arguments, env={**env, "FRAUDSTREAM_BOOTSTRAP_SERVERS": settings.bootstrap_servers})
    assert found.returncode == 0, found.stderr + found.stdout
    return found.stdout


def test_a_registry_that_is_away_costs_a_person_seconds(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(to_yaml(pipeline()))
    env = {"FRAUDSTREAM_SCHEMA_REGISTRY_URL": f"http://127.0.0.1:{free_port()}"}
    began = time.monotonic()
    for arguments in (("check", str(file), "--registry"), ("schema", str(file), "--register")):
        done = command(*arguments, env=env)
        assert done.returncode == 3
        assert "did not give" in done.stderr
    assert time.monotonic() - began < 2 * A_PERSON_WAITS_S + 2


@pytest.mark.parametrize("form", [Format.AVRO, Format.PROTOBUF])
def test_a_file_is_produced_and_scored(
    settings: Settings, tmp_path: Path, unique_id: str, command: Command, form: Format
) -> None:
    bench = Workbench(settings, pipeline(form), tmp_path, unique_id)
    topic, file = bench.pipeline.input.name, tmp_path / "events.jsonl"
    rows = [
        {**payment(number), "at": f"2026-01-01T00:00:{number:02d}Z", "amount": number + 0.5} for number in range(20)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done(command, settings, "produce", str(file), "--topic", topic, "--format", form, "--pipeline", str(bench.file))
    assert {each.key().decode() for each in bench.read(topic)} == {row["card"] for row in rows}, "its event's key"
    assert score(bench, settings).decisions == 20
    first = bench.decisions()[1]["event"]
    assert (first["id"], first["amount"], first["merchant"], first["at"]) == (
        "p1", 1.5, {"country": "DE"}, "2026-01-01T00:00:01.000Z",
    )  # fmt: skip
    shown = done(command, settings, "check", str(bench.file), "--registry")
    assert f"{topic}-value version 1" in shown and "is read" in shown
    source = bench.read(topic)[0].value()
    assert (
        source[0] == 0
        and int.from_bytes(source[1:5], "big") == SchemaRegistry(settings).versions(f"{topic}-value")[0].schema_id
    )


def test_what_is_registered_is_checked(settings: Settings, tmp_path: Path, unique_id: str, command: Command) -> None:
    bench = Workbench(settings, pipeline(), tmp_path, unique_id)
    subject = f"{bench.pipeline.input.name}-value"
    assert f"{subject} has no versions" in done(command, settings, "check", str(bench.file), "--registry")
    assert f"{subject} has it as schema" in done(command, settings, "schema", str(bench.file), "--register")
    registry = SchemaRegistry(settings)
    registry.register(subject, avro(without=("amount",)))
    registry.register(subject, WriterSchema("AVRO", '{"type": "string"}'))
    env = {"FRAUDSTREAM_SCHEMA_REGISTRY_URL": settings.schema_registry_url or ""}
    found = command("check", str(bench.file), "--registry", "--json", env=env)
    assert found.returncode == 1
    told = json.loads(found.stdout)
    assert told["ok"] is False
    assert [each["version"] for each in told["registry"][subject]] == [1, 2, 3]
    reasons = [each["wrong"] for each in told["registry"][subject]]
    assert reasons[0] is None
    assert "amount: required, and shop.Payment has no such field" in reasons[1]
    assert "it is of string, and an event is a record" in reasons[2]


def test_simulated_events_come_in_the_inputs_format(
    settings: Settings, tmp_path: Path, unique_id: str, command: Command
) -> None:
    """The shipped pipeline with no more than `format: avro` added; the topic is read as a history, too."""
    shipped = find_plan("retail", SHIPPED, {}).pipeline
    bench = Workbench(settings, shipped, tmp_path, unique_id)
    folder = tmp_path / "pipelines"
    folder.mkdir()
    text = to_yaml(bench.pipeline).replace(
        f"input: {bench.pipeline.input.name}", f"input: {{name: {bench.pipeline.input.name}, format: avro}}"
    )
    (folder / "retail.yaml").write_text(text)
    assert "format: avro" in text
    done(command, settings, "simulate", "retail", "--events", "300", "--history", "1d")
    source = bench.read(bench.pipeline.input.name)
    assert len(source) == 300 and all(each.value()[0] == 0 for each in source)
    table = tmp_path / "features.parquet"
    done(
        command, settings, "dataset", "retail", "--from", bench.pipeline.input.name, "--out", str(table)
    )  # fmt: skip
    assert table.exists()
