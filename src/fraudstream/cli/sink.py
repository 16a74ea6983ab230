"""`fraudstream sink`: what leaves a pipeline's topics for databases and files."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from fraudstream.cli import sink_to
from fraudstream.cli.console import show_json, show_note
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
from fraudstream.errors import LakeUnreachable, UsageError

if TYPE_CHECKING:
    from fraudstream.sinks.loop import Progress, SinkLoop

app = typer.Typer(no_args_is_help=True, help="Keep what a pipeline's topics say, or deliver it.")

_Pipeline = Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")]
_UntilCaughtUp = Annotated[bool, typer.Option("--until-caught-up", help="Stop when all that is there is written.")]
_SkipMissing = Annotated[
    bool,
    typer.Option("--skip-missing", help="Go on at the oldest record where records were deleted before they were read."),
]


app.command()(sink_to.to)
app.command()(sink_to.check)


@app.command()
def store(
    pipeline: _Pipeline,
    until_caught_up: _UntilCaughtUp = False,
    skip_missing: _SkipMissing = False,
    metrics_port: MetricsPort = None,
    log_format: LogFormat = None,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Write a pipeline's decisions, alerts, labels and dead letters into the operational store, each record once.

    Runs until stopped by Ctrl-C or SIGTERM. While the database is away it waits, and goes on from where the database
    says it stands.
    """
    from fraudstream.pipelines import find_plan
    from fraudstream.sinks.loop import SinkLoop
    from fraudstream.sinks.store import PACE, StoreTarget, record_versions
    from fraudstream.store.migrate import open_store

    settings = settings_from(bootstrap_servers, config, values, metrics_port=metrics_port, log_format=log_format)
    plan = find_plan(pipeline, settings.pipelines_folder)
    opened = open_store(settings)
    record_versions(opened, plan)
    target = StoreTarget(opened, plan)
    loop = SinkLoop(settings, target.topics, target, PACE, skip_missing=skip_missing)
    if not as_json:
        show_note(f"writing {', '.join(target.topics)} to {opened.name}; stop with Ctrl-C")
    with observed(settings, "sink", pipeline=plan.pipeline.name, sink="store") as watch:
        watch(loop)
        progress = _run(loop, until_caught_up)
    _show(plan.pipeline.name, progress, target.rows, as_json=as_json)


@app.command()
def lake(
    pipeline: _Pipeline,
    until_caught_up: _UntilCaughtUp = False,
    skip_missing: _SkipMissing = False,
    metrics_port: MetricsPort = None,
    log_format: LogFormat = None,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Append a pipeline's events and decisions to Delta tables in a folder or on S3, each record once.

    Suspicious decisions have a table of their own besides. Rows are deleted as the pipeline's `retention` says.
    """
    from fraudstream.pipelines import find_plan
    from fraudstream.sinks.loop import SinkLoop

    try:
        from fraudstream.sinks.lake import PACE, LakeTarget
    except ModuleNotFoundError as missing:
        raise UsageError(
            f"The library {missing.name} for the lake is not installed.", "Run `pip install 'fraudstream[lake]'`."
        ) from None

    settings = settings_from(bootstrap_servers, config, values, metrics_port=metrics_port, log_format=log_format)
    plan = find_plan(pipeline, settings.pipelines_folder)
    target = LakeTarget(settings, plan)
    loop = SinkLoop(settings, target.topics, target, PACE, skip_missing=skip_missing)
    if not as_json:
        show_note(f"writing {', '.join(target.topics)} to {target.tables['events'].uri} …; stop with Ctrl-C")
    with observed(settings, "sink", pipeline=plan.pipeline.name, sink="lake") as watch:
        watch(loop)
        progress = _run(loop, until_caught_up)
        try:
            target.tidy()
        except LakeUnreachable as away:  # nothing is lost by it
            show_note(f"note: small files are joined the next time: {away}")
    _show(plan.pipeline.name, progress, target.rows, as_json=as_json)


def _run(loop: SinkLoop, until_caught_up: bool) -> Progress:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: loop.stop())
    return loop.run(until_caught_up=until_caught_up)


def _show(name: str, progress: Progress, rows: Mapping[str, int], *, as_json: bool) -> None:
    if as_json:
        summary = {
            "records": progress.records,
            "writes": progress.writes,
            "interruptions": progress.interruptions,
            "seconds": round(progress.seconds, 3),
            "rows": dict(rows),
        }
        show_json({"summary": summary})
        return
    written = ", ".join(f"{table} {count:,}" for table, count in sorted(rows.items()) if count) or "no rows"
    seconds, writes = f"{progress.seconds:.1f}", f"{progress.writes:,}"
    print(f"{name}: {progress.records:,} records in {seconds} s, in {writes} transactions: {written}")
