"""Avro from a real broker with schemas in a real registry, as they change over time."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fraudstream.doctor import events
from fraudstream.doctor.finding import Level, Subject
from fraudstream.errors import RegistryUnreachable
from fraudstream.kafka.registry import SchemaRegistry
from fraudstream.pipelines import find_plan
from fraudstream.runner.redrive import Chosen, redrive
from fraudstream.runner.start import Options, start
from fraudstream.runner.statistics import Statistics
from fraudstream.settings import Settings, load_settings
from registry import RegistryServer
from runner.workbench import Workbench
from servers import Answer, Receiver, Request, free_port

from .payments import DECIMAL, avro, framed, payment, pipeline, written

pytestmark = pytest.mark.kafka


def score(bench: Workbench, settings: Settings) -> Statistics:
    """Scores in this process until everything is."""
    return start(find_plan(bench.file), settings, Options()).run(until_caught_up=True)


@pytest.fixture
def settings(kafka_settings: Settings, registry: RegistryServer, tmp_path: Path) -> Settings:
    flags = {"bootstrap_servers": kafka_settings.bootstrap_servers, "schema_registry_url": registry.url}
    return load_settings(flags, environ={}, folder=tmp_path)


def test_avro_is_scored(settings: Settings, tmp_path: Path, unique_id: str) -> None:
    bench = Workbench(settings, pipeline(), tmp_path, unique_id)
    registry = SchemaRegistry(settings)
    topic = bench.pipeline.input.name
    schema = avro()
    schema_id = registry.register(f"{topic}-value", schema)
    bench.produce(topic, [written(schema, payment(number), schema_id) for number in range(50)])
    assert score(bench, settings).decisions == 50
    first = bench.decisions()[0]
    assert first["event"] == {
        "id": "p0", "at": "2026-01-01T00:00:00.000Z", "card": "c0", "amount": 10.5,
        "merchant": {"country": None}, "note": None,
    }  # fmt: skip
    assert [each["decision"]["features"]["card_count"] for each in bench.decisions()[-3:]] == [16, 17, 17]
    (seen,) = events.registry(Subject(settings, find_plan(bench.file), None, tmp_path))
    assert (seen.level, seen.found) == (
        Level.OK,
        f"{settings.schema_registry_url} answers; {topic}-value has 1 versions.",
    )


def test_a_schema_evolves(settings: Settings, tmp_path: Path, unique_id: str) -> None:
    """Optional field added, field removed, renamed with and without alias, type changed: scored, or said why not."""
    bench = Workbench(settings, pipeline(), tmp_path, unique_id)
    registry = SchemaRegistry(settings)
    topic = bench.pipeline.input.name
    schemas = {
        "first": avro(),
        "added": avro(
            {"name": "note", "type": ["null", "string"], "default": None}, {"name": "extra", "type": "double"}
        ),
        "removed": avro(without=("merchant",)),
        "renamed": avro({"name": "pan", "type": "string", "aliases": ["card"]}, without=("card",)),
        "other decimals": avro({"name": "amount", "type": {**DECIMAL, "scale": 4}}),
        "required removed": avro(without=("card",)),
        "renamed without alias": avro({"name": "pan", "type": "string"}, without=("card",)),
        "type changed": avro({"name": "amount", "type": "boolean"}),
    }
    ids = {name: registry.register(f"{topic}-value", schema) for name, schema in schemas.items()}
    changes: dict[str, dict[str, Any]] = {
        "added": {"note": "new", "extra": 1.5},
        "removed": {"merchant": ...},
        "renamed": {"card": ..., "pan": "c9"},
        "other decimals": {"amount": (105_000).to_bytes(5, "big")},
        "required removed": {"card": ...},
        "renamed without alias": {"card": ..., "pan": "c8"},
        "type changed": {"amount": True},
    }
    records = [
        written(schema, payment(number, **changes.get(name, {})), ids[name])
        for number, (name, schema) in enumerate(schemas.items())
    ]
    bench.produce(topic, [*records, framed(99_999, b"?"), records[0][:-1], b"{}", records[0][:5]])
    score(bench, settings)
    events = [each["event"] for each in bench.decisions()]
    assert [(each["card"], each["amount"], each["note"]) for each in events] == [
        ("c0", 10.5, None), ("c1", 10.5, "new"), ("c2", 10.5, None), ("c9", 10.5, None), ("c1", 10.5, None),
    ]  # fmt: skip
    letters = {each["input"]["offset"]: (each["class"], each["reason"]) for each in bench.dead_letters()}
    assert [kind for kind, _ in letters.values()] == [
        *["incompatible_schema"] * 3, "unknown_schema", "malformed", "bad_frame", "malformed",
    ]  # fmt: skip
    assert letters[5][1] == (
        f"schema {ids['required removed']}: card: required, and shop.Payment has no such field "
        "(it has id, at, amount, merchant)."
    )
    assert (
        letters[7][1] == f"schema {ids['type changed']}: amount: shop.Payment has boolean there; a decimal is expected."
    )
    fields = tuple(
        msgspec.structs.replace(each, aliases=("pan",)) if each.name == "card" else each
        for each in bench.pipeline.event.fields
    )
    bench.change(event=msgspec.structs.replace(bench.pipeline.event, fields=fields))
    chosen = Chosen(classes=frozenset(["incompatible_schema"]))
    assert redrive(find_plan(bench.file), settings, chosen, send=True).sent == 3
    score(bench, settings)
    assert [each["event"]["card"] for each in bench.decisions()[5:]] == ["c8"], "found by the pipeline's alias"
    assert [each["class"] for each in bench.dead_letters()[-2:]] == ["incompatible_schema"] * 2, "still no events"


def test_a_registry_that_is_down_is_waited_for_and_loses_nothing(
    settings: Settings,
    tmp_path: Path,
    unique_id: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was fetched before is not asked for; what was not stops the scorer, which goes on later."""
    bench = Workbench(settings, pipeline(), tmp_path, unique_id)
    topic = bench.pipeline.input.name
    known, new = avro(), avro({"name": "extra", "type": "string"})
    ids = [SchemaRegistry(settings).register(f"{topic}-value", schema) for schema in (known, new)]
    bench.produce(topic, [written(known, payment(number), ids[0]) for number in range(5)])
    assert score(bench, settings).decisions == 5
    down = load_settings(
        {"bootstrap_servers": settings.bootstrap_servers, "schema_registry_url": settings.schema_registry_url},
        environ={}, folder=tmp_path,
    )  # fmt: skip
    nobody = f"http://127.0.0.1:{free_port()}"
    kept = tmp_path / ".fraudstream" / "schemas"
    (the_registrys,) = kept.iterdir()
    the_registrys.rename(kept / hashlib.sha256(nobody.encode()).hexdigest()[:16])
    down = replace(down, schema_registry_url=nobody)
    bench.produce(topic, [written(known, payment(number), ids[0]) for number in range(5, 10)])
    assert score(bench, down).decisions == 5, "the schema was kept"
    bench.produce(topic, [written(new, payment(10, extra="x"), ids[1])])
    monkeypatch.setattr("fraudstream.kafka.registry.GIVES_UP_AFTER_S", 0.6)
    with pytest.raises(RegistryUnreachable, match="did not give schema"):
        score(bench, down)
    assert "asking again in 0.25 s" in caplog.text
    score(bench, settings)
    assert [each["event"]["id"] for each in bench.decisions()] == [f"p{number}" for number in range(11)]
    assert bench.dead_letters() == []


