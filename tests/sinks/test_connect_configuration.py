"""The configurations that `fraudstream connect` prints, without a worker."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from connect import DEPLOY
from fraudstream.define.pipeline import DEFAULT_ROUTES, Form, Pipeline, Route, Selection
from fraudstream.define.write import to_yaml
from fraudstream.kafka.jars import KAFKA_VERSION
from fraudstream.pipelines import names
from fraudstream.plan.compile import plan_of
from fraudstream.schema.event import Event, Field, FieldType, TimeFormat
from fraudstream.sinks.connect import columns_of
from fraudstream.sinks.connect_schema import connect_schema
from house.project import ROOT
from runner import small

Command = Callable[..., subprocess.CompletedProcess[str]]
SINKS = ("jdbc", "s3", "elasticsearch", "hdfs")


@pytest.mark.parametrize("sink", SINKS)
def test_the_ready_files_are_what_the_command_prints(sink: str, command: Command) -> None:
    assert (DEPLOY / f"retail-{sink}.json").read_text() == command("connect", "retail", "--to", sink).stdout


@pytest.mark.parametrize("name", names())
def test_every_shipped_pipeline_has_a_configuration_for_every_sink(name: str, command: Command) -> None:
    for sink in SINKS:
        made = json.loads(command("connect", name, "--to", sink).stdout)
        schema = json.loads(made["value.converter.schema.content"])
        columns = list(columns_of(schema))
        assert len(columns) == len(set(columns)) > 10


OF_KAFKA = re.compile(
    r"(name|connector\.class|topics|tasks\.max|transforms(\..*)?|errors\..*|consumer\.override\..*|(key|value)\.converter.*)"
)
# What the makers' documentation lists and the configurations use; these connectors are not on Maven Central.
LISTED = {
    "s3": {
        "aws.s3.bucket.name", "aws.s3.region", "aws.s3.prefix", "file.name.template", "format.output.type",
        "format.output.fields", "format.output.envelope",
    },
    "elasticsearch": {
        "connection.url", "connection.username", "connection.password", "key.ignore", "schema.ignore",
        "behavior.on.malformed.documents", "max.retries", "retry.backoff.ms",
    },
    "hdfs": {
        "store.url", "topics.dir", "logs.dir", "format.class", "flush.size", "rotate.interval.ms",
        "confluent.topic.bootstrap.servers", "confluent.topic.replication.factor",
    },
}  # fmt: skip


@pytest.mark.parametrize("sink", LISTED)
def test_the_other_configurations_use_settings_that_their_makers_list(sink: str) -> None:
    made = json.loads((DEPLOY / f"retail-{sink}.json").read_text())
    assert {name for name in made if not OF_KAFKA.fullmatch(name)} == LISTED[sink]


@pytest.mark.parametrize("sink", SINKS)
def test_every_configuration_reads_committed_and_names_variables_of_the_page_alone(sink: str) -> None:
    made = json.loads((DEPLOY / f"retail-{sink}.json").read_text())
    assert made["consumer.override.isolation.level"] == "read_committed"
    page = (ROOT / "docs" / "kafka-connect.md").read_text()
    named = re.findall(r"\$\{env:(\w+)\}", json.dumps(made) + (DEPLOY / "worker.properties").read_text())
    assert [name for name in named if not name.startswith("SINK_") or f"`{name}`" not in page] == []


def test_the_commands_of_the_page_are_those_that_the_tests_run() -> None:
    page = (ROOT / "docs" / "kafka-connect.md").read_text()
    assert "mvn -f deploy/connect/pom.xml package" in page
    assert "log4j2.configurationFile=deploy/connect/log4j2.properties" in page
    assert "org.apache.kafka.connect.cli.ConnectDistributed deploy/connect/worker.properties" in page
    assert "restart?includeTasks=true&onlyFailed=true" in page
    assert f"<kafka.version>{KAFKA_VERSION}</kafka.version>" in (DEPLOY / "pom.xml").read_text()


EVENT = Event(
    id="id",
    key="card",
    amount="amount",
    fields=(
        Field(name="id", type=FieldType.INTEGER, sensitive=True),
        Field(name="card", type=FieldType.STRING, sensitive=True, path="payment.card"),
        Field(name="amount", type=FieldType.DECIMAL, scale=3, path="payment.amount"),
        Field(name="paid_at", type=FieldType.TIMESTAMP, path="payment.at", format=TimeFormat.EPOCH_MS),
        Field(name="text_at", type=FieldType.TIMESTAMP),
        Field(name="place", type=FieldType.LOCATION, required=False),
        Field(name="ratio", type=FieldType.FLOAT),
        Field(name="online", type=FieldType.BOOLEAN),
    ),
)


def schema_of(form: Form, **options: bool) -> dict[str, object]:
    pipeline = Pipeline(name="shop", event=EVENT, input=small.pipeline().input, routes=DEFAULT_ROUTES)
    return connect_schema(plan_of(pipeline), form, **options)


def types_in(schema: dict[str, object]) -> dict[str, str]:
    """Each column's type, by the name of a logical type where it has one."""
    found: dict[str, str] = {}

    def walk(fields: list[dict[str, object]], prefix: str) -> None:
        for field in fields:
            name = f"{prefix}{field['field']}"
            if field["type"] == "struct":
                walk(field["fields"], f"{name}_")  # type: ignore[arg-type]
            else:
                found[name] = str(field.get("name") or field["type"]).rpartition(".")[2]

    walk(schema["fields"], "")  # type: ignore[arg-type]
    assert list(found) == list(columns_of(schema))
    return found


