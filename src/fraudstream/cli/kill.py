"""`fraudstream kill`: switch a pipeline's model or one of its rules off, in every scorer, within a second."""

from __future__ import annotations

import getpass
from enum import StrEnum
from typing import Annotated

import typer

from fraudstream.cli.console import show_json, show_note, show_table
from fraudstream.cli.options import AsJson, BootstrapServers, ConfigFile, SetValues, settings_from
from fraudstream.define.fallback import MODEL_SCORE
from fraudstream.define.pipeline import Pipeline
from fraudstream.define.reader import suggestion
from fraudstream.errors import UsageError
from fraudstream.settings import Settings


class What(StrEnum):
    """What can be switched off."""

    MODEL = "model"
    RULE = "rule"


PipelineName = Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")]
Kind = Annotated[What | None, typer.Argument(metavar="[model | rule]", help="Which; without it, what is off is shown.")]
Code = Annotated[str | None, typer.Argument(metavar="[CODE]", help="The rule's code.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the switch.")]


def command(
    pipeline: PipelineName,
    what: Kind = None,
    code: Code = None,
    reason: Reason = "",
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Switch a pipeline's model or one of its rules off, in all its scorers and those started later, until `revive`.

    Decisions made meanwhile are flagged `degraded` and name what was off.
    """
    turn_switch(
        pipeline, what, code, reason, settings_from(bootstrap_servers, config, values), off=True, as_json=as_json
    )


def turn_switch(
    name: str, what: What | None, code: str | None, reason: str, settings: Settings, *, off: bool, as_json: bool
) -> None:
    """Turns a switch, or shows those that are off.

    Raises:
        UsageError: There is no such rule or model.
    """
    from fraudstream.pipelines import find_pipeline
    from fraudstream.runner.switches import switched_off, turn

    pipeline = find_pipeline(name, settings.pipelines_folder)
    if what is None:
        _show_off(settings, pipeline, as_json)
        return
    chosen = code_of(pipeline, what, code)
    if not off and chosen not in {switch.code for switch in switched_off(settings, pipeline)}:
        raise UsageError(f"{chosen} of {pipeline.name} is not switched off.", "Nothing was changed.")
    done = turn(settings, pipeline, chosen, off=off, by=getpass.getuser(), reason=reason)
    if as_json:
        show_json(done)
    else:
        print(f"{chosen} of {pipeline.name} is switched {'off' if off else 'on again'}")


def code_of(pipeline: Pipeline, what: What, code: str | None) -> str:
    """The code of what is meant.

    Raises:
        UsageError: There is no such rule or model.
    """
    codes = [rule.code for rule in pipeline.rules]
    if what is What.MODEL:
        if code is not None:
            raise UsageError(f"The model has no code, and {code!r} was given.", "Leave it out.")
        if pipeline.model is None:
            raise UsageError(f"{pipeline.name} declares no model.", "Name a rule: `rule CODE`.")
        return MODEL_SCORE
    if code not in codes:
        found = "No rule is named." if code is None else f"{pipeline.name} has no rule {code!r}."
        raise UsageError(found, suggestion(code or "", codes))
    return code


def _show_off(settings: Settings, pipeline: Pipeline, as_json: bool) -> None:
    from fraudstream.runner.switches import switched_off

    found = switched_off(settings, pipeline)
    if as_json:
        show_json(found)
    elif found:
        show_table(("OFF", "SINCE", "BY", "REASON"), [(each.code, each.at, each.by, each.reason) for each in found])
    else:
        show_note(f"Nothing of {pipeline.name} is switched off.")
