"""The store's tables and addresses, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select

from fraudstream.errors import StoreError, StoreUnreachable
from fraudstream.settings import Settings, load_settings
from fraudstream.store import migrate
from fraudstream.store.engine import connect
from fraudstream.store.tables import audit, metadata, sink_offsets

if TYPE_CHECKING:
    from postgres import PostgresServer


def test_the_steps_make_the_tables_that_the_code_uses(store_settings: Settings) -> None:
    store = connect(store_settings)
    assert migrate.upgrade(store).current is None
    with store.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_there_is_one_newest_step() -> None:
    assert len(ScriptDirectory(str(Path(migrate.__file__).with_name("migrations"))).get_heads()) == 1


def test_upgrading_again_changes_nothing(store_settings: Settings) -> None:
    store = connect(store_settings)
    migrate.upgrade(store)
    assert migrate.upgrade(store).is_current
    with store.begin() as connection:
        assert [row.action for row in connection.execute(select(audit))] == ["store upgraded"]


def test_what_an_exception_leaves_is_rolled_back(store_settings: Settings) -> None:
    store = connect(store_settings)
    migrate.upgrade(store)
    row = {"sink": "store", "topic": "scores", "partition": 0, "next_offset": 1}
    with contextlib.suppress(ZeroDivisionError), store.begin() as connection:
        connection.execute(sink_offsets.insert().values(row))
        raise ZeroDivisionError
    with store.begin(read_only=True) as connection:
        assert connection.execute(select(sink_offsets)).all() == []


@pytest.mark.slow
def test_a_new_sqlite_file_is_ready_at_once_and_a_postgresql_database_is_not(
    tmp_path: Path, postgres_settings: Callable[..., Settings]
) -> None:
    migrate.open_store(load_settings(environ={}, folder=tmp_path))
    with pytest.raises(StoreError, match=r"revision none, not .* Run `fraudstream store upgrade`"):
        migrate.open_store(postgres_settings())


def test_tables_of_a_newer_version_are_left_alone(tmp_path: Path) -> None:
    settings = load_settings(environ={}, folder=tmp_path)
    with migrate.open_store(settings).begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="A newer fraudstream made them"):
        migrate.open_store(settings)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("mysql://fraud:hidden@db/fraud", "begins with mysql"),
        ("sqlite://", "begins with sqlite"),
        ("hidden", "no database address"),
        ("postgresql://fraud:hidden@db:port/fraud", "no database address"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_being_shown(tmp_path: Path, url: str, found: str) -> None:
    settings = load_settings(environ={"FRAUDSTREAM_STORE_URL": url}, folder=tmp_path)
    with pytest.raises(StoreError, match=found) as refused:
        connect(settings)
    assert "FRAUDSTREAM_STORE_URL" in str(refused.value)
    assert "hidden" not in str(refused.value)


@pytest.mark.slow
def test_a_database_that_does_not_answer_is_said_in_words_without_its_password(
    postgres: PostgresServer, fraudstream: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """Wrong port, and wrong password."""
    for url in ("postgresql://fraud:hidden@127.0.0.1:1/fraud", postgres.url().replace("kept-to-itself", "hidden")):
        done = fraudstream("store", "status", env={"FRAUDSTREAM_STORE_URL": url})
        assert done.returncode == StoreUnreachable.exit_code, done.stderr
        assert done.stderr.startswith("error: The store postgresql://127.0.0.1:")
        assert "hidden" not in done.stdout + done.stderr


@pytest.mark.slow
def test_the_commands_show_what_there_is_and_never_the_password(
    postgres: PostgresServer, fraudstream: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    env = {"FRAUDSTREAM_STORE_URL": postgres.create("by-command")}
    shown = [
        fraudstream("store", *words.split(), env=env) for words in ("status", "upgrade", "upgrade --json", "status")
    ]
    assert [done.returncode for done in shown] == [0, 0, 0, 0], shown
    assert "revision none, to be brought to" in shown[0].stdout
    assert "from revision none to" in shown[1].stdout
    assert re.search(r"^decisions +0$", shown[3].stdout, re.MULTILINE)
    assert not any("kept-to-itself" in done.stdout + done.stderr for done in shown)
