"""`fraudstream check`: is a pipeline right, and if not, everything that is wrong with it."""

from __future__ import annotations

from typing import Annotated

import typer

from fraudstream.cli.console import show_json, show_problems
from fraudstream.cli.options import AsJson, ConfigFile, settings_from
from fraudstream.errors import DefinitionError


def command(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Check a pipeline and show every problem at once, each with its place and what to do. Exits 1 if there is any."""
    from fraudstream.pipelines import find_definition
    from fraudstream.plan.load import plan_definition

    definition = find_definition(pipeline, settings_from(config=config).pipelines_folder)
    try:
        plan = plan_definition(definition)
    except DefinitionError as error:
        show_problems(error, as_json=as_json)
        raise typer.Exit(1) from None
    versions = plan.versions
    if as_json:
        shown = {"pipeline": versions.pipeline, "rules": versions.rules, "lists": versions.lists}
        show_json({"ok": True, "source": definition.source, "name": plan.pipeline.name, "versions": shown})
        return
    model = plan.pipeline.model
    inputs = f"a model of {len(model.features)} inputs" if model else "no model"
    print(
        f"{plan.pipeline.name} is ok: {len(plan.pipeline.event.fields)} fields, {len(plan.features)} features "
        f"over {len(plan.logs)} keys, {len(plan.rules)} rules, {inputs}"
    )
    print(f"  pipeline {versions.pipeline}, rules {versions.rules}, state {plan.state_identity}")
