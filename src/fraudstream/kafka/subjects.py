"""What a pipeline's topics have in the schema registry: versions of the input's subject, and schemas to register."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from fraudstream.define.pipeline import Format, Pipeline, Route
from fraudstream.engine.decision_wire import decision_schema
from fraudstream.engine.decode_framed import Reader, reader_of
from fraudstream.engine.event_records import EventRecords, event_schema
from fraudstream.errors import RegistryError
from fraudstream.kafka.registry import A_PERSON_WAITS_S, SchemaRegistry
from fraudstream.plan.plan import Plan
from fraudstream.settings import Settings


class Registered(NamedTuple):
    """A version of the input's subject, and what becomes of its records.

    Attributes:
        number: Which version.
        schema_id: Its schema's id.
        refused: Why its records become dead letters; None where they are read.
    """

    number: int
    schema_id: int
    refused: str | None


def subject_of(topic: str) -> str:
    """The subject of a topic's values, as Confluent's serializers name it unless told otherwise."""
    return f"{topic}-value"


def registered_inputs(pipeline: Pipeline, settings: Settings) -> Iterator[Registered]:
    """Every version of the input's subject, the oldest first.

    Raises:
        RegistryUnreachable, RegistryError, SettingError, ToolError: The registry cannot be asked.
    """
    for version in SchemaRegistry(settings, A_PERSON_WAITS_S).versions(subject_of(pipeline.input.name)):
        found = reader_of(version.schema_id, version.schema, pipeline.event, pipeline.input.format)
        refused = found.refused if isinstance(found, Reader) else found
        yield Registered(version.number, version.schema_id, None if refused is None else refused.reason)


def output_schemas(plan: Plan, settings: Settings) -> dict[str, int]:
    """The schema's id of each route that is not JSON, by topic.

    Raises:
        RegistryError: One is not registered.
        RegistryUnreachable, SettingError, ToolError: The registry cannot be asked.
    """
    routes = [route for route in plan.pipeline.routes if route.format is not Format.JSON]
    registry = SchemaRegistry(settings) if routes else None
    found = {}
    for route in routes:
        assert registry is not None
        schema_id = registry.id_of(subject_of(route.topic), decision_schema(plan, route.format))
        if schema_id is None:
            raise RegistryError(
                f"The schema of {route.topic} is none of the versions of {subject_of(route.topic)}.",
                f"Run `fraudstream schema {plan.pipeline.name} --topic {route.topic} --register`.",
            )
        found[route.topic] = schema_id
    return found


def checked_output(plan: Plan, route: Route, settings: Settings) -> tuple[int | None, str | None]:
    """The id of a route's schema, if it is registered, and what is wrong if it is not.

    Raises:
        RegistryUnreachable, RegistryError, SettingError, ToolError: The registry cannot be asked.
    """
    registry, subject = SchemaRegistry(settings, A_PERSON_WAITS_S), subject_of(route.topic)
    schema = decision_schema(plan, route.format)
    schema_id = registry.id_of(subject, schema)
    if schema_id is not None:
        return schema_id, None
    if registry.is_compatible(subject, schema):
        return None, f"not registered; run `fraudstream schema {plan.pipeline.name} --topic {route.topic} --register`"
    return None, "not registered, and not compatible with what is: give the route another topic, or ask its readers"


def records_for(
    pipeline: Pipeline, form: Format, topic: str, settings: Settings
) -> Callable[[Sequence[bytes]], Sequence[bytes]]:
    """What makes records of events in JSON, with their schema registered for the topic.

    Raises:
        UsageError: The event has no schema in that format.
        RegistryUnreachable, RegistryError, SettingError, ToolError: It cannot be registered.
    """
    if form is Format.JSON:
        return lambda values: values
    schema_id = SchemaRegistry(settings, A_PERSON_WAITS_S).register(subject_of(topic), event_schema(pipeline, form))
    return EventRecords(pipeline, form, schema_id)
