"""Fixtures every test may use: above all a real Kafka broker, started once for the whole run."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fraudstream.settings import Settings, load_settings
from fraudstream.tokens.held import use_keys
from fraudstream.tokens.keys import TokenKeys
from fraudstream.tokens.secret import Secret

if TYPE_CHECKING:
    from postgres import PostgresServer
    from registry import RegistryServer

TOKEN_KEYS = TokenKeys("test", {"test": Secret.of(b"a secret that is none, for tests")})
use_keys(lambda: TOKEN_KEYS)  # test files make decoders while they are imported


@pytest.fixture(autouse=True)
def token_keys() -> TokenKeys:
    """The token keys of the tests' own process; a command called in it may have set others."""
    use_keys(lambda: TOKEN_KEYS)
    return TOKEN_KEYS


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Apache Kafka broker in a temporary folder.

    FRAUDSTREAM_TEST_BOOTSTRAP names one that is running already, which makes repeated runs quicker.
    """
    given = os.environ.get("FRAUDSTREAM_TEST_BOOTSTRAP")
    if given:
        yield given
        return
    from fraudstream.kafka.local import LocalBroker

    local = LocalBroker(tmp_path_factory.mktemp("broker") / "kafka", heap_mb=384)
    status = local.start()
    assert status.bootstrap_servers is not None
    yield status.bootstrap_servers
    local.clean(force=True)


@pytest.fixture(scope="session")
def kafka_settings(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings for the real broker, with a project folder of their own and nothing from the environment."""
    return load_settings({"bootstrap_servers": broker}, environ={}, folder=tmp_path_factory.mktemp("project"))


def _served(make: Callable[[], Any], cannot_be_had: type[Exception]) -> Iterator[Any]:
    """A server while tests use it; they are skipped where it cannot be had."""
    try:
        server = make()
    except cannot_be_had as reason:
        pytest.skip(str(reason))
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL server; `postgres.create("name")` makes an empty database and gives its address."""
    from postgres import CannotBeHad, PostgresServer

    yield from _served(PostgresServer, CannotBeHad)


@pytest.fixture(scope="session")
def registry() -> Iterator[RegistryServer]:
    """A real schema registry; `registry.url` is its address."""
    from registry import CannotBeHad, RegistryServer

    yield from _served(RegistryServer, CannotBeHad)


@pytest.fixture
def postgres_settings(postgres: PostgresServer, tmp_path: Path) -> Callable[..., Settings]:
    """Makes settings of a store in a new, empty database on the real PostgreSQL; flags as those of `load_settings`."""

    def make(**flags: str) -> Settings:
        environ = {"FRAUDSTREAM_STORE_URL": postgres.create(f"store-{next(_numbers)}")}
        return load_settings(flags, environ=environ, folder=tmp_path)

    return make


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def store_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a store without tables: on SQLite, then on the real PostgreSQL."""
    if request.param == "sqlite":
        return load_settings(environ={}, folder=tmp_path)
    made: Callable[[], Settings] = request.getfixturevalue("postgres_settings")
    return made()


_numbers = itertools.count(time.time_ns() // 1_000_000)


@pytest.fixture(scope="session")
def new_topic(kafka_settings: Settings) -> Callable[..., str]:
    """Makes a fresh topic on the real broker: `new_topic("scores", partitions=3)` gives its unique name."""
    from fraudstream.kafka.admin import KafkaAdmin

    admin = KafkaAdmin(kafka_settings)

    def make(name: str = "topic", partitions: int = 1) -> str:
        unique = f"{name}-{next(_numbers)}"
        admin.create_topics({unique: partitions})
        return unique

    return make


@pytest.fixture
def unique_id() -> str:
    """A name no other test uses, for groups and transactional ids."""
    return f"test-{next(_numbers)}"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., subprocess.CompletedProcess[str]]:
    """As `fraudstream`, but in this process, without the seconds of a start: `command("notify", "check")`."""
    from typer.testing import CliRunner

    from fraudstream.cli.main import app

    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("FRAUDSTREAM_")]:
        monkeypatch.delenv(name)

    def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        done = CliRunner().invoke(app, arguments, env=env)
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def fraudstream(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the installed command in an empty folder: `fraudstream("topics", "list")`; never raises on its exit code."""
    import sys

    program = Path(sys.executable).with_name("fraudstream")

    def run(
        *arguments: str, env: dict[str, str] | None = None, timeout_s: float = 60, input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("FRAUDSTREAM_")}
        return subprocess.run(
            [str(program), *arguments],
            cwd=tmp_path,
            env=clean | {"NO_COLOR": "1", "COLUMNS": "120"} | (env or {}),
            input=input,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    return run
