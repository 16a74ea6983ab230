"""Which database the operational store is, and how transactions on it begin and fail."""

from __future__ import annotations

import getpass
import logging
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from fraudstream.errors import StoreError, StoreUnreachable
from fraudstream.settings import Settings
from fraudstream.store.audit import append, note_anchor

LOGGER = logging.getLogger("fraudstream.store")

SQLITE_NAME = "store.db"
_WAIT_S = 30
_DRIVER = "postgresql+psycopg"
_POSTGRESQL = ("postgresql", "postgres", _DRIVER)
_ALLOWED = "Allowed are postgresql://USER:PASSWORD@HOST:5432/DATABASE and sqlite:///FILE."


@dataclass(frozen=True)
class Store:
    """The operational store.

    Attributes:
        engine: For SQLAlchemy Core; transactions are best begun by `begin`.
        name: The database as a person names it, without user and password: `postgresql://db:5432/fraud`.
        anchors: The file in which the newest entry of the audit chain is noted, outside the database.
    """

    engine: Engine
    name: str
    anchors: Path

    @property
    def is_postgresql(self) -> bool:
        """Whether this is PostgreSQL and not SQLite."""
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def begin(self, *, read_only: bool = False) -> Iterator[Connection]:
        """A transaction: committed at the end of the block, rolled back where an exception leaves it.

        Args:
            read_only: Nothing will be written; on SQLite other writers need not wait then.

        Raises:
            StoreUnreachable: The database does not answer, or went away. Whether a commit that was under way took
                effect is not known then.
            StoreError: It refused what was asked.
        """
        try:
            with self.engine.connect().execution_options(read_only=read_only) as connection, connection.begin():
                yield connection
        except (SQLAlchemyError, self._driver.Error) as failed:
            raise self._explained(failed) from None

    @contextmanager
    def change(
        self, action: str, subject: str, detail: Mapping[str, Any] | None = None, *, actor: str | None = None
    ) -> Iterator[Connection]:
        """A transaction that leaves an entry in the audit chain, if it is committed.

        Args:
            action: What is done, e.g. `case opened`.
            subject: What to, e.g. `case 12`.
            detail: More about it, as JSON; the block may still add to it.
            actor: Who does it; the operating system's user unless said.

        Raises:
            StoreUnreachable, StoreError: As `begin`.
        """
        with self.begin() as connection:
            yield connection
            anchor = append(connection, actor or _user(), action, subject, detail or {})
        try:
            note_anchor(self.anchors, self.name, anchor)
        except OSError as failed:  # what was to be done is done: this may not look as if it were not
            LOGGER.warning(
                "%s cannot be written (%s): note elsewhere that the audit chain is at %s.",
                self.anchors,
                (failed.strerror or type(failed).__name__).lower(),
                anchor,
            )

    def forget_log(self) -> None:
        """Empties SQLite's log of writes, in which what was deleted still stands; PostgreSQL keeps its own."""
        if not self.is_postgresql:
            with closing(self.engine.raw_connection()) as raw:
                raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @property
    def _driver(self) -> Any:
        """The driver's module; where it is used directly, as for COPY, its errors come as they are."""
        return self.engine.dialect.loaded_dbapi

    def _explained(self, failed: Exception) -> StoreError:
        """The user's error for the library's; never with the address's password or the statement's values."""
        said = failed.orig if isinstance(failed, DBAPIError) and failed.orig is not None else failed
        reason = (str(said).strip() or type(said).__name__).splitlines()[0].rstrip(".")
        gone = isinstance(failed, DBAPIError) and failed.connection_invalidated
        if gone or isinstance(said, self._driver.OperationalError | self._driver.InterfaceError):
            return StoreUnreachable(
                f"The store {self.name} failed: {reason}.",
                "See that it runs, and that store_url (FRAUDSTREAM_STORE_URL) names it and a user it lets in.",
            )
        return StoreError(f"The store {self.name} refused: {reason}.", "See `fraudstream store status`.")


def connect(settings: Settings) -> Store:
    """The store that the settings name, its tables as they are; see `open_store` for one that is ready to be used.

    Raises:
        StoreError: The address is no database that can be used, or its driver is missing.
    """
    folder = settings.project_folder
    if settings.store_url is None:
        folder.mkdir(parents=True, exist_ok=True)
        url = URL.create("sqlite", database=str(folder / SQLITE_NAME))
    else:
        url = _checked(settings.store_url.reveal(), settings.origin("store_url"))
    try:
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=True, connect_args=_options(url))
    except ModuleNotFoundError as missing:
        raise StoreError(
            f"The library {missing.name} for PostgreSQL is not installed.", "Run `pip install 'fraudstream[postgres]'`."
        ) from None
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    shown = URL.create(url.get_backend_name(), host=url.host, port=url.port, database=url.database)
    return Store(engine, shown.render_as_string(), folder / "audit-anchors.txt")


def _checked(text: str, origin: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise StoreError(f"store_url (from {origin}) is no database address.", _ALLOWED) from None
    url = with_driver(url)
    if url.drivername == _DRIVER:
        return url
    if url.drivername == "sqlite" and url.database not in (None, "", ":memory:"):
        return url
    raise StoreError(f"store_url (from {origin}) begins with {url.drivername}://.", _ALLOWED)


def with_driver(url: URL) -> URL:
    """The address; one of PostgreSQL that names no driver, or goes by its old name, with the driver that we use."""
    return url.set(drivername=_DRIVER) if url.drivername in _POSTGRESQL else url


def _options(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"timeout": _WAIT_S}
    return {"connect_timeout": 10, "application_name": "fraudstream", "options": "-c timezone=UTC"}


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """Readers beside one writer; a commit is on disk when it returns; transactions begin where we say.

    What is deleted is overwritten: it would else stand in the file's free space until that is used again.
    """
    connection.isolation_level = None
    for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {setting}")


def _begin_sqlite(connection: Connection) -> None:
    """Writers wait for each other at once: two that both read first could not both go on to write."""
    read_only = connection.get_execution_options().get("read_only")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
