"""`fraudstream status`: how pipelines stand, on one screen."""

from __future__ import annotations

import signal
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from fraudstream.cli.console import show_json
from fraudstream.cli.history import duration
from fraudstream.cli.options import AsJson, BootstrapServers, ConfigFile, SetValues, settings_from
from fraudstream.errors import UsageError

if TYPE_CHECKING:
    from fraudstream.status.overview import Overview


def command(
    pipelines: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE | NAME …]", help="Pipelines; without any, those known here that have run."),
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", help="Its scorers' consumer group, with one pipeline; as of `run`.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again until stopped.")] = False,
    every: Annotated[str, typer.Option("--every", help="With --watch: how often.")] = "2s",
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Show scorers, lag and rate, the day's alerts and dead letters, model, state, sinks, cases and drift of pipelines.

    It asks Kafka, the store and the folders, and needs no metrics. What does not answer is shown so, after 5 s.
    """
    from fraudstream.kafka.client import check_reachable
    from fraudstream.pipelines import find_plan, known_names
    from fraudstream.status.overview import PipelineStatus, look, that_have_run

    every_s = duration("--every", every) / 1_000
    settings = settings_from(bootstrap_servers, config, values)
    wanted = pipelines
    if group is not None and len(wanted or ()) != 1:
        raise UsageError(
            f"--group {group} is one pipeline's, and {len(wanted or ())} are named.",
            f"Name one: `fraudstream status NAME --group {group}`.",
        )
    if not wanted:
        check_reachable(settings)
        wanted = that_have_run(settings, known_names(settings.pipelines_folder))
        if not wanted:
            raise UsageError(
                f"None of the pipelines known here has run at {settings.bootstrap_servers}.",
                "Name one: `fraudstream status NAME`.",
            )
    statuses = [PipelineStatus(settings, find_plan(each, settings.pipelines_folder), group) for each in wanted]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _show(look(statuses), as_json=as_json, clear=watch)
        while watch:
            time.sleep(every_s)
            _show(look(statuses), as_json=as_json, clear=True)
    except KeyboardInterrupt:
        pass  # the usual way to end it


def _show(overviews: list[Overview], *, as_json: bool, clear: bool) -> None:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    if as_json:
        found = {each.pipeline: {name: seen.figures for name, seen in each.lines.items()} for each in overviews}
        show_json({"at": at, "pipelines": found})
        return
    if clear and sys.stdout.isatty():
        print("\x1b[2J\x1b[H", end="")
    for each in overviews:
        print(f"{each.pipeline}  {at}")
        for name, seen in each.lines.items():
            print(f"  {name:<10} {seen.text}")
    sys.stdout.flush()
