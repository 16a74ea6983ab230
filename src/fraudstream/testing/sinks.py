"""What every sink must do, to be run against a real server by pytest.

A sink's tests derive a class from `SinkContract` and give it the fixture `stage`: the sink, with a timeout of a
second, and the server it talks to. `tests/sinks/test_splunk.py` shows one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol

from fraudstream.define.pipeline import Pipeline, Topic
from fraudstream.engine.alerts import Document, read_alert
from fraudstream.kafka.tail import Record
from fraudstream.schema.event import Event, Field, FieldType
from fraudstream.settings import load_settings
from fraudstream.sinks.alerts import AlertTarget
from fraudstream.sinks.delivery import Sink, SinkUnavailable
from fraudstream.store.migrate import open_store
from fraudstream.testing.behaviour import FAILING, Behaviour

TIMEOUT_MS = 1_000
_FIELDS = (Field(name="card", type=FieldType.STRING), Field(name="amount", type=FieldType.DECIMAL))
PIPELINE = Pipeline(name="trial", event=Event(key="card", amount="amount", fields=_FIELDS), input=Topic(name="events"))


class Stage(Protocol):
    """A sink and its server."""

    sink: Sink
    secrets: Sequence[str]
    """Texts that nobody may see: tokens, keys, passwords."""

    def behave(self, behaviour: Behaviour) -> None:
        """Makes the server do so from now on."""
        ...

    def arrived(self) -> list[str]:
        """The text of each alert that the server has, in the order it came."""
        ...


def record(number: int) -> Record:
    """The record of an alert, as a scorer writes it."""
    at = f"2026-01-01T00:00:{number % 60:02}.500Z"
    value = {
        "alert_id": f"events-0-{number}", "transaction_id": f"e{number}", "key": "****1|=\\1", "amount": 1234.5,
        "score": 0.75, "risk_level": "CRITICAL", "reasons": ["HIGH", "MODEL_SCORE"], "rules": ["HIGH"], "event_at": at,
        "alert_at": at, "action_required": "BLOCK", "features": {"card_count_1h": 3},
        "input": {"topic": "events", "partition": 0, "offset": number}, "versions": {"rules": "abc"},
    }  # fmt: skip
    return Record("alerts", 0, number, 0, b"k", json.dumps(value).encode())


def alerts(*numbers: int) -> list[Document]:
    """Documents of alerts."""
    return [read_alert(PIPELINE, record(number).value or b"", b"k") for number in numbers]


class SinkContract:
    """Derive a class whose name begins with `Test`, and give it the fixture `stage`."""

    repeats_show: ClassVar[bool] = True
    """Whether the server has an alert twice that was delivered twice."""

    def test_all_arrive_in_order_with_what_they_say(self, stage: Stage) -> None:
        """`deliver` returns only when the server has all of them."""
        stage.behave(Behaviour.TAKES)
        assert stage.sink.deliver(alerts(*range(10))) == []
        arrived = stage.arrived()
        assert _numbers(arrived) == list(range(10))
        assert all("1234.50" in text and "CRITICAL" in text and "trial" in text for text in arrived)
        assert stage.sink.deliver([]) == []

    def test_what_is_not_taken_is_said_in_time_and_without_secrets(self, stage: Stage) -> None:
        """Busy, silent, cut off, gone: `SinkUnavailable`, soon, and without a secret; afterwards it works again."""
        for behaviour in FAILING:
            stage.behave(behaviour)
            began = time.monotonic()
            said = _failure_of(stage.sink, alerts(0))
            assert said is not None, f"nothing was said of a server that {behaviour}"
            assert time.monotonic() - began < TIMEOUT_MS / 1_000 + 2, behaviour
            assert [secret for secret in stage.secrets if secret in str(said)] == [], behaviour
        stage.behave(Behaviour.TAKES)
        stage.sink.deliver(alerts(0))
        assert 0 in _numbers(stage.arrived())

    def test_nothing_is_lost_by_failures_and_kills(self, stage: Stage, tmp_path: Path) -> None:
        """Batches through failures, and through the death of whoever has delivered and not yet noted its place."""
        settings = load_settings(environ={}, folder=tmp_path)
        store = open_store(settings)

        def started() -> AlertTarget:
            return AlertTarget(stage.sink, store, PIPELINE, "trial", tmp_path / "refused")

        target = started()
        for behaviour in (Behaviour.TAKES, Behaviour.CUTS, Behaviour.TAKES, Behaviour.GONE, Behaviour.TAKES):
            stage.behave(behaviour)
            first = target.positions().get(("alerts", 0), 0)
            batch = [record(number) for number in range(first, first + 5)]
            try:
                target.write(batch)
            except SinkUnavailable:
                assert behaviour is not Behaviour.TAKES
        assert target.delivered == 15
        stage.sink.deliver(alerts(*range(15, 20)))  # … and dies
        target = started()
        assert target.positions() == {("alerts", 0): 15}
        target.write([record(number) for number in range(15, 20)])
        numbers = _numbers(stage.arrived())
        assert set(numbers) == set(range(20))
        assert self.repeats_show or len(numbers) == 20
        assert target.positions() == {("alerts", 0): 20}


def _numbers(texts: Sequence[str]) -> list[int]:
    """The numbers of the alerts, found by their ids."""
    return [int(text.partition("events-0-")[2].partition('"')[0].split()[0]) for text in texts]


def _failure_of(sink: Sink, batch: Sequence[Document]) -> SinkUnavailable | None:
    try:
        sink.deliver(batch)
    except SinkUnavailable as said:
        return said
    return None
