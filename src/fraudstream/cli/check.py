"""`fraudstream check`: is a pipeline right, and if not, everything that is wrong with it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fraudstream.cli.console import show_json, show_problems
from fraudstream.cli.options import AsJson, ConfigFile, SetValues, settings_from
from fraudstream.define.pipeline import Format
from fraudstream.errors import DefinitionError, UsageError
from fraudstream.plan.plan import Plan
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
    subjects = _registered(plan, settings) if registry else {}
    is_fit = all(each["wrong"] is None for found in subjects.values() for each in found)
    if as_json:
        shown = {"pipeline": versions.pipeline, "rules": versions.rules, "lists": versions.lists}
        named = {"source": definition.source, "name": plan.pipeline.name}
        show_json({"ok": is_fit, **named, "versions": shown, **({"registry": subjects} if registry else {})})
        raise typer.Exit(0 if is_fit else 1)
    model = plan.pipeline.model
    inputs = f"a model of {len(model.features)} inputs" if model else "no model"
    print(
        f"{plan.pipeline.name} is ok: {len(plan.pipeline.event.fields)} fields, {len(plan.features)} features "
        f"over {len(plan.logs)} keys, {len(plan.rules)} rules, {inputs}"
    )
    print(f"  pipeline {versions.pipeline}, rules {versions.rules}, state {plan.state_identity}")
    for name, found in subjects.items():
        _show(name, found)
    raise typer.Exit(0 if is_fit else 1)


def _registered(plan: Plan, settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """What the registry has for the input and the routes, by subject, and what is wrong with it.

    Raises:
        UsageError: All of them are JSON, which has no schemas.
        RegistryUnreachable, RegistryError, SettingError, ToolError: It cannot be asked.
    """
    pipeline = plan.pipeline
    routes = [route for route in pipeline.routes if route.format is not Format.JSON]
    if pipeline.input.format is Format.JSON and not routes:
        raise UsageError(f"All topics of {pipeline.name} are JSON, which has no schemas.", "Leave out --registry.")
    from fraudstream.kafka.subjects import checked_output, registered_inputs, subject_of

    found: dict[str, list[dict[str, Any]]] = {}
    if pipeline.input.format is not Format.JSON:
        found[subject_of(pipeline.input.name)] = [
            {"version": each.number, "schema": each.schema_id, "wrong": each.refused}
            for each in registered_inputs(pipeline, settings)
        ]
    for route in routes:
        schema_id, wrong = checked_output(plan, route, settings)
        found[subject_of(route.topic)] = [{"schema": schema_id, "wrong": wrong}]
    return found


def _show(subject: str, found: list[dict[str, Any]]) -> None:
    for each in found:
        if "version" not in each:
            print(f"  {subject}: {each['wrong'] or 'the schema of decisions is registered as ' + str(each['schema'])}")
            continue
        becomes = "is read" if each["wrong"] is None else "becomes dead letters, incompatible_schema"
        print(f"  {subject} version {each['version']} (schema {each['schema']}) {becomes}")
        if each["wrong"] is not None:
            print(f"    {each['wrong']}")
    if not found:
        print(f"  {subject} has no versions: nobody has registered a schema for the input")
