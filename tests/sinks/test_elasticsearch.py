"""Elasticsearch's bulk API, against a server that answers as it does."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fraudstream.outbound import parse_address
from fraudstream.settings import Secret, load_settings
from fraudstream.sinks.alerts import AlertTarget
from fraudstream.sinks.delivery import SinkUnavailable
from fraudstream.sinks.elasticsearch import ECS_VERSION, ElasticsearchSink, as_ecs
from fraudstream.store.migrate import open_store
from fraudstream.testing.behaviour import Behaviour
from fraudstream.testing.sinks import PIPELINE, TIMEOUT_MS, SinkContract, alerts, record
from servers import Answer, Receiver, Request, receiver

KEY = "YXBpLWtleS1vZi10aGUtc2luaw=="


class Node:
    """A node that holds documents by their ids, and a sink into it."""

    secrets = (KEY,)

    def __init__(self, server: Receiver) -> None:
        self.server = server
        self.documents: dict[tuple[str, str], str] = {}
        self.statuses: dict[str, int] = {}
        self.error: str | None = None
        self.most_bytes = 10**6
        server.answer = self._answer
        self.sink = ElasticsearchSink(
            parse_address(f"http://127.0.0.1:{server.port}/"), authorization=Secret(f"ApiKey {KEY}"),
            timeout_ms=TIMEOUT_MS,
        )  # fmt: skip

    def _answer(self, request: Request) -> Answer:
        assert request.path.startswith("/_bulk")
        assert request.headers["content-type"] == "application/x-ndjson"
        assert request.body.endswith(b"\n")
        if request.headers.get("authorization") != f"ApiKey {KEY}":
            error = {"type": "security_exception", "reason": "unable to authenticate"}
            assert "filter_path=error," in request.path  # or it would be left out of the answer
            return Answer(401, {}, json.dumps({"error": error}).encode())
        if len(request.body) > self.most_bytes:
            return Answer(413)
        lines = request.body.decode().splitlines()
        items = [self._create(json.loads(lines[i])["create"], lines[i + 1]) for i in range(0, len(lines), 2)]
        errors = any(item["create"]["status"] >= 300 for item in items)
        filtered = {name: value for name, value in (("errors", errors), ("items", items)) if name in request.path}
        return Answer(200, {}, json.dumps(filtered).encode())

    def _create(self, action: dict[str, Any], document: str) -> dict[str, Any]:
        place = (action["_index"], action["_id"])
        status = self.statuses.get(json.loads(document)["event"]["id"], 201)
        if place in self.documents:
            status = 409
        if status != 201:
            return {
                "create": {"status": status, "error": {"type": self.error or f"error_{status}", "reason": "as it is"}}
            }
        self.documents[place] = document
        return {"create": {"status": 201}}

    def behave(self, behaviour: Behaviour) -> None:
        self.server.behave(behaviour)

    def arrived(self) -> list[str]:
        return list(self.documents.values())


@pytest.fixture
def stage() -> Iterator[Node]:
    with receiver() as server:
        yield Node(server)


class TestElasticsearch(SinkContract):
    """The contract of every sink; what is delivered twice is there once."""

    repeats_show = False


def test_fields_have_the_names_of_the_common_schema() -> None:
    (alert,) = alerts(3)
    document = as_ecs(alert)
    assert document["@timestamp"] == "2026-01-01T00:00:03.500Z"
    assert document["ecs"] == {"version": ECS_VERSION}
    assert document["event"] == {
        "kind": "alert", "category": ["threat"], "type": ["indicator"], "module": "fraudstream",
        "dataset": "fraudstream.alert", "action": "block", "id": "events-0-3", "created": "2026-01-01T00:00:03.500Z",
        "start": "2026-01-01T00:00:03.500Z", "reason": "HIGH, MODEL_SCORE", "risk_score": 75.0, "severity": 99,
    }  # fmt: skip
    assert document["rule"] == {"name": ["HIGH"]}
    assert document["fraudstream"] == alert
    approved = as_ecs(alert | {"action_required": "APPROVE", "score": None})
    assert (approved["event"]["kind"], approved["event"]["risk_score"]) == ("event", None)
    assert "category" not in approved["event"]


def test_a_document_that_is_wrong_is_refused_and_all_others_are_there(stage: Node) -> None:
    stage.statuses = {"events-0-1": 400}
    refused = stage.sink.deliver(alerts(0, 1, 2))
    assert [(each.alert["alert_id"], each.reason) for each in refused] == [("events-0-1", "error_400: as it is")]
    assert len(stage.documents) == 2


def test_what_was_refused_is_noted_before_it_is_passed_over(stage: Node, tmp_path: Path) -> None:
    store = open_store(load_settings(environ={}, folder=tmp_path))
    path = tmp_path / "sinks" / "siem.refused.jsonl"
    target = AlertTarget(stage.sink, store, PIPELINE, "siem", path)
    stage.statuses = {"events-0-1": 400}
    path.parent.write_text("a file where the folder would be")
    with pytest.raises(SinkUnavailable, match=r"1 alerts were refused, and .*jsonl cannot be written: File exists"):
        target.write([record(0), record(1)])
    assert target.positions() == {}
    path.parent.unlink()
    target.write([record(0), record(1)])
    assert json.loads(path.read_text()) == {
        "pipeline": "trial", "alert_id": "events-0-1", "reason": "error_400: as it is"
    }  # fmt: skip
    assert (target.delivered, target.refused, target.positions()) == (1, 1, {("alerts", 0): 2})


@pytest.mark.parametrize("error", ["invalid_index_name_exception", "index_closed_exception", "validation_exception"])
def test_what_is_wrong_with_the_index_costs_no_document(stage: Node, error: str) -> None:
    """Its status is that of a document that does not fit, but then none is taken."""
    stage.error, stage.statuses = error, {"events-0-0": 400, "events-0-1": 400}
    with pytest.raises(SinkUnavailable, match=f"400, {error}: as it is"):
        stage.sink.deliver(alerts(0, 1))
    stage.error = "document_parsing_exception"
    assert len(stage.sink.deliver(alerts(0, 1))) == 2


@pytest.mark.parametrize("status", [429, 403, 404, 503])
def test_a_document_that_is_not_taken_now_is_delivered_again(stage: Node, status: int) -> None:
    stage.statuses = {"events-0-1": status}
    with pytest.raises(SinkUnavailable, match=f"{status}, error_{status}"):
        stage.sink.deliver(alerts(0, 1, 2))
    stage.statuses = {}
    assert stage.sink.deliver(alerts(0, 1, 2)) == []
    assert len(stage.documents) == 3


def test_what_is_too_large_goes_in_parts(stage: Node) -> None:
    stage.most_bytes = 4_000
    assert stage.sink.deliver(alerts(*range(9))) == []
    assert len(stage.documents) == 9


def test_who_we_are_is_said_as_declared(stage: Node) -> None:
    address = parse_address(f"http://127.0.0.1:{stage.server.port}")
    with pytest.raises(SinkUnavailable, match="401: security_exception: unable to authenticate"):
        ElasticsearchSink(address, timeout_ms=TIMEOUT_MS).deliver(alerts(0))
    basic = Secret("Basic " + base64.b64encode(b"me:pass").decode())
    with pytest.raises(SinkUnavailable):
        ElasticsearchSink(address, authorization=basic, timeout_ms=TIMEOUT_MS).deliver(alerts(0))
    assert [request.headers.get("authorization") for request in stage.server.requests] == [None, "Basic bWU6cGFzcw=="]


def test_the_same_event_decided_anew_is_another_document(stage: Node) -> None:
    """A topic that was made anew has the same coordinates again."""
    (alert,) = alerts(0)
    stage.sink.deliver([alert])
    stage.sink.deliver([alert | {"alert_at": "2026-02-01T00:00:00.000Z"}])
    assert len(stage.documents) == 2
