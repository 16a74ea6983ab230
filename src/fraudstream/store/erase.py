"""Removes a person from the store: what names them goes, what was decided stays for statistics and audit."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    String,
    Table,
    Text,
    and_,
    cast,
    delete,
    func,
    not_,
    null,
    or_,
    select,
    true,
    update,
)

from fraudstream.store.engine import Store
from fraudstream.store.tables import (
    alerts,
    cases,
    dead_letters,
    decisions,
    labels,
    metadata,
    notification_alerts,
    notifications,
)
from fraudstream.tokens.keys import PREFIX, key_of

ERASED = "erased"
_ESCAPED = re.compile(r"(?<=\\u)[0-9a-f]{4}")
_SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}]")
_BEFORE, _BEHIND = r"(^|[^0-9A-Za-z_]|\\[bfnrt]|\\u[0-9A-Fa-f]{4})", r"($|[^0-9A-Za-z_])"
_BEFORE_NUMBER, _BEHIND_NUMBER = _BEFORE.replace("z_]", "z_.-]"), r"($|[^0-9A-Za-z_.-]|\.($|[^0-9]))"


def erase(store: Store, names: Collection[str], digest: str) -> dict[str, int]:
    """Removes every trace of a subject, the key of its events; returns how many rows were changed, by table.

    Decisions and alerts stay, without id, key, event and features; labels of its events, dead letters and
    notifications that name it go whole. The audit chain gets an entry with the digest, not the subject.

    Args:
        store: The store.
        names: The subject, and the tokens that stand for it.
        digest: What the audit chain calls it.

    Raises:
        StoreUnreachable, StoreError: The database does not answer, or refuses.
    """
    changed: dict[str, int] = {}
    with store.change("subject erased", digest, changed) as connection:
        about = {table: or_(table.c.key.in_(names), *_naming(table, names)) for table in (decisions, alerts)}
        ids = select(decisions.c.event_id).where(about[decisions], decisions.c.event_id.is_not(None))
        changed["labels"] = connection.execute(
            delete(labels).where(or_(labels.c.event_id.in_(ids), *_naming(labels, names, "event_id")))
        ).rowcount
        nothing: dict[str, object] = {"event_id": None, "key": None, "features": {}, "explanation": null()}
        for table, of in about.items():
            values = nothing | ({"event": {}} if "event" in table.c else {})
            changed[table.name] = connection.execute(update(table).where(of).values(values)).rowcount
        noted = update(cases).where(or_(*_naming(cases, names, "note"))).values(note=ERASED)
        changed["cases"] = connection.execute(noted).rowcount
        told = select(notification_alerts.c.notification_id).where(or_(*_naming(notification_alerts, names)))
        known = or_(notifications.c.notification_id.in_(told), *_naming(notifications, names, "title", "body"))
        changed["notifications"] = connection.execute(delete(notifications).where(known)).rowcount
        orphans = notification_alerts.c.notification_id.not_in(select(notifications.c.notification_id))
        connection.execute(delete(notification_alerts).where(orphans))
        changed["dead_letters"] = connection.execute(
            delete(dead_letters).where(or_(*_naming(dead_letters, names)))
        ).rowcount
    store.forget_log()
    return changed


def pattern_of(names: Collection[str]) -> str:
    """What a text matches that has one of these names in it by itself, not in the middle of another word or number.

    It is a regular expression as PostgreSQL, Python and Rust read it alike.
    """
    return "|".join(sorted(map(_by_itself, _spellings(names))))


def _by_itself(text: str) -> str:
    before, behind = (_BEFORE_NUMBER, _BEHIND_NUMBER) if text.isdecimal() else (_BEFORE, _BEHIND)
    literal = _SPECIAL.sub(lambda found: f"\\{found[0]}", text)
    return f"{before if text[0].isalnum() else ''}{literal}{behind if text[-1].isalnum() else ''}"


def _spellings(names: Collection[str]) -> set[str]:
    """How names may stand in JSON: as they are, and with the escapes that this and other languages' libraries write."""
    found = {
        spelling
        for name in names
        for spelling in (name, json.dumps(name)[1:-1], json.dumps(name, ensure_ascii=False)[1:-1])
    }
    found |= {_ESCAPED.sub(lambda digits: digits[0].upper(), each) for each in found}
    return found | {each.replace("/", "\\/") for each in found}


def traces(store: Store, names: Collection[str]) -> dict[str, int]:
    """In how many rows of each table a name is still found: every text column of every table is searched."""
    found = {}
    with store.begin(read_only=True) as connection:
        for table in metadata.sorted_tables:
            count = _count(connection, table, names)
            if count:
                found[table.name] = count
    return found


def pipelines_in(store: Store) -> list[str]:
    """The names of the pipelines that have decided what is in the store."""
    found: list[str] = []
    with store.begin(read_only=True) as connection:
        while True:  # each by a look into the primary key, not all by reading it
            behind = decisions.c.pipeline > found[-1] if found else true()
            name = connection.execute(select(func.min(decisions.c.pipeline)).where(behind)).scalar()
            if name is None:
                return found
            found.append(name)


def other_keys(store: Store, held: Collection[str]) -> list[str]:
    """The ids of keys that are not held, and with which tokens were made that decisions have as their keys."""
    found: list[str] = []
    with store.begin(read_only=True) as connection:
        while True:
            known = [decisions.c.key.startswith(f"{PREFIX}{key_id}_", autoescape=True) for key_id in (*held, *found)]
            another = select(decisions.c.key).where(
                decisions.c.key.startswith(PREFIX, autoescape=True),
                *map(not_, known),
            )
            key_id = key_of(connection.execute(another.limit(1)).scalar())
            if key_id is None:
                return found
            found.append(key_id)


def _count(connection: Connection, table: Table, names: Collection[str]) -> int:
    return connection.execute(select(func.count()).select_from(table).where(or_(*_naming(table, names)))).scalar_one()


def _naming(table: Table, names: Collection[str], *columns: str) -> Iterator[ColumnElement[bool]]:
    """Conditions, one of which holds for a row that has a name in one of its texts."""
    pattern, spellings = pattern_of(names), _spellings(names)
    for column in table.columns:
        if isinstance(column.type, Text | JSON) and (not columns or column.name in columns):
            text = cast(column, String)
            # That it is in there at all is found much faster, and in most rows it is not.
            somewhere = or_(*(text.contains(written, autoescape=True) for written in spellings))
            yield and_(somewhere, text.regexp_match(pattern))
