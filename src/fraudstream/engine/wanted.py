"""What a pipeline wants of a writer's records, and whether they have it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fraudstream.engine.schemas import SchemaUnusable
from fraudstream.schema.columns import ColumnSpec, columns_of
from fraudstream.schema.event import Event, FieldType, TimeFormat


@dataclass(slots=True)
class Wanted:
    """What is wanted of a value: which columns read it, and what is wanted inside it."""

    columns: list[int] = field(default_factory=list)
    inside: dict[str, Wanted] = field(default_factory=dict)

    @classmethod
    def of(cls, columns: tuple[ColumnSpec, ...]) -> Wanted:
        """The tree of all columns' paths."""
        root = cls()
        for index, spec in enumerate(columns):
            for path in spec.paths:
                place = root
                for name in path.split("."):
                    place = place.inside.setdefault(name, cls())
                place.columns.append(index)
        return root

    def of_fields(self, fields: Sequence[tuple[str, ...]]) -> list[Wanted | None]:
        """What is wanted of each field of a record, by its name and by others it has, or had, that no field has.

        Args:
            fields: The names of each field, its own first.
        """
        taken = {names[0] for names in fields}
        found = []
        for own, *others in fields:
            names = [own, *(name for name in others if name not in taken)]
            taken.update(names)
            found.append(_merged([self.inside[name] for name in names if name in self.inside]))
        return found

    def all_columns(self) -> list[int]:
        """Those that read it or anything inside it."""
        return [*self.columns, *(index for each in self.inside.values() for index in each.all_columns())]


def _merged(several: list[Wanted]) -> Wanted | None:
    if len(several) < 2:
        return several[0] if several else None
    names = dict.fromkeys(name for each in several for name in each.inside)
    inside = {name: _merged([each.inside[name] for each in several if name in each.inside]) for name in names}
    return Wanted(
        [index for each in several for index in each.columns],
        {name: found for name, found in inside.items() if found is not None},
    )


def require_columns(
    event: Event, found: Iterable[int], clashes: Mapping[int, str], record: str, fields: Iterable[str]
) -> None:
    """Makes sure every column can be had, and of each required place a name or both coordinates.

    Args:
        event: What is wanted.
        found: The columns that are there and can be read.
        clashes: What stands in the place of others.
        record: What the writer calls its record.
        fields: The record's fields.

    Raises:
        SchemaUnusable: A column cannot be had.
    """
    columns, found = columns_of(event), set(found)
    names = {columns[index].name for index in found}
    places = [each.name for each in event.fields if each.type is FieldType.LOCATION and each.required]
    for index, spec in enumerate(columns):
        is_needed = spec.required or (spec.name in places and not {f"{spec.name}.lat", f"{spec.name}.lon"} <= names)
        if index in found or (spec.location is not None and not is_needed):
            continue
        if index in clashes:
            raise SchemaUnusable(f"{spec.paths[0]}: {record} has {clashes[index]} there; {expected(spec)} is expected")
        if is_needed:
            has = ", ".join(fields)
            raise SchemaUnusable(f"{spec.paths[0]}: required, and {record} has no such field (it has {has})")


def expected(spec: ColumnSpec) -> str:
    """What a column is read from, in words."""
    if spec.type is FieldType.TIMESTAMP and spec.format is TimeFormat.ISO8601:
        return "a timestamp, or a string of ISO 8601,"
    article = "an" if spec.type.value[0] in "aeiou" else "a"
    return f"{article} {spec.type.value}"
