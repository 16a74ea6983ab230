"""Stores to test with."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fraudstream.settings import Settings, load_settings

if TYPE_CHECKING:
    from postgres import PostgresServer

_numbers = itertools.count()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a store without tables: on SQLite, then on PostgreSQL."""
    if request.param == "sqlite":
        return load_settings(environ={}, folder=tmp_path)
    made: Callable[[], Settings] = request.getfixturevalue("postgres_settings")
    return made()


@pytest.fixture
def postgres_settings(postgres: PostgresServer, tmp_path: Path) -> Callable[..., Settings]:
    """Makes settings of a new, empty database on the real PostgreSQL; flags as those of `load_settings`."""

    def make(**flags: str) -> Settings:
        url = postgres.create(f"store{next(_numbers)}")
        return load_settings(flags, environ={"FRAUDSTREAM_STORE_URL": url}, folder=tmp_path)

    return make
