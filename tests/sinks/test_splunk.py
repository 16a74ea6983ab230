"""Splunk's HTTP Event Collector, against a server that answers as it does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fraudstream.errors import DefinitionError
from fraudstream.outbound import parse_address
from fraudstream.settings import Secret
from fraudstream.sinks.delivery import SinkUnavailable
from fraudstream.sinks.load import load_sinks
from fraudstream.sinks.splunk import ACKNOWLEDGEMENTS, EVENTS, SplunkSink
from fraudstream.testing.behaviour import Behaviour
from fraudstream.testing.sinks import TIMEOUT_MS, SinkContract, alerts
from servers import CERTIFICATE, Answer, Receiver, Request, receiver, server_tls

TOKEN = "11111111-2222-3333-4444-555555555555"


class Collector:
    """Splunk's collector, and a sink into it."""

    secrets = (TOKEN,)

    def __init__(self, server: Receiver, **options: Any) -> None:
        self.server = server
        self.events: list[str] = []
        self.bad: str | None = None
        self.most_bytes = 10**6
        self.acknowledges_after = 2
        server.refusal = Answer(503, {}, b'{"text":"Server is busy","code":9}')
        server.answer = self._answer
        self.sink = SplunkSink(
            parse_address(f"http://127.0.0.1:{server.port}"), Secret(TOKEN), timeout_ms=TIMEOUT_MS, **options
        )

    def _answer(self, request: Request) -> Answer:
        if request.headers["authorization"] != f"Splunk {TOKEN}":
            return Answer(403, {}, b'{"text":"Invalid token","code":4}')
        if request.path.startswith(ACKNOWLEDGEMENTS):
            self.acknowledges_after -= 1
            done = self.acknowledges_after <= 0
            return Answer(200, {}, json.dumps({"acks": {"7": done}}).encode())
        assert request.path.startswith(EVENTS)
        assert "channel=" in request.path
        if len(request.body) > self.most_bytes:
            return Answer(413, {}, b"too large")
        for number, line in enumerate(request.body.decode().split("\n")):
            if self.bad is not None and self.bad in line:
                answer = {"text": "Error in handling indexed fields", "code": 15, "invalid-event-number": number}
                return Answer(400, {}, json.dumps(answer).encode())
            self.events.append(line)
        return Answer(200, {}, b'{"text":"Success","code":0,"ackId":7}')

    def behave(self, behaviour: Behaviour) -> None:
        self.server.behave(behaviour)

    def arrived(self) -> list[str]:
        return self.events


@pytest.fixture
def stage() -> Iterator[Collector]:
    with receiver() as server:
        yield Collector(server)


class TestSplunk(SinkContract):
    """The contract of every sink."""


def test_an_event_has_its_time_and_source(stage: Collector) -> None:
    stage.sink.deliver(alerts(3))
    event = json.loads(stage.events[0])
    assert event["time"] == 1767225603.5
    assert (event["source"], event["sourcetype"]) == ("fraudstream", "fraudstream:alert")
    assert event["event"]["features"] == {"card_count_1h": 3}
    assert "index" not in event


def test_one_bad_event_is_refused_and_all_others_arrive(stage: Collector) -> None:
    stage.bad = '"events-0-4"'
    refused = stage.sink.deliver(alerts(*range(8)))
    assert [(each.alert["alert_id"], each.reason) for each in refused] == [
        ("events-0-4", "Error in handling indexed fields")
    ]
    there = {json.loads(event)["event"]["alert_id"] for event in stage.events}
    assert there == {f"events-0-{number}" for number in range(8)} - {"events-0-4"}


def test_a_wrong_index_costs_no_alert(stage: Collector) -> None:
    """Splunk names an event then, too, though none is at fault."""
    answer = b'{"text":"Incorrect index","code":7,"invalid-event-number":0}'
    stage.server.answer = lambda _: Answer(400, {}, answer)
    with pytest.raises(SinkUnavailable, match="answered 400: Incorrect index"):
        stage.sink.deliver(alerts(0, 1))
    assert len(stage.server.requests) == 1


def test_a_page_of_another_server_takes_no_alert(stage: Collector) -> None:
    """As where the port is that of Splunk's pages, or a proxy wants to know who we are."""
    stage.server.answer = lambda _: Answer(200, {}, b"<html>Log in</html>")
    with pytest.raises(SinkUnavailable, match="answered 200: no reason"):
        stage.sink.deliver(alerts(0))


