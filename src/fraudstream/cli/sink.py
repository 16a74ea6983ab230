"""`fraudstream sink`: what leaves a pipeline's topics for databases and files."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from fraudstream.cli import sink_to
from fraudstream.cli.console import show_json, show_note
from fraudstream.cli.options import AsJson, BootstrapServers, ConfigFile, SetValues, settings_from

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

    settings = settings_from(bootstrap_servers, config, values)
    plan = find_plan(pipeline, settings.pipelines_folder)
    opened = open_store(settings)
    record_versions(opened, plan)
    target = StoreTarget(opened, plan)
    loop = SinkLoop(settings, target.topics, target, PACE, skip_missing=skip_missing, tell=show_note)
    if not as_json:
        show_note(f"writing {', '.join(target.topics)} to {opened.name}; stop with Ctrl-C")
    progress = _run(loop, until_caught_up)
    if as_json:
        show_json({"summary": _summary(progress) | {"rows": dict(target.rows)}})
    else:
        rows = ", ".join(f"{name} {count:,}" for name, count in sorted(target.rows.items())) or "no rows"
        print(f"{plan.pipeline.name}: {_sentence(progress)}: {rows}")


def _run(loop: SinkLoop, until_caught_up: bool) -> Progress:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: loop.stop())
    return loop.run(until_caught_up=until_caught_up)


def _summary(progress: Progress) -> dict[str, object]:
    return {
        "records": progress.records,
        "writes": progress.writes,
        "interruptions": progress.interruptions,
        "seconds": round(progress.seconds, 3),
    }


def _sentence(progress: Progress) -> str:
    return f"{progress.records:,} records in {progress.seconds:.1f} s, in {progress.writes:,} transactions"
