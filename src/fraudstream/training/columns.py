"""Which columns of a history file stand for which fields of the event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from fraudstream.errors import DataError, UsageError
from fraudstream.schema.columns import LATITUDE_NAMES, LONGITUDE_NAMES, columns_of
from fraudstream.schema.event import Event, Field, FieldType

FieldColumns = dict[str, tuple[str, ...]]
"""For each field its columns, none where it is absent. A location may have three: text or struct, latitude, longitude;
each of them is "" where there is none."""

TIME_NAMES = ("timestamp", "event_time", "event_at", "tx_datetime", "datetime", "time", "date", "created_at")
LABEL_NAMES = ("tx_fraud", "is_fraud", "isfraud", "fraud", "class", "label", "target")
_MOST_SHOWN = 40


def match_columns(source: Path | str, names: Sequence[str], event: Event, given: Mapping[str, str]) -> FieldColumns:
    """The columns of every field: those given, else those of the field's name (or the first part of its path).

    Args:
        source: The file or topic, for messages.
        names: Its columns.
        event: What the pipeline reads.
        given: Columns by field, as the user named them; of a location also by `x.lat` and `x.lon`.

    Raises:
        UsageError: What is given names no field.
        DataError: Columns are missing; one message with all of them.
    """
    known = [spec.name for spec in columns_of(event)]
    for field in given:
        if field not in known:
            raise UsageError(f"--column {field}=… names no field of the event.", f"Its fields: {', '.join(known)}.")
    absent = [column for column in given.values() if column not in names]
    if absent:
        raise DataError(f"{source} has no column {absent[0]!r}.{_near(absent[0], names)}", _shown(names))
    found = {field.name: _columns_of(field, names, given) for field in event.fields}
    missing = [field.name for field in event.fields if field.required and not found[field.name]]
    if missing or not any(found.values()):
        missing = missing or list(found)
        free = [name for name in names if not any(name in columns for columns in found.values())]
        likely = [(name, near) for name in missing if (near := _likely(name, free, name == event.time))]
        hint = f" Did you mean {' '.join(f'--column {name}={near}' for name, near in likely)}?" if likely else ""
        raise DataError(
            f"{source} has no column for {', '.join(missing)}.{hint}",
            f"{_shown(names)} Name columns with --column FIELD=COLUMN, or leave out what the history does not have "
            "with --without FIELD: features that rest on it are then null in training.",
        )
    return found


def match_time(source: Path | str, names: Sequence[str], given: str | None) -> str:
    """The column of event time, for a pipeline whose events have none of their own.

    Raises:
        DataError: It is not there, or none has a usual name.
    """
    if given is not None:
        if given not in names:
            raise DataError(f"{source} has no column {given!r}.{_near(given, names)}", _shown(names))
        return given
    found = usual(names, TIME_NAMES)
    if found is None:
        raise DataError(
            f"Events of this pipeline have no time of their own, and no column of {source} has a usual name for it.",
            f"Name the column of event time with --time. {_shown(names)}",
        )
    return found


def usual(names: Sequence[str], words: Sequence[str]) -> str | None:
    """The column with the first of the usual names, whatever its case."""
    by_lower = {name.lower(): name for name in reversed(names)}
    return next((by_lower[word] for word in words if word in by_lower), None)


def require_column(source: Path | str, name: str, names: Sequence[str]) -> None:
    """Makes sure a column is there.

    Raises:
        DataError: It is not; the message lists those that are.
    """
    if name not in names:
        raise DataError(f"{source} has no column {name!r}.{_near(name, names)}", _shown(names))


def _columns_of(field: Field, names: Sequence[str], given: Mapping[str, str]) -> tuple[str, ...]:
    candidates = (field.name, *(path.partition(".")[0] for path in field.paths))
    own = given.get(field.name) or next((name for name in candidates if name in names), "")
    if field.type is not FieldType.LOCATION:
        return (own,) if own else ()
    axes = [
        given.get(f"{field.name}.{axis}") or _axis(field.name, words, names)
        for axis, words in (("lat", LATITUDE_NAMES), ("lon", LONGITUDE_NAMES))
    ]
    return (own, *axes) if own or all(axes) else ()


def _axis(field: str, words: Sequence[str], names: Sequence[str]) -> str:
    wanted = [f"{field}{joint}{word}" for word in words for joint in ("_", ".")]
    return next((name for name in wanted if name in names), "")


def _nearest(name: str, names: Sequence[str]) -> str | None:
    by_lower = {each.lower(): each for each in reversed(names)}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    close = get_close_matches(name.lower(), by_lower, 1, 0.8)
    return by_lower[close[0]] if close else None


def _likely(name: str, names: Sequence[str], is_time: bool) -> str | None:
    return _nearest(name, names) or (usual(names, TIME_NAMES) if is_time else None)


def _near(name: str, names: Sequence[str]) -> str:
    near = _nearest(name, names)
    return f" Did you mean {near!r}?" if near else ""


def _shown(names: Sequence[str]) -> str:
    if not names:
        return "It has no columns."
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return f"Its columns: {', '.join(names[:_MOST_SHOWN])}{more}."