def test_what_is_too_large_goes_in_parts(stage: Collector) -> None:
    stage.most_bytes = 2_000
    assert stage.sink.deliver(alerts(*range(10))) == []
    assert len(stage.events) == 10
    stage.most_bytes = 10
    assert [each.reason for each in stage.sink.deliver(alerts(0, 1))] == ["it is too large"] * 2


def test_it_waits_for_the_indexers_where_it_is_told_to() -> None:
    with receiver() as server:
        stage = Collector(server, acknowledge=True, index="fraud")
        stage.sink.deliver(alerts(0))
        assert stage.acknowledges_after == 0
        assert json.loads(stage.events[0])["index"] == "fraud"
        stage.acknowledges_after = 10**9
        with pytest.raises(SinkUnavailable, match="has not acknowledged"):
            stage.sink.deliver(alerts(1))


def test_a_wrong_token_is_said_and_not_shown() -> None:
    with receiver() as server:
        stage = Collector(server)
        sink = SplunkSink(parse_address(f"http://127.0.0.1:{server.port}"), Secret("wr0ng"), timeout_ms=TIMEOUT_MS)
        with pytest.raises(SinkUnavailable, match="answered 403: Invalid token") as said:
            sink.deliver(alerts(0))
        assert "wr0ng" not in str(said.value)
        assert stage.events == []


def test_it_is_declared_over_tls(tmp_path: Path) -> None:
    with receiver(server_tls()) as server:
        stage = Collector(server)
        (tmp_path / "ca.pem").write_bytes(CERTIFICATE.read_bytes())
        (tmp_path / "sinks.yaml").write_text(
            f"sinks: {{siem: {{kind: splunk, url: 'https://localhost:{server.port}', token: '${{T}}', "
            "ca_file: ca.pem}}"
        )
        sink = load_sinks(tmp_path / "sinks.yaml", {"T": TOKEN})["siem"]
        assert sink.deliver(alerts(0)) == []
        assert len(stage.events) == 1


@pytest.mark.parametrize(
    ("text", "path", "found"),
    [
        ("{}", "sinks", "is missing"),
        ("sinks: {a: {}}", "sinks.a.kind", "is missing"),
        ("sinks: {a: {kind: splnk}}", "sinks.a.kind", "Did you mean 'splunk'?"),
        ("sinks: {a: {kind: splunk, url: 'x', token: '${T}'}}", "sinks.a.url", "does not begin with http"),
        ("sinks: {a: {kind: splunk, url: 'https://x'}}", "sinks.a.token", "is missing"),
        ("sinks: {a: {kind: splunk, url: 'https://x', token: secr3t}}", "sinks.a.token", "stands in the file"),
        ("sinks: {a: {kind: splunk, url: 'https://x', token: '${T}', idx: x}}", "sinks.a.idx", "unknown key"),
        ("sinks: {a: {kind: elasticsearch}}", "sinks.a.url", "is missing"),
        ("sinks: {a: {kind: elasticsearch, url: 'https://x', username: me}}", "sinks.a.username", "belong together"),
        (
            "sinks: {a: {kind: elasticsearch, url: 'https://x', username: m, password: '${T}', api_key: '${T}'}}",
            "sinks.a.api_key", "keep one",
        ),
        ("sinks: {a: {kind: cef, url: 'tls://x', ca_file: gone.pem}}", "sinks.a.ca_file", "no such file"),
        ("sinks: {a: {kind: cef, url: 'tls://x', cert_file: sinks.yaml}}", "sinks.a.cert_file", "cannot be used"),
        ("sinks: {a: {kind: cef, url: 'tls://x', key_file: key.pem}}", "sinks.a.key_file", "without its certificate"),
        ("sinks: {a: {kind: cef, url: 'udp://x'}}", "sinks.a.url", "no address of a syslog server"),
        ("sinks: {a: {kind: cef, url: 'tls://x', framing: words}}", "sinks.a.framing", "Allowed: lines, octets"),
    ],
)  # fmt: skip
def test_a_problem_of_sinks_yaml_is_said_with_its_path(tmp_path: Path, text: str, path: str, found: str) -> None:
    (tmp_path / "sinks.yaml").write_text(text)
    with pytest.raises(DefinitionError) as error:
        load_sinks(tmp_path / "sinks.yaml", {"T": TOKEN})
    assert [p for p in error.value.problems if p.path == path and found.lower() in str(p).lower()], str(error.value)
    assert "secr3t" not in str(error.value)
