"""`fraudstream check`: is a pipeline right, and if not, everything that is wrong with it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fraudstream.cli.console import show_json, show_problems
from fraudstream.cli.options import AsJson, ConfigFile, SetValues, settings_from
from fraudstream.define.pipeline import Format, Pipeline
from fraudstream.errors import DefinitionError, UsageError
from fraudstream.settings import Settings


def command(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    registry: Annotated[
        bool, typer.Option("--registry", help="Also check the schemas that are registered for the input.")
    ] = False,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Check a pipeline and show every problem at once, each with its place and what to do. Exits 1 if there is any."""
    from fraudstream.pipelines import find_definition
    from fraudstream.plan.load import plan_definition

    settings = settings_from(config=config, values=values)
    definition = find_definition(pipeline, settings.pipelines_folder)
    try:
        plan = plan_definition(definition)
    except DefinitionError as error:
        show_problems(error, as_json=as_json)
        raise typer.Exit(1) from None
    versions = plan.versions
    subject = _registered(plan.pipeline, settings) if registry else {}
    is_read = all(each["refused"] is None for each in subject.get("versions", []))
    if as_json:
        shown = {"pipeline": versions.pipeline, "rules": versions.rules, "lists": versions.lists}
        named = {"source": definition.source, "name": plan.pipeline.name}
        show_json({"ok": is_read, **named, "versions": shown, **({"registry": subject} if registry else {})})
        raise typer.Exit(0 if is_read else 1)
    model = plan.pipeline.model
    inputs = f"a model of {len(model.features)} inputs" if model else "no model"
    print(
        f"{plan.pipeline.name} is ok: {len(plan.pipeline.event.fields)} fields, {len(plan.features)} features "
        f"over {len(plan.logs)} keys, {len(plan.rules)} rules, {inputs}"
    )
    print(f"  pipeline {versions.pipeline}, rules {versions.rules}, state {plan.state_identity}")
    if registry:
        _show(subject)
    raise typer.Exit(0 if is_read else 1)


def _registered(pipeline: Pipeline, settings: Settings) -> dict[str, Any]:
    """What the registry has for the input.

    Raises:
        UsageError: The input is JSON, which has no schemas.
        RegistryUnreachable, RegistryError, SettingError, ToolError: It cannot be asked.
    """
    if pipeline.input.format is Format.JSON:
        raise UsageError(f"The input of {pipeline.name} is JSON, which has no schemas.", "Leave out --registry.")
    from fraudstream.kafka.subjects import registered_inputs, subject_of

    versions = [each._asdict() for each in registered_inputs(pipeline, settings)]
    return {"subject": subject_of(pipeline.input.name), "versions": versions}


def _show(subject: dict[str, Any]) -> None:
    for each in subject["versions"]:
        becomes = "is read" if each["refused"] is None else "becomes dead letters, incompatible_schema"
        print(f"  {subject['subject']} version {each['number']} (schema {each['schema_id']}) {becomes}")
        if each["refused"] is not None:
            print(f"    {each['refused']}")
    if not subject["versions"]:
        print(f"  {subject['subject']} has no versions: nobody has registered a schema for the input")
