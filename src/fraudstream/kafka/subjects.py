"""What a pipeline's topics have in the schema registry: versions of the input's subject, and schemas to register."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from fraudstream.define.pipeline import Format, Pipeline
from fraudstream.engine.decode_framed import Reader, reader_of
from fraudstream.engine.event_records import EventRecords, event_schema
from fraudstream.kafka.registry import SchemaRegistry
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
    for version in SchemaRegistry(settings).versions(subject_of(pipeline.input.name)):
        found = reader_of(version.schema_id, version.schema, pipeline.event, pipeline.input.format)
        refused = found.refused if isinstance(found, Reader) else found
        yield Registered(version.number, version.schema_id, None if refused is None else refused.reason)


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
    schema_id = SchemaRegistry(settings).register(subject_of(topic), event_schema(pipeline, form))
    return EventRecords(pipeline, form, schema_id)
