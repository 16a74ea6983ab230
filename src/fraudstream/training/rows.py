"""Rows of a table as the JSON records a stream would have carried.

A table's types are not JSON's: dates are dates, a text file has only texts, a place may stand in two columns. Each
field's column is brought into the form the event declares. A value that has no such form stays as it is, so that the
decoder, which sees every record, can say what is wrong with it.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from fraudstream.schema.event import Event, Field, FieldType, TimeFormat
from fraudstream.training.columns import FieldColumns
from fraudstream.units import EPOCH_SECONDS_BELOW


class _Form(NamedTuple):
    """One way to write a field: the value, and where it applies."""

    applies: pl.Expr
    value: pl.Expr


class _Written(NamedTuple):
    """A field's path in the record, and the ways to write it; the first that applies is taken, the last always does."""

    path: str
    forms: list[_Form]


_ALWAYS = pl.lit(True)


def json_rows(frame: pl.DataFrame, event: Event, columns: FieldColumns) -> list[bytes]:
    """Every row as one JSON object.

    Args:
        frame: The rows.
        event: What the pipeline reads.
        columns: The columns of each field.
    """
    fields = [field for field in event.fields if columns[field.name]]
    written = [_Written(field.path or field.name, _forms(frame, field, columns[field.name])) for field in fields]
    varied = [each for each in written if len(each.forms) > 1]
    if not varied or not len(frame):
        return _lines(frame, [(each.path, each.forms[0].value) for each in written])
    # A JSON value's type may change from row to row, a column's cannot: rows of the same forms are written together.
    chosen = frame.select(_choice(each).alias(str(index)) for index, each in enumerate(varied)).to_numpy()
    combinations, which = np.unique(chosen, axis=0, return_inverse=True)
    lines = np.empty(len(frame), object)
    for index, combination in enumerate(combinations):
        rows = np.flatnonzero(which.reshape(-1) == index)
        of_field = {each.path: each.forms[form].value for each, form in zip(varied, combination, strict=True)}
        values = [(each.path, of_field.get(each.path, each.forms[0].value)) for each in written]
        lines[rows] = _lines(frame[rows], values)
    return list(lines)


def _choice(written: _Written) -> pl.Expr:
    """The number of the first form that applies."""
    choice = pl.lit(len(written.forms) - 1, pl.Int8)
    for index in range(len(written.forms) - 2, -1, -1):
        applies = written.forms[index].applies.fill_null(False)
        choice = pl.when(applies).then(pl.lit(index, pl.Int8)).otherwise(choice)
    return choice


def _lines(frame: pl.DataFrame, values: list[tuple[str, pl.Expr]]) -> list[bytes]:
    tree: dict[str, Any] = {}
    for path, value in values:
        place = tree
        *above, last = path.split(".")
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value
    buffer = BytesIO()
    frame.select(_expressions(tree)).write_ndjson(buffer)
    return buffer.getvalue().splitlines()


def _expressions(tree: dict[str, Any]) -> list[pl.Expr]:
    return [
        (pl.struct(_expressions(value)) if isinstance(value, dict) else value).alias(name)
        for name, value in tree.items()
    ]


def _forms(frame: pl.DataFrame, field: Field, columns: tuple[str, ...]) -> list[_Form]:
    """The ways to write a field, by its declared type and its column's."""
    if field.type is FieldType.LOCATION:
        return _location_forms(frame.schema, columns)
    column = pl.col(columns[0])
    dtype: Any = frame.schema[columns[0]]
    if isinstance(dtype, pl.Struct) and "." in (field.path or ""):
        for part in (field.path or "").split(".")[1:]:
            inner = {each.name: each.dtype for each in dtype.fields} if isinstance(dtype, pl.Struct) else {}
            if part not in inner:
                return [_Form(_ALWAYS, pl.lit(None, pl.String))]
            column, dtype = column.struct.field(part), inner[part]
    if isinstance(dtype, (pl.Categorical, pl.Enum, pl.Decimal)):
        column, dtype = column.cast(pl.String), pl.String()
    as_it_is = _Form(_ALWAYS, column)
    if field.type is FieldType.TIMESTAMP:
        return [*_time_forms(column, dtype, field.format), as_it_is]
    if field.type is FieldType.STRING:
        return [_Form(_ALWAYS, column.cast(pl.String))] if dtype.is_integer() else [as_it_is]
    if field.type is FieldType.INTEGER and not dtype.is_integer():
        whole = column.cast(pl.Int64, strict=False)
        same = whole.is_not_null() if dtype == pl.String else whole == column
        return [_Form(same, whole), as_it_is] if dtype == pl.String or dtype.is_float() else [as_it_is]
    if field.type is FieldType.FLOAT and dtype == pl.String:
        number = column.cast(pl.Float64, strict=False)
        return [_Form(number.is_finite(), number), as_it_is]
    if field.type is FieldType.BOOLEAN and dtype != pl.Boolean:
        word = column.cast(pl.String).str.to_lowercase()
        yes = word.is_in(["true", "1"])
        return [_Form(yes | word.is_in(["false", "0"]), yes), as_it_is]
    return [as_it_is]


def _time_forms(column: pl.Expr, dtype: pl.DataType, written: TimeFormat) -> list[_Form]:
    """Instants as the event writes them, from date types, numbers, and numbers in texts."""
    if dtype == pl.Date:
        column, dtype = column.cast(pl.Datetime("ms")), pl.Datetime("ms")
    if isinstance(dtype, pl.Datetime):
        at_ms = column.dt.epoch("ms")
        is_time = column.is_not_null()
    elif dtype.is_numeric() or dtype == pl.String:
        number = column.cast(pl.Float64, strict=False)
        is_time = number.is_finite()
        at_ms = pl.when(number < EPOCH_SECONDS_BELOW).then(number * 1_000).otherwise(number).round().cast(pl.Int64)
    else:
        return []
    if written is TimeFormat.ISO8601:
        value = at_ms.cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
    else:
        value = at_ms if written is TimeFormat.EPOCH_MS else at_ms // 1_000
    return [_Form(is_time, value)]


def _location_forms(schema: pl.Schema, columns: tuple[str, ...]) -> list[_Form]:
    """A city's name (or a struct of coordinates) where there is one, else latitude and longitude of their columns."""
    own, lat, lon = columns
    forms = []
    if lat and lon:
        numbers = [pl.col(name).cast(pl.Float64, strict=False) for name in (lat, lon)]
        given = numbers[0].is_not_null() & numbers[1].is_not_null()
        forms.append(_Form(given & pl.col(own).is_null() if own else given, pl.struct(lat=numbers[0], lon=numbers[1])))
    name = pl.col(own) if own else pl.lit(None, pl.String)
    if own and isinstance(schema[own], (pl.Categorical, pl.Enum)):
        name = name.cast(pl.String)
    return [*forms, _Form(_ALWAYS, name)]
