"""Kafka Connect with the configurations of `fraudstream connect`: a real worker, real PostgreSQL, kills on the way."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg
import pytest
from psycopg.rows import dict_row

from connect import DEPLOY, ConnectWorker
from fraudstream.define.pipeline import DEFAULT_ROUTES, Form, Route
from fraudstream.settings import Settings
from runner import small
from runner.workbench import Workbench

if TYPE_CHECKING:
    from postgres import PostgresServer

EVENTS = 4_000


def configuration(command: Callable[..., subprocess.CompletedProcess[str]], *arguments: str) -> dict[str, str]:
    done = command("connect", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def bench(kafka_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """Decisions of a real scorer, of which a few are duplicates, and among them what no scorer wrote."""
    routes = (*DEFAULT_ROUTES, Route(topic="flat", form=Form.FLAT))
    pipeline = msgspec.structs.replace(small.pipeline(), routes=routes)
    bench = Workbench(kafka_settings, pipeline, tmp_path_factory.mktemp("connect"), "connected")
    values, keys = small.events(EVENTS)
    bench.produce(bench.pipeline.input.name, values + values[:10], keys + keys[:10])
    small.score_here(bench)
    bench.produce(bench.scores, [b'{"event":{},"decision":{"input":{"topic":"x"}}}', b"no JSON"], [b"k", b"k"])
    return bench


@pytest.fixture(scope="module")
def worker(
    bench: Workbench, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConnectWorker]:
    """A worker whose dead members are missed quickly: a kill costs seconds."""
    address = postgres.create("connected")
    environ = {
        "SINK_JDBC_URL": f"jdbc:postgresql://127.0.0.1:{postgres.port}/connected",
        "SINK_JDBC_USERNAME": "fraud",
        "SINK_JDBC_PASSWORD": address.partition("fraud:")[2].partition("@")[0],
    }
    worker = ConnectWorker(
        tmp_path_factory.mktemp("worker"), bench.settings.bootstrap_servers, environ,
        "plugin.discovery=service_load", "session.timeout.ms=6000", "offset.flush.interval.ms=500",
        "group.id=connected",
        *(f"{kind}.storage.topic=connected-{kind}" for kind in ("config", "offset", "status")),
    )  # fmt: skip
    worker.start()
    yield worker
    worker.kill()


def rows(postgres: PostgresServer, table: str, order: str) -> list[dict[str, Any]]:
    with psycopg.connect(postgres.url("connected"), row_factory=dict_row) as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY {order}".encode()).fetchall()


def count(postgres: PostgresServer, table: str) -> int:
    """How many rows there are; none without a table."""
    try:
        return int(rows(postgres, f"(SELECT count(*) AS n FROM {table}) AS counted", "1")[0]["n"])
    except psycopg.errors.UndefinedTable:
        return 0


def wait_for_rows(postgres: PostgresServer, worker: ConnectWorker, name: str, table: str, least: int) -> None:
    """Waits until so many rows are there; a task that stopped is started again, as the page says."""
    deadline = time.monotonic() + 120
    while count(postgres, table) < least:
        if worker.failures(name):
            worker.ask("POST", f"/connectors/{name}/restart?includeTasks=true&onlyFailed=true")
        assert time.monotonic() < deadline, worker.tail()
        time.sleep(0.1)


def column_values(found: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A record of the topic as the columns of a table."""
    flat: dict[str, Any] = {}
    for name, value in found.items():
        flat |= column_values(value, f"{prefix}{name}_") if isinstance(value, dict) else {prefix + name: value}
    return flat


def retold(found: dict[str, Any]) -> dict[str, Any]:
    """A record of the topic as a row of a table has it."""
    each = column_values(found)
    for column, value in each.items():
        if column.endswith(("_amount", "card_sum")) or column == "amount":
            each[column] = Decimal(str(value))
        elif column in ("event_at", "decision_event_at", "decision_decided_at", "at") and isinstance(value, int):
            each[column] = datetime.fromtimestamp(value / 1_000, UTC).replace(tzinfo=None)
        elif column in ("event_at", "alert_at", "scored_at"):
            each[column] = datetime.fromisoformat(value)
    if each.pop("decision_duplicate_of", 0) is None:
        each |= {"decision_duplicate_of_partition": None, "decision_duplicate_of_offset": None}
    return each