def test_each_kind_of_field_has_its_type_and_sensitive_ones_are_text() -> None:
    found = types_in(schema_of(Form.ENVELOPE))
    assert {name: kind for name, kind in found.items() if name.startswith("event_")} == {
        "event_id": "string",
        "event_payment_card": "string",
        "event_payment_amount": "Decimal",
        "event_payment_at": "Timestamp",
        "event_text_at": "string",
        "event_place": "string",
        "event_ratio": "double",
        "event_online": "boolean",
    }
    assert found["decision_event_id"] == "string"
    assert types_in(schema_of(Form.ENVELOPE, quoted_decimals=True))["event_payment_amount"] == "string"


def test_an_alert_holds_tokens_of_id_and_key_as_text() -> None:
    found = types_in(schema_of(Form.ALERT))
    assert (found["transaction_id"], found["key"], found["amount"]) == ("string", "string", "Decimal")


def test_what_identifies_a_decision_is_required_and_nothing_else() -> None:
    def required(schema: object) -> list[str]:
        assert isinstance(schema, dict)
        inner = schema.get("fields", [])
        return [
            name for field in inner for name in ([field["field"]] if not field["optional"] else []) + required(field)
        ]

    assert required(schema_of(Form.ENVELOPE)) == ["decision", "input", "topic", "partition", "offset"]
    assert required(schema_of(Form.FLAT)) == ["decision_id"]
    assert required(schema_of(Form.ALERT))[0] == "alert_id"


def test_what_is_asked_wrongly_is_an_error_that_says_what_there_is(command: Command, tmp_path: Path) -> None:
    assert "Choose one of: jdbc, s3, elasticsearch, hdfs" in command("connect", "retail", "--to", "oracle").stderr
    assert "go to: fraud-scores, fraud-alerts" in command("connect", "retail", "--to", "s3", "--topic", "x").stderr

    def asked(**parts: object) -> str:
        (tmp_path / "p.yaml").write_text(to_yaml(msgspec.structs.replace(small.pipeline(), **parts)))
        done = command("connect", "p.yaml", "--to", "jdbc")
        assert done.returncode == 2
        return done.stderr

    long = msgspec.structs.replace(small.FEATURES[0], name="n" * 60)
    assert f"decision_features_{'n' * 60}" in asked(features=(*small.FEATURES, long))
    halves = (
        Route(topic="good", carries=Selection.APPROVED),
        Route(topic="bad", carries=Selection.FLAGGED, form=Form.FLAT),
    )
    assert "Name one with --topic: good, bad" in asked(routes=halves)


def test_decisions_in_two_parts_are_kept_together(command: Command, tmp_path: Path) -> None:
    halves = (Route(topic="good", carries=Selection.APPROVED), Route(topic="bad", carries=Selection.FLAGGED))
    (tmp_path / "p.yaml").write_text(to_yaml(msgspec.structs.replace(small.pipeline(), routes=halves)))
    assert json.loads(command("connect", "p.yaml", "--to", "jdbc").stdout)["topics"] == "good,bad"
