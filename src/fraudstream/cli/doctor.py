"""`fraudstream doctor`: what is wrong with the surroundings of a pipeline, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudstream.cli.console import show_json
from fraudstream.cli.options import AsJson, BootstrapServers, ConfigFile, SetValues, settings_from
from fraudstream.errors import DefinitionError

if TYPE_CHECKING:
    from fraudstream.doctor.examine import Examined

_SIGNS = {"ok": "ok", "skipped": "–", "warning": "WARNING", "error": "ERROR"}


def command(
    pipeline: Annotated[
        str | None, typer.Argument(metavar="[FILE | NAME]", help="A pipeline; without one, the surroundings alone.")
    ] = None,
    group: Annotated[str | None, typer.Option("--group", help="Its consumer group; default: fraudstream-NAME.")] = None,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Look at Kafka, topics, store, lake, model, keys, disk, clock and versions; say what to do about each finding.

    It changes nothing, but tries whether a transactional id, GROUP-doctor, can be had. With an error the exit code is
    1; warnings cost something some day.
    """
    from fraudstream.doctor.examine import Examined, examine
    from fraudstream.doctor.finding import Level, Subject
    from fraudstream.pipelines import find_plan

    settings = settings_from(bootstrap_servers, config, values)
    plan, wrong = None, []
    if pipeline is not None:
        try:
            plan = find_plan(pipeline, settings.pipelines_folder)
        except DefinitionError as error:
            found = f"{error.source} has {len(error.problems)} problems; its surroundings were not looked at."
            wrong = [Examined("pipeline", Level.ERROR, found, f"Run `fraudstream check {pipeline}`.")]
    if plan is not None and group is None:
        group = f"fraudstream-{plan.pipeline.name}"
    examined = wrong + examine(Subject(settings, plan, group, Path.cwd()))
    failed = any(each.level is Level.ERROR for each in examined)
    if as_json:
        show_json({"ok": not failed, "findings": [each._asdict() for each in examined]})
    else:
        _show(examined)
    if failed:
        raise typer.Exit(1)


def _show(examined: list[Examined]) -> None:
    width = max(len(each.check) for each in examined)
    for each in examined:
        print(f"{_SIGNS[each.level]:<8}{each.check:<{width}}  {each.found}")
        if each.advice:
            print(f"{'':<{8 + width}}  → {each.advice}")
    counts = {level: sum(each.level == level for each in examined) for level in ("error", "warning")}
    print(", ".join(f"{count} {level}{'s' if count != 1 else ''}" for level, count in counts.items()))
