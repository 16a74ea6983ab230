"""`fraudstream schema`: the Avro or Protobuf schema of a pipeline's events."""

from __future__ import annotations

from typing import Annotated

import typer

from fraudstream.cli.console import show_json
from fraudstream.cli.options import AsJson, ConfigFile, SetValues, settings_from
from fraudstream.define.pipeline import Format
from fraudstream.errors import UsageError


def command(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    form: Annotated[
        str | None, typer.Option("--format", help="avro or protobuf; default: the input's, or avro.")
    ] = None,
    topic: Annotated[
        str | None, typer.Option("--topic", help="A route's topic: the schema of its decisions; default: the input.")
    ] = None,
    register: Annotated[
        bool, typer.Option("--register", help="Register it for the topic, as the subject TOPIC-value.")
    ] = False,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Print the schema of a pipeline's events, made from its fields, or of its decisions on a topic."""
    from fraudstream.engine.decision_wire import decision_schema
    from fraudstream.engine.event_records import event_schema
    from fraudstream.pipelines import find_plan

    settings = settings_from(config=config, values=values)
    plan = find_plan(pipeline, settings.pipelines_folder)
    formats = {route.topic: route.format for route in plan.pipeline.routes} | {
        plan.pipeline.input.name: plan.pipeline.input.format
    }
    named = plan.pipeline.input.name if topic is None else topic
    if named not in formats:
        raise UsageError(f"{plan.pipeline.name} has no topic {named!r}.", f"Its topics: {', '.join(formats)}.")
    own = Format.AVRO if formats[named] is Format.JSON else formats[named]
    wanted = own if form is None else chosen_format(form)
    is_input = named == plan.pipeline.input.name
    schema = event_schema(plan.pipeline, wanted) if is_input else decision_schema(plan, wanted)
    if not register:
        show_json({"kind": schema.kind, "schema": schema.text}) if as_json else print(schema.text.rstrip())
        return
    from fraudstream.kafka.registry import A_PERSON_WAITS_S, SchemaRegistry
    from fraudstream.kafka.subjects import subject_of

    subject = subject_of(named)
    schema_id = SchemaRegistry(settings, A_PERSON_WAITS_S).register(subject, schema)
    if as_json:
        show_json({"kind": schema.kind, "subject": subject, "id": schema_id})
    else:
        print(f"{subject} has it as schema {schema_id}")


def chosen_format(text: str) -> Format:
    """Avro or Protobuf.

    Raises:
        UsageError: It is neither.
    """
    if text not in (Format.AVRO, Format.PROTOBUF):
        raise UsageError(f"--format {text!r} has no schema.", f"Allowed: {Format.AVRO}, {Format.PROTOBUF}.")
    return Format(text)
