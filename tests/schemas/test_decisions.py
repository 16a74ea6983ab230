"""Decisions as Avro and Protobuf say what the JSON envelope says, and reach their topic with a registered schema."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import fastavro
import msgspec
import numpy as np
import pytest
from google.protobuf import json_format

from fraudstream.define.pipeline import DEFAULT_ROUTES, Form, Format, Route
from fraudstream.engine.batch import Batch
from fraudstream.engine.decision_wire import DecisionRecords, decision_schema
from fraudstream.engine.decode import Decoder
from fraudstream.engine.encode import Encoder
from fraudstream.engine.program import Program
from fraudstream.engine.protobuf_schema import ProtobufSchema
from fraudstream.errors import DefinitionError, RegistryError
from fraudstream.kafka.registry import SchemaRegistry
from fraudstream.pipelines import SHIPPED, find_plan, names
from fraudstream.plan.compile import plan_of
from fraudstream.plan.plan import Plan
from fraudstream.runner.warmup import sample
from fraudstream.settings import Settings
from fraudstream.state.ids import Labels
from runner.workbench import Workbench

from .payments import avro, payment, pipeline, written
from .test_commands import done, settings  # noqa: F401 - a fixture
from .test_registry import score

AT_MS = 1_767_225_700_000


def decided(plan: Plan) -> Any:
    """Decisions on a few made-up events, a duplicate among them."""
    lines: list[bytes | None] = [sample(plan.pipeline.event, row) for row in (0, 1, 2, 3, 1)]
    decoded = Decoder(plan.pipeline.event).decode(lines, np.full(5, AT_MS))
    batch = Batch.of(decoded, "events", np.arange(5, dtype=np.int32), 10 * np.arange(5))
    program = Program(plan)
    return program.decide(program.new_state(), batch, Labels.none(), AT_MS)


def in_json(plan: Plan, decisions: Any, rows: np.ndarray) -> list[dict[str, Any]]:
    return [json.loads(each, parse_float=Decimal) for each in Encoder(plan).encode(Form.ENVELOPE, decisions, rows)[0]]


def plainly(value: Any) -> Any:
    """Values of Avro and JSON in one form: instants as epoch ms, numbers as Decimal of 12 digits."""
    if isinstance(value, dict):
        return {name: plainly(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plainly(each) for each in value]
    if isinstance(value, (float, Decimal)) and not isinstance(value, bool):
        return round(float(value), 9)
    if hasattr(value, "timestamp"):
        return round(value.timestamp() * 1_000)
    return value


@pytest.mark.parametrize("name", [*names()])
def test_avro_says_what_json_says(name: str) -> None:
    plan = find_plan(name, SHIPPED, {})
    decisions, rows = decided(plan), np.array([4, 0, 1, 2, 3])
    schema = fastavro.parse_schema(json.loads(decision_schema(plan, Format.AVRO).text))
    for record, expected in zip(
        DecisionRecords(plan, Format.AVRO, 9)(decisions, rows), in_json(plan, decisions, rows), strict=True
    ):
        assert record[:5] == b"\0\0\0\0\x09"
        stream = io.BytesIO(record[5:])
        found = fastavro.schemaless_reader(stream, schema)
        assert stream.read() == b""
        made, wanted = plainly(found["decision"]), plainly(expected["decision"])
        wanted.pop("explanation", None)
        if plan.pipeline.event.id is None:
            wanted.pop("event_id")
        wanted.setdefault("off", [])
        wanted["versions"].setdefault("model", None)
        wanted.setdefault("features", {})
        made.setdefault("features", {})
        assert made == wanted
        for field in plan.pipeline.event.fields:
            assert field.paths[0].split(".")[0] in found["event"]


def test_a_sensitive_number_is_a_token_in_avro_as_in_json() -> None:
    shipped = find_plan("terminal-payments", SHIPPED, {}).pipeline
    own = (msgspec.structs.replace(each, sensitive=each.name == shipped.event.id) for each in shipped.event.fields)
    plan = plan_of(msgspec.structs.replace(shipped, event=msgspec.structs.replace(shipped.event, fields=tuple(own))))
    decisions, rows = decided(plan), np.arange(5)
    schema = fastavro.parse_schema(json.loads(decision_schema(plan, Format.AVRO).text))
    for record, expected in zip(
        DecisionRecords(plan, Format.AVRO, 9)(decisions, rows), in_json(plan, decisions, rows), strict=True
    ):
        found: Any = fastavro.schemaless_reader(io.BytesIO(record[5:]), schema)
        token = expected["decision"]["event_id"]
        assert token.startswith("tok_") and found["decision"]["event_id"] == token
        assert found["event"][shipped.event.id] == token


@pytest.mark.parametrize("name", ["retail", "terminal-payments"])
def test_protobuf_says_what_json_says(name: str) -> None:
    plan = find_plan(name, SHIPPED, {})
    decisions, rows = decided(plan), np.arange(5)
    message = ProtobufSchema(decision_schema(plan, Format.PROTOBUF).text).message((0,))
    for record, expected in zip(
        DecisionRecords(plan, Format.PROTOBUF, 9)(decisions, rows), in_json(plan, decisions, rows), strict=True
    ):
        assert record[:6] == b"\0\0\0\0\x09\0"
        parsed = message.FromString(record[6:])
        found = json_format.MessageToDict(
            parsed, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        made, wanted = found["decision"], expected["decision"]
        assert (made["outcome"], made["rules"], made["reasons"], made["flags"]) == (
            wanted["outcome"], wanted["rules"], wanted["reasons"], wanted["flags"],
        )  # fmt: skip
        assert int(made["sequence"]) == wanted["sequence"]
        assert made["input"] == {
            **wanted["input"],
            "partition": str(wanted["input"]["partition"]),
            "offset": str(wanted["input"]["offset"]),
        }
        assert (made.get("duplicate_of") is None) == (wanted["duplicate_of"] is None)
        for feature, value in wanted["features"].items():
            told = made["features"].get(feature)
            assert (told is None) == (value is None), feature
            if value is not None and not isinstance(value, (bool, str)):
                assert float(told) == pytest.approx(float(value)), feature


def test_only_envelopes_may_be_other_than_json_and_one_route_stays() -> None:
    routes = (Route(topic="a", form=Form.FLAT, format=Format.AVRO),)
    with pytest.raises(DefinitionError) as wrong:
        plan_of(msgspec.structs.replace(pipeline(), routes=routes))
    told = str(wrong.value)
    assert "routes.0.format: flat as Avro. Only envelopes may be other than JSON." in told
    assert "routes: no route is JSON. Add one: sinks, alerts and proofs read no other." in told


@pytest.mark.kafka
def test_a_route_carries_avro_beside_the_json_that_ours_read(
    settings: Settings,  # noqa: F811
    tmp_path: Path,
    unique_id: str,
    command: Callable[..., CompletedProcess[str]],
) -> None:
    """Not before its schema is registered; a proof of the decision reads the JSON and holds."""
    extra = (
        Route(topic="decided-avro", format=Format.AVRO),
        Route(topic="decided-proto", format=Format.PROTOBUF, partitions=1),
    )
    bench = Workbench(
        settings, msgspec.structs.replace(pipeline(), routes=(*DEFAULT_ROUTES, *extra)), tmp_path, unique_id
    )
    topic = bench.pipeline.input.name
    schema = avro()
    schema_id = SchemaRegistry(settings).register(f"{topic}-value", schema)
    bench.produce(topic, [written(schema, payment(number), schema_id) for number in range(10)])
    with pytest.raises(RegistryError, match="decided-avro is none of the versions"):
        score(bench, settings)
    targets = [route.topic for route in bench.pipeline.routes if route.format is not Format.JSON]
    for target in targets:
        done(command, settings, "schema", str(bench.file), "--topic", target, "--register")
    assert score(bench, settings).decisions == 10
    records = {target: [each.value() for each in bench.read(target)] for target in targets}
    assert [len(found) for found in records.values()] == [10, 10]
    (version,) = SchemaRegistry(settings).versions(f"{targets[0]}-value")
    parsed = fastavro.parse_schema(json.loads(version.schema.text))
    found = [fastavro.schemaless_reader(io.BytesIO(each[5:]), parsed) for each in records[targets[0]]]
    assert sorted(each["event"]["id"] for each in found) == sorted(f"p{number}" for number in range(10))
    assert {int.from_bytes(each[1:5], "big") for each in records[targets[0]]} == {version.schema_id}
    shown = done(command, settings, "check", str(bench.file), "--registry")
    assert f"{targets[0]}-value: the schema of decisions is registered as {version.schema_id}" in shown
    proof = done(command, settings, "prove", "p3", "--pipeline", str(bench.file))
    assert "same bytes" in proof or "holds" in proof or "equal" in proof, proof
