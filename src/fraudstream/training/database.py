"""Past events as a table or view of any database holds them."""

from __future__ import annotations

import polars as pl
from sqlalchemy import MetaData, Table, create_engine, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, NoSuchTableError, SQLAlchemyError

from fraudstream.errors import DataError, SettingError, StoreError
from fraudstream.settings import Settings
from fraudstream.store.engine import with_driver
from fraudstream.training import files

PREFIX = "database:"
"""What stands before the name of a table, in the place of a file or topic."""
_SHOWN_TABLES = 20


def database_table(settings: Settings, name: str) -> files.Table:
    """A table or view of the database that the setting `history_url` names; nothing is written to it.

    Args:
        settings: They say which database.
        name: Of the table, with its schema where it is not the default one: `shop.payments`.

    Raises:
        SettingError: No database is named, or its address is none.
        StoreError: It does not answer, or refuses.
        DataError: There is no such table, or it is empty.
    """
    if settings.history_url is None:
        raise SettingError(
            f"{PREFIX}{name} is a table, and no setting says of which database.",
            "Set FRAUDSTREAM_HISTORY_URL, such as postgresql://USER:PASSWORD@HOST:5432/DATABASE.",
        )
    origin = settings.origin("history_url")
    try:
        url = with_driver(make_url(settings.history_url.reveal()))
        engine = create_engine(url, hide_parameters=True)
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise SettingError(
            f"history_url (from {origin}) is no address that SQLAlchemy knows.",
            "Write postgresql://… or DIALECT+DRIVER://USER:PASSWORD@HOST:PORT/DATABASE.",
        ) from None
    except ModuleNotFoundError as missing:
        raise SettingError(
            f"The driver {missing.name} of history_url (from {origin}) is not installed.", "Install it with pip."
        ) from None
    schema, _, table = name.rpartition(".")
    try:
        with engine.connect() as connection:
            rows = select(Table(table, MetaData(), schema=schema or None, autoload_with=connection))
            frame = pl.read_database(rows, connection, infer_schema_length=None)
    except NoSuchTableError:
        found = inspect(engine)
        there = [*found.get_table_names(schema or None), *found.get_view_names(schema or None)]
        shown = ", ".join(there[:_SHOWN_TABLES]) or "none"
        raise DataError(f"There is no table {name} in {url.database}.", f"Tables and views there: {shown}.") from None
    except SQLAlchemyError as failed:
        reason = str(getattr(failed, "orig", None) or failed).strip().splitlines()[0].rstrip(".")
        raise StoreError(f"The table {name} cannot be read: {reason}.", f"See history_url (from {origin}).") from None
    finally:
        engine.dispose()
    if not len(frame):
        raise DataError(f"The table {name} has no rows.", "Name one with past events.")
    return files.Table(f"table {name}", frame)