def test_a_scorer_that_waits_for_the_registry_is_not_ready_until_it_answers(
    settings: Settings, registry: RegistryServer, tmp_path: Path, unique_id: str
) -> None:
    """The registry goes away while the scorer runs, and a record names a schema that was not asked for yet."""
    bench = Workbench(settings, pipeline(), tmp_path, unique_id)
    way = Receiver()
    there, _, path = registry.url.removeprefix("http://").partition("/")

    def passed_on(request: Request) -> Answer:
        with urllib.request.urlopen(f"http://{there}{request.path}", timeout=10) as answer:
            return Answer(200, {"Content-Type": answer.headers["Content-Type"]}, answer.read())

    way.answer = passed_on
    schema = avro()
    schema_id = SchemaRegistry(settings).register(f"{bench.pipeline.input.name}-value", schema)
    shutil.rmtree(tmp_path / ".fraudstream", ignore_errors=True)  # nothing is kept from before
    loop = start(
        find_plan(bench.file), replace(settings, schema_registry_url=f"http://127.0.0.1:{way.port}/{path}"), Options()
    )
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        bench.wait_for(lambda: loop.unready() is None)
        way.close()
        bench.produce(bench.pipeline.input.name, [written(schema, payment(0), schema_id)])
        bench.wait_for(lambda: loop.unready() == f"the schema registry does not give schema {schema_id}")
        way.open()
        bench.wait_for(lambda: loop.unready() is None)
        bench.wait_for(lambda: bench.count(bench.scores) == 1)
        way.close()
        bench.produce(bench.pipeline.input.name, [written(schema, payment(1), 77_777)])
        bench.wait_for(lambda: loop.unready() == "the schema registry does not give schema 77777")
    finally:
        asked_s = time.monotonic()
        loop.stop()
        thread.join()
        assert time.monotonic() - asked_s < 5, "an end is not waited for as long as the registry"
        way.close()
