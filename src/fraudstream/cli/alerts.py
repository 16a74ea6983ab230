"""`fraudstream alerts`: follow a pipeline's alerts."""

from __future__ import annotations

import json
import signal
import sys
import time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from fraudstream.cli.console import show_note
from fraudstream.cli.options import BootstrapServers, ConfigFile, SetValues, settings_from
from fraudstream.define.pipeline import Form, Pipeline, Route, Selection
from fraudstream.errors import UsageError
from fraudstream.units import format_instant, format_money, parse_duration

if TYPE_CHECKING:
    from fraudstream.kafka.tail import Record, TopicTail


def command(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Begin with the oldest alert kept, not with the next one.")
    ] = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Stop after so many alerts.")] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="DURATION", help="Stop after this time, e.g. 30s.")
    ] = None,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each alert's record as it is, one a line.")] = False,
) -> None:
    """Follow a pipeline's alerts, until stopped by Ctrl-C. Reading leaves no trace: no offsets are committed.

    A line has the alert's time, risk level, action, key, amount, reasons and id. Pipelines may share a topic of alerts;
    those of other pipelines' input are left out.
    """
    from fraudstream.kafka.tail import TopicTail
    from fraudstream.pipelines import find_pipeline

    settings = settings_from(bootstrap_servers, config, values)
    found = find_pipeline(pipeline, settings.pipelines_folder)
    routes = alert_routes(found)
    try:
        until = None if timeout is None else time.monotonic() + parse_duration(timeout) / 1_000
    except ValueError as wrong:
        raise UsageError(f"--timeout: {wrong}.") from None
    tail = TopicTail(settings, [route.topic for route in routes], from_beginning=from_beginning)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if not as_json:
        show_note(f"alerts of {found.name} from {', '.join(route.topic for route in routes)}; stop with Ctrl-C")
    try:
        _follow(tail, found, limit, until, as_json=as_json)
    except KeyboardInterrupt:
        pass  # the usual way to end it
    finally:
        tail.close()


def alert_routes(pipeline: Pipeline) -> list[Route]:
    """The routes on which a pipeline's alerts are: those in alert form, or else those of what was flagged.

    Raises:
        UsageError: It has neither.
    """
    alerts = [route for route in pipeline.routes if route.form is Form.ALERT]
    flagged = [route for route in pipeline.routes if route.carries is Selection.FLAGGED]
    if not alerts and not flagged:
        raise UsageError(
            f"The pipeline {pipeline.name} has no route of its alerts.",
            "Add one to its `routes`: {topic: fraud-alerts, carries: flagged, form: alert}.",
        )
    return alerts or flagged


def _follow(tail: TopicTail, pipeline: Pipeline, limit: int | None, until: float | None, *, as_json: bool) -> None:
    shown = 0
    for record in tail:
        if record is not None and record.value is not None and not _is_of_another(pipeline, record.value):
            print(one_line(record.value) if as_json else readable(pipeline, record))
            sys.stdout.flush()
            shown += 1
        if shown == limit or (until is not None and time.monotonic() >= until):
            return


def _is_of_another(pipeline: Pipeline, value: bytes) -> bool:
    """Whether this is an alert of another input than the pipeline's; what cannot be read is not."""
    try:
        topic = _alert_id(json.loads(value)).rsplit("-", 2)[0]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False
    return topic != pipeline.input.name


def _alert_id(document: dict[str, Any]) -> str:
    """Topic, partition and offset of the event, as every form has them."""
    if "decision" in document:
        place = document["decision"]["input"]
        return f"{place['topic']}-{place['partition']}-{place['offset']}"
    return str(document["alert_id"] if "alert_id" in document else document["decision_id"])


def one_line(value: bytes) -> str:
    """A record as it is; line breaks, which JSON has only between its tokens, become spaces."""
    return value.decode("utf-8", "backslashreplace").replace("\n", " ").replace("\r", " ")


class Alert(NamedTuple):
    """What a line shows, from any form of record."""

    at: str
    risk_level: str
    action: str
    key: str
    amount: str
    reasons: str
    alert_id: str

    def __str__(self) -> str:
        level, action, key = f"{self.risk_level:<8}", f"{self.action:<6}", f"{self.key:<20}"
        return f"{self.at}  {level}  {action}  {key}  {self.amount:>12}  {self.reasons}  {self.alert_id}"


def readable(pipeline: Pipeline, record: Record) -> str:
    """The line of one alert; a record that no scorer wrote is named by its place."""
    try:
        document = json.loads(record.value or b"", parse_float=Decimal)
        return _printable(str(_alert(pipeline, record, document)))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return f"not an alert: {record.topic}-{record.partition}-{record.offset}"


def _alert(pipeline: Pipeline, record: Record, document: dict[str, Any]) -> Alert:
    if "alert_id" in document:
        at, action = document["alert_at"], document["action_required"]
        key, amount = document["key"], document["amount"]
        decision = document
    elif "decision" in document:
        event, decision = document["event"], document["decision"]
        at, action = format_instant(int(decision["decided_at"])), decision["outcome"]
        key, amount = (event.get(name or "") for name in (pipeline.event.key, pipeline.event.amount))
    else:
        decision = document
        at, action = document["scored_at"], document["outcome"]
        key, amount = (document.get(name or "") for name in (pipeline.event.key, pipeline.event.amount))
    if key is None and record.key is not None:
        key = record.key.decode("utf-8", "replace")
    field = pipeline.event.field(pipeline.event.key or "")
    if key is not None and field is not None and field.sensitive and "alert_id" not in document:
        from fraudstream.engine.encode import mask

        key = mask(str(key))  # records of alert form come masked, the others hold the event as it was
    return Alert(
        at=str(at),
        risk_level=str(decision["risk_level"]),
        action=str(action).upper(),
        key="–" if key is None else str(key),
        amount=_money(pipeline, amount),
        reasons=", ".join(decision["reasons"]) or "–",
        alert_id=_alert_id(document),
    )


def _money(pipeline: Pipeline, amount: object) -> str:
    field = pipeline.event.field(pipeline.event.amount or "")
    if amount is None or field is None:
        return "–"
    try:
        return format_money(int(Decimal(str(amount)).scaleb(field.scale)), field.scale)
    except InvalidOperation:
        return str(amount)


def _printable(text: str) -> str:
    """The text without what could command a terminal: events are written by strangers."""
    return "".join(character if character.isprintable() else "�" for character in text)
