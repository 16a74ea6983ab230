"""Brings the store's tables to this version, step by step; the steps are in `migrations/versions`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from fraudstream.errors import StoreError
from fraudstream.settings import Settings
from fraudstream.store.engine import Store, connect

_LOCK = 0x66726175  # any number, the same for all of us: PostgreSQL's advisory lock while tables change


class Revision(NamedTuple):
    """Where a store's tables stand: the revision they have (None: there are none) and the one they should have."""

    current: str | None
    wanted: str

    @property
    def is_current(self) -> bool:
        """Whether nothing is to be done."""
        return self.current == self.wanted


def open_store(settings: Settings) -> Store:
    """The store, ready to be used. A SQLite file that is new gets its tables; nothing else is changed.

    Raises:
        StoreUnreachable: It does not answer.
        StoreError: Its tables are of another version.
    """
    store = connect(settings)
    found = revision(store)
    if found.current is None and not store.is_postgresql:
        upgrade(store)
    elif not found.is_current:
        known = {each.revision for each in _scripts().walk_revisions()}
        older = found.current is None or found.current in known
        raise StoreError(
            f"The tables of the store {store.name} are at revision {found.current or 'none'}, not {found.wanted}.",
            "Run `fraudstream store upgrade`." if older else "A newer fraudstream made them: install that one.",
        )
    return store


def revision(store: Store) -> Revision:
    """Where the store's tables stand.

    Raises:
        StoreUnreachable, StoreError: The database does not answer, or refuses to say.
    """
    with store.begin(read_only=True) as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    wanted = _scripts().get_current_head()
    assert wanted is not None
    return Revision(current, wanted)


def upgrade(store: Store) -> Revision:
    """Makes or changes the tables, in one transaction; returns where they stood before.

    Raises:
        StoreUnreachable, StoreError: The database does not answer, or does not let us.
    """
    before = revision(store)
    if not before.is_current:
        with store.change("store upgraded", store.name, {"from": before.current, "to": before.wanted}) as connection:
            if store.is_postgresql:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            _run(connection)
    return before


def _run(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_folder()))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(_folder()))


def _folder() -> Path:
    return Path(__file__).with_name("migrations")