def compare(bench: Workbench, postgres: PostgresServer, topic: str, table: str, key: str) -> int:
    """Every column of every row is what the topic's record says, and nothing is left over; how many there are."""
    values = [message.value() or b"" for message in bench.read(topic)]
    written = [retold(json.loads(value)) for value in values if b'"risk_level"' in value]
    found = rows(postgres, table, key)
    expected = sorted(written, key=lambda each: each[key])
    assert found == [{column: each[column] for column in found[0]} for each in expected]
    return len(found)


@pytest.mark.kafka
@pytest.mark.slow
def test_rows_are_the_decisions_with_worker_and_database_killed_on_the_way(
    bench: Workbench,
    worker: ConnectWorker,
    postgres: PostgresServer,
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """None is missing, none is there twice, each is what is on the topic; what no scorer wrote is put aside."""
    made = configuration(command, str(bench.file), "--to", "jdbc")
    made |= {"consumer.override.session.timeout.ms": "6000", "consumer.override.max.poll.records": "20"}
    name, table = made["name"], "connected_decisions"
    worker.ask("PUT", f"/connectors/{name}/config", made)
    wait_for_rows(postgres, worker, name, table, 1)
    worker.kill()
    at_first = count(postgres, table)
    assert at_first < EVENTS
    worker.start()
    wait_for_rows(postgres, worker, name, table, at_first + 1)
    postgres.kill()
    time.sleep(1)
    postgres.start()
    assert count(postgres, table) < EVENTS
    wait_for_rows(postgres, worker, name, table, EVENTS + 10)

    assert compare(bench, postgres, bench.scores, table, "decision_sequence") == EVENTS + 10
    of_money = f"information_schema.columns WHERE table_name = '{table}' AND data_type = 'numeric'"
    assert {(each["numeric_precision"], each["numeric_scale"]) for each in rows(postgres, of_money, "1")} == {(19, 2)}

    # While nothing is written it may go and come without anybody's help.
    postgres.kill()
    bench.produce(bench.pipeline.input.name, *small.events(10, begin=EVENTS))
    small.score_here(bench)
    time.sleep(2)
    assert worker.failures(name) == []
    postgres.start()
    bench.wait_for(lambda: count(postgres, table) == EVENTS + 20)
    assert worker.failures(name) == []

    aside = [dict(message.headers() or []) for message in bench.read(f"{name}-dead-letters")]
    assert [each["__connect.errors.topic"].decode() for each in aside] == [bench.scores] * 2
    assert "kept-to-itself" not in worker.log.read_text()


@pytest.mark.kafka
@pytest.mark.slow
def test_alerts_and_flat_records_become_rows_too(
    bench: Workbench,
    worker: ConnectWorker,
    postgres: PostgresServer,
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """With instants that know their zone."""
    alerts, flat = (route.topic for route in bench.pipeline.routes[1:])
    tables = {alerts: ("connected_alerts", "alert_id"), flat: ("connected_decisions_flat", "decision_id")}
    for topic, (table, _) in tables.items():
        made = configuration(command, str(bench.file), "--to", "jdbc", "--topic", topic)
        made |= {"name": table, "collection.name.format": table}
        worker.ask("PUT", f"/connectors/{table}/config", made)
    for topic, (table, key) in tables.items():
        records = bench.count(topic)
        assert records > 100
        wait_for_rows(postgres, worker, table, table, records)
        assert compare(bench, postgres, topic, table, key) == records


@pytest.mark.kafka
@pytest.mark.slow
def test_the_worker_finds_nothing_wrong_with_the_ready_configuration(worker: ConnectWorker) -> None:
    """And it knows every setting in it."""
    made = json.loads((DEPLOY / "retail-jdbc.json").read_text())
    checked = worker.ask("PUT", "/connector-plugins/JdbcSinkConnector/config/validate", made)
    assert checked["error_count"] == 0
    known = {each["definition"]["name"] for each in checked["configs"]}
    of_others = ("value.converter.", "consumer.override.", "hibernate.")
    assert [name for name in made if name not in known and not name.startswith(of_others)] == []
