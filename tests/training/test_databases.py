"""Past events and labels as the operational store and other databases keep them."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from fraudstream.define.write import to_yaml
from fraudstream.settings import Settings, load_settings
from fraudstream.store.bulk import insert_rows, make_partitions
from fraudstream.store.engine import Store, connect
from fraudstream.store.migrate import upgrade
from fraudstream.store.tables import decisions, labels
from runner.small import START_MS, event, pipeline

if TYPE_CHECKING:
    from postgres import PostgresServer

Run = Callable[..., subprocess.CompletedProcess[str]]
LINES = [event(number, card=f"c{number % 3}", shop=f"s{number % 2}", amount=number + 1) for number in range(30)]
LABELLED = [4, 5, 6]


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """The events as a file, with their labels in another: what all other sources are compared with."""
    (tmp_path / "small.yaml").write_text(to_yaml(pipeline(shops=True)), encoding="utf-8")
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(LINES))
    said = [{"event_id": f"e{n}", "label": "fraud", "labelled_at": START_MS + n * 1_000 + 5_000} for n in LABELLED]
    (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, said)))
    return tmp_path


def kept(store: Store, rows: range = range(30)) -> None:
    """Puts decisions and labels into the store; one decision twice, as where it was made again."""
    upgrade(store)

    def decision(n: int, decided_at: int) -> tuple[object, ...]:
        nothing = (None,) * 6
        return (
            "small", "events", n % 2, n // 2, n, f"e{n}", f"c{n % 3}", n + 1.0, "approve", 0.1, None, "LOW", 0.6, "[]",
            *nothing, LINES[n].decode(), START_MS + n * 1_000, decided_at,
        )  # fmt: skip

    with store.begin() as connection:
        once = [decision(n, START_MS + 60_000 + n) for n in reversed(rows)]
        if store.is_postgresql:
            make_partitions(connection, decisions, [START_MS], set())
        insert_rows(connection, decisions, [*once, decision(7, START_MS + 90_000)])
        of_labels = [("small", "labels", 0, n, f"e{n}", "fraud", START_MS + n * 1_000 + 5_000) for n in LABELLED]
        insert_rows(connection, labels, of_labels)


def table(fraudstream: Run, folder: Path, env: dict[str, str], *source: str) -> pl.DataFrame:
    done = fraudstream("dataset", "small.yaml", *source, "--out", "made.parquet", "--label-delay", "1h", env=env)
    assert done.returncode == 0, done.stderr
    return pl.read_parquet(folder / "made.parquet")


def test_a_table_made_of_the_store_is_the_one_made_of_files(
    fraudstream: Run, history: Path, store_settings: Settings
) -> None:
    """Events and labels, each known when it was said; what was decided twice is learned from once."""
    url = store_settings.store_url
    env = {"FRAUDSTREAM_STORE_URL": url.reveal()} if url is not None else {}
    settings = load_settings(environ=env, folder=history)
    kept(connect(settings))
    wanted = table(fraudstream, history, env, "--from", "events.jsonl", "--labels", "labels.jsonl")
    assert wanted["shop_frauds"].sum() and wanted["is_fraud"].sum() == len(LABELLED)
    assert table(fraudstream, history, env, "--from", "store").equals(wanted)
    assert table(fraudstream, history, env, "--from", "events.jsonl", "--labels", "store").equals(wanted)


def test_a_store_without_decisions_says_how_to_fill_it(fraudstream: Run, history: Path) -> None:
    done = fraudstream("dataset", "small.yaml", "--from", "store", "--out", "made.parquet")
    assert done.returncode == 2 and "Fill it with `fraudstream sink store`" in done.stderr


@pytest.mark.slow
def test_a_table_of_a_database_is_a_history(fraudstream: Run, history: Path, postgres: PostgresServer) -> None:
    """Types of the database, such as numeric and timestamptz, become the event's own; labels may be a table, too."""
    import psycopg

    url = postgres.create("bank")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE SCHEMA shop")
        connection.execute(
            "CREATE TABLE shop.payments (id text, at timestamptz, card text, shop text, amount numeric(12, 2))"
        )
        connection.execute("CREATE VIEW shop.labels AS SELECT id AS event_id, 1 AS is_fraud, "
                           "(extract(epoch FROM at) * 1000)::bigint + 5000 AS labelled_at "
                           "FROM shop.payments WHERE id IN ('e4', 'e5', 'e6')")  # fmt: skip
        payment = "%(id)s, to_timestamp(%(at)s / 1000.0), %(card)s, %(shop)s, %(amount)s"
        for line in LINES:
            connection.execute(f"INSERT INTO shop.payments VALUES ({payment})", json.loads(line))
    env = {"FRAUDSTREAM_HISTORY_URL": url}
    wanted = table(fraudstream, history, env, "--from", "events.jsonl", "--labels", "labels.jsonl")
    source = ("--from", "database:shop.payments", "--labels", "database:shop.labels")
    assert table(fraudstream, history, env, *source).equals(wanted)


@pytest.mark.parametrize(
    ("url", "name", "said"),
    [
        (None, "payments", "no setting says of which database"),
        ("nonsense", "payments", "no address that SQLAlchemy knows"),
        ("sqlite:///bank.db", "paymens", "Tables and views there: payments, vacant"),
        ("sqlite:///bank.db", "vacant", "has no rows"),
        ("sqlite:///no/such/folder/bank.db", "payments", "cannot be read: unable to open database file"),
    ],
)
def test_what_is_wrong_with_a_database_is_said(
    fraudstream: Run, history: Path, url: str | None, name: str, said: str
) -> None:
    with sqlite3.connect(history / "bank.db") as bank:
        bank.execute("CREATE TABLE payments (id text)")
        bank.execute("INSERT INTO payments VALUES ('e1')")
        bank.execute("CREATE TABLE vacant (id text)")
    env = {} if url is None else {"FRAUDSTREAM_HISTORY_URL": url}
    done = fraudstream("dataset", "small.yaml", "--from", f"database:{name}", "--out", "made.parquet", env=env)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
