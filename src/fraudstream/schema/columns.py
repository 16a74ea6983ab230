"""The columns an event's fields decode to: what the decoder writes and every later stage reads."""

from __future__ import annotations

import msgspec

from fraudstream.schema.event import Event, Field, FieldType, TimeFormat

LATITUDE_NAMES = ("lat", "latitude")
LONGITUDE_NAMES = ("lon", "lng", "longitude")


class ColumnSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One decoded column.

    Attributes:
        name: The field's name; a location field `x` has three columns: `x` (the city's name), `x.lat` and `x.lon`.
        type: STRING, INTEGER, DECIMAL, FLOAT, BOOLEAN or TIMESTAMP (a location is a STRING and two FLOATs).
        sensitive: Whether tokens take its values' place; they are texts, whatever the type.
        paths: The JSON paths it is read from; the first present one counts.
        required: Whether its absence makes the event a dead letter.
        scale: Decimals: digits after the point.
        format: Timestamps: how they are written.
        location: The location field it belongs to, or None. A location column is null where its path is missing, or
            holds the other form (an object where the name is read); but a required location must give a name or
            both coordinates, and coordinates must lie in ±90 and ±180 degrees.
    """

    name: str
    type: FieldType
    paths: tuple[str, ...]
    required: bool
    scale: int = 0
    format: TimeFormat = TimeFormat.ISO8601
    location: str | None = None
    sensitive: bool = False

    @property
    def is_text(self) -> bool:
        """Whether its values are texts once they are decoded."""
        return self.type is FieldType.STRING or self.sensitive


def columns_of(event: Event) -> tuple[ColumnSpec, ...]:
    """The columns of an event, in the order of its fields."""
    return tuple(column for field in event.fields for column in _columns_of_field(field))


def _columns_of_field(field: Field) -> tuple[ColumnSpec, ...]:
    if field.type is not FieldType.LOCATION:
        scale = field.scale if field.type is FieldType.DECIMAL else 0
        return (
            ColumnSpec(
                name=field.name,
                type=field.type,
                paths=field.paths,
                required=field.required,
                scale=scale,
                format=field.format,
                sensitive=field.sensitive,
            ),
        )
    names = {f"{field.name}.lat": LATITUDE_NAMES, f"{field.name}.lon": LONGITUDE_NAMES}
    return (
        ColumnSpec(name=field.name, type=FieldType.STRING, paths=field.paths, required=False, location=field.name),
        *(
            ColumnSpec(
                name=name,
                type=FieldType.FLOAT,
                paths=tuple(f"{path}.{alternative}" for path in field.paths for alternative in alternatives),
                required=False,
                location=field.name,
            )
            for name, alternatives in names.items()
        ),
    )
