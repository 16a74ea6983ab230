"""`fraudstream sink to` and `sink check`: alerts into the systems that `sinks.yaml` declares."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from fraudstream.cli.console import show_json, show_note, show_problems
from fraudstream.cli.observed import observed
from fraudstream.cli.options import (
    AsJson,
    BootstrapServers,
    ConfigFile,
    LogFormat,
    MetricsPort,
    SetValues,
    settings_from,
)
from fraudstream.errors import DefinitionError

DEFAULT_FILE = Path("sinks.yaml")


def to(
    sink: Annotated[str, typer.Argument(metavar="SINK", help="Its name in the file.")],
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    file: Annotated[Path, typer.Option("--file", "-f", metavar="FILE", help="Which sinks there are.")] = DEFAULT_FILE,
    all_decisions: Annotated[bool, typer.Option("--all", help="All decisions, not the alerts alone.")] = False,
    until_caught_up: Annotated[
        bool, typer.Option("--until-caught-up", help="Stop when all that is there is delivered.")
    ] = False,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Go on at the oldest record where records were deleted unread.")
    ] = False,
    metrics_port: MetricsPort = None,
    log_format: LogFormat = None,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Deliver a pipeline's alerts to Splunk, Elasticsearch, OpenSearch or syslog, each at least once, until stopped.

    While the system is away it waits and tries again. Its place is kept in the operational store.
    """
    from fraudstream.engine.alerts import alert_routes
    from fraudstream.pipelines import find_pipeline
    from fraudstream.sinks.alerts import AlertTarget
    from fraudstream.sinks.load import load_sinks
    from fraudstream.sinks.loop import Pace, SinkLoop
    from fraudstream.sinks.records import decision_routes
    from fraudstream.store.migrate import open_store

    settings = settings_from(bootstrap_servers, config, values, metrics_port=metrics_port, log_format=log_format)
    found = find_pipeline(pipeline, settings.pipelines_folder)
    into = load_sinks(file, only=sink)[sink]
    routes = decision_routes(found) if all_decisions else alert_routes(found)
    name = f"{sink}-all" if all_decisions else sink
    refusals = settings.project_folder / "sinks" / f"{name}-{found.name}.refused.jsonl"
    target = AlertTarget(into, open_store(settings), found, name, refusals)
    pace = Pace(records=into.most_alerts, wait_s=1.0)
    topics = [route.topic for route in routes]
    loop = SinkLoop(settings, topics, target, pace, skip_missing=skip_missing)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: loop.stop())
    if not as_json:
        show_note(f"delivering {', '.join(topics)} to {sink}; stop with Ctrl-C")
    with observed(settings, "sink", pipeline=found.name, sink=name) as watch:
        watch(loop)
        progress = loop.run(until_caught_up=until_caught_up)
    counts = {"delivered": target.delivered, "refused": target.refused, "others": target.others}
    if as_json:
        show_json({"summary": {**counts, "interruptions": progress.interruptions}})
        return
    print(
        f"{target.delivered:,} delivered to {sink}, {target.refused:,} refused, {progress.interruptions:,} times away"
    )
    if target.refused:
        print(f"  what was refused, and why: {refusals}")


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What declares the sinks.")] = DEFAULT_FILE,
    as_json: AsJson = False,
) -> None:
    """Check the sinks of a file; show every problem at once, with its place and what to do. Exits 1 if there is any."""
    from fraudstream.sinks.load import load_sinks

    try:
        sinks = load_sinks(file)
    except DefinitionError as error:
        show_problems(error, as_json=as_json)
        raise typer.Exit(1) from None
    if as_json:
        show_json({"ok": True, "source": str(file), "sinks": list(sinks)})
    else:
        print(f"{file} is ok: {', '.join(sinks)}")
