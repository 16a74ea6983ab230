"""`fraudstream alerts`: follow a pipeline's alerts."""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from fraudstream.cli.console import show_note
from fraudstream.cli.options import BootstrapServers, ConfigFile, SetValues, settings_from
from fraudstream.define.pipeline import Pipeline
from fraudstream.errors import UsageError
from fraudstream.units import parse_duration

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
    why: Annotated[bool, typer.Option("--why", help="Below each line its reasons in words.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print each alert's record as it is, one a line.")] = False,
) -> None:
    """Follow a pipeline's alerts, until stopped by Ctrl-C. Reading leaves no trace: no offsets are committed.

    A line has the alert's time, risk level, action, key, amount, reasons and id. Pipelines may share a topic of alerts;
    those of other pipelines' input are left out.
    """
    from fraudstream.engine.alerts import alert_routes
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
        _follow(tail, found, limit, until, as_json=as_json, why=why)
    except KeyboardInterrupt:
        pass  # the usual way to end it
    finally:
        tail.close()


def _follow(
    tail: TopicTail, pipeline: Pipeline, limit: int | None, until: float | None, *, as_json: bool, why: bool
) -> None:
    shown = 0
    for record in tail:
        if record is not None and record.value is not None and not _is_of_another(pipeline, record.value):
            print(one_line(record.value) if as_json else readable(pipeline, record))
            if why and not as_json:
                print("".join(f"    {sentence}\n" for sentence in sentences(record.value)), end="")
            sys.stdout.flush()
            shown += 1
        if shown == limit or (until is not None and time.monotonic() >= until):
            return


def _is_of_another(pipeline: Pipeline, value: bytes) -> bool:
    """Whether this is an alert of another input than the pipeline's; what cannot be read is not."""
    from fraudstream.engine.alerts import NotAnAlert, input_topic_of

    try:
        return input_topic_of(value) != pipeline.input.name
    except NotAnAlert:
        return False


def one_line(value: bytes) -> str:
    """A record as it is; line breaks, which JSON has only between its tokens, become spaces."""
    return value.decode("utf-8", "backslashreplace").replace("\n", " ").replace("\r", " ")


def sentences(value: bytes) -> list[str]:
    """The reasons of an alert in words, with what those of the model contributed; none where a record has none."""
    try:
        document = json.loads(value)
        reasons = document.get("decision", document)["explanation"]["reasons"]
        added = [each["contribution"] for each in reasons]
        shown = [
            each["sentence"] + ("" if size is None else f" ({size:+.2f})")
            for each, size in zip(reasons, added, strict=True)
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []
    return ["".join(letter if letter.isprintable() else "\ufffd" for letter in text) for text in shown]


def readable(pipeline: Pipeline, record: Record) -> str:
    """The line of one alert; a record that no scorer wrote is named by its place."""
    from fraudstream.engine.alerts import NotAnAlert, read_alert
    from fraudstream.notify.template import fields_of

    try:
        of = fields_of(read_alert(pipeline, record.value or b"", record.key))
    except NotAnAlert:
        return f"not an alert: {record.topic}-{record.partition}-{record.offset}"
    level, action, key = f"{of['risk_level']:<8}", f"{of['action']:<6}", f"{of['key']:<20}"
    return f"{of['alert_at']}  {level}  {action}  {key}  {of['amount']:>12}  {of['reasons']}  {of['alert_id']}"
