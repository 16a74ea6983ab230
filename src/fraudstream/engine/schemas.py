"""Schemas that records were written with, and who has them."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class WriterSchema(NamedTuple):
    """A schema as a registry keeps it. Its id means this schema for ever.

    Attributes:
        kind: `AVRO`, `PROTOBUF` or `JSON`.
        text: The schema.
        references: Schemas it uses, by the name it uses them by; those first that others use.
    """

    kind: str
    text: str
    references: tuple[tuple[str, str], ...] = ()


class Schemas(Protocol):
    """Who has the schemas."""

    def schema(self, schema_id: int) -> WriterSchema | None:
        """The schema with an id; None where there is none.

        Raises:
            RegistryUnreachable: It cannot be asked now, and is not known from before.
        """


class SchemaUnusable(Exception):
    """A schema that no record of the pipeline's can be read with; the text says why, behind `schema 7: `."""
