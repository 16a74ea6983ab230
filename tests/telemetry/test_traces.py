"""Traces through a scorer: what a record's `traceparent` began goes on in spans and in what is written of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from fraudstream.pipelines import find_plan
from fraudstream.runner.start import Options, start
from fraudstream.settings import Settings, load_settings
from fraudstream.telemetry.tracing import begin_tracing
from runner.small import events, pipeline
from runner.workbench import Workbench
from servers import Receiver, receiver

COUNT = 60
TRACES = {number: f"{number + 1:032x}" for number in (3, 4, 40)}
SENDER = "00f067aa0ba902b7"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A collector that the standard variables name."""
    with receiver() as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.port}")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "fraud")
        yield server


def spans(server: Receiver) -> tuple[dict[str, list[Any]], set[str]]:
    """The spans that came, by name, and the services that sent them."""
    found: dict[str, list[Any]] = {}
    services = set()
    for request in server.requests:
        assert request.path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            about = {each.key: each.value.string_value for each in resource.resource.attributes}
            services.add(about["service.name"])
            for scope in resource.scope_spans:
                for span in scope.spans:
                    found.setdefault(span.name, []).append(span)
    return found, services


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


@pytest.mark.kafka
@pytest.mark.parametrize("exactly_once", [True, False])
def test_a_sampled_record_has_a_span_and_its_context_goes_on(
    exactly_once: bool, collector: Receiver, kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    bench = Workbench(kafka_settings, pipeline(partitions=1), tmp_path, unique_id)
    topic = bench.pipeline.input.name
    producer = Producer({"bootstrap.servers": kafka_settings.bootstrap_servers})
    values, keys = events(COUNT)
    for number, (value, key) in enumerate(zip([*values[:40], b"no JSON", *values[41:]], keys, strict=True)):
        headers = {5: "00-" + "1" * 32 + f"-{SENDER}-00", 6: "nonsense"}.get(number)
        if number in TRACES:
            headers = f"00-{TRACES[number]}-{SENDER}-01"
        producer.produce(topic, value, key, headers=None if headers is None else [("traceparent", headers.encode())])
    producer.flush()
    settings = load_settings({"bootstrap_servers": kafka_settings.bootstrap_servers}, environ={}, folder=tmp_path)
    start(find_plan(bench.file), settings, Options(exactly_once=exactly_once)).run(until_caught_up=True)

    found, services = spans(collector)
    assert services == {"fraud"}
    whole = {span.span_id: span for span in found["decide portion"]}
    linked = {link.trace_id.hex() for span in whole.values() for link in span.links}
    decided = {span.trace_id.hex(): span for span in found[f"decide {topic}"]}
    assert set(decided) == linked == set(TRACES.values())
    for number, trace_id in TRACES.items():
        span = decided[trace_id]
        assert span.parent_span_id.hex() == SENDER
        assert [link.span_id in whole for link in span.links] == [True]
        assert attributes(span)["messaging.kafka.offset"] == number
        assert attributes(span).get("fraudstream.outcome") == (None if number == 40 else "approve")
        assert span.end_time_unix_nano >= span.start_time_unix_nano
    written = bench.read(bench.scores)
    assert len(written) == COUNT - 1
    sequences: dict[int, list[int]] = {}
    for message in written:
        decision = json.loads(message.value())["decision"]
        sequences.setdefault(message.partition(), []).append(decision["sequence"])
        number = decision["input"]["offset"]
        carried = None
        if number in TRACES:
            carried = f"00-{TRACES[number]}-{decided[TRACES[number]].span_id.hex()}-01".encode()
        assert dict(message.headers() or ()).get("traceparent") == carried
    # What goes by itself keeps its place.
    assert list(sequences.values()) == [sorted(each) for each in sequences.values()]
    (letter,) = bench.read(bench.pipeline.dead_letters.name)
    assert dict(letter.headers())["traceparent"].decode().split("-")[1] == TRACES[40]


def test_without_a_collector_there_is_no_tracing() -> None:
    named = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    assert begin_tracing({}) is None
    assert begin_tracing(named | {"OTEL_SDK_DISABLED": "true"}) is None
    assert begin_tracing(named | {"OTEL_TRACES_EXPORTER": "none"}) is None
