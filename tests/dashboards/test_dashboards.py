"""Dashboards: they are what their script makes, in Grafana's own form, and every panel has something to show."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from project import ROOT

from fraudstream.settings import Settings
from fraudstream.store.tables import decisions
from prometheus import CannotBeHad, program

from .grafana import DASHBOARDS, FOLDER, Grafana, Rows, View, panels
from .scene import Scene, reader_of

if TYPE_CHECKING:
    from postgres import PostgresServer


class Seen(NamedTuple):
    """What an operator has before him after a short run."""

    grafana: Grafana
    scene: Scene
    view: View


@pytest.fixture(scope="module")
def seen(
    kafka_settings: Settings, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Seen]:
    try:
        program("prometheus")
    except CannotBeHad as reason:
        pytest.skip(str(reason))
    url = postgres.create(f"dashboards-{time.time_ns()}")
    scene = Scene(kafka_settings, url, tmp_path_factory.mktemp("scene"), f"shop-{time.time_ns()}")
    try:
        scene.prepare(3_000)
        begin_s = time.time()
        scene.start(label_delay="1s")
        scene.traffic(5, 250, label_delay="300ms")
        scene.work_cases(9)
        scene.wait_for("fraudstream_average_precision", 'fraudstream_outbox_oldest_timestamp_seconds{state="waiting"}')
        time.sleep(1.5)  # and another scrape
        assert scene.prometheus is not None
        with reader_of(url) as reader:
            yield Seen(Grafana(scene.prometheus, reader), scene, View(begin_s, time.time(), interval_s=1))
    finally:
        scene.stop()


def test_the_dashboards_are_what_their_script_makes(tmp_path: Path) -> None:
    script = ROOT / "deploy" / "grafana" / "make.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in FOLDER.glob("*.json")}, f"run python {script}"


def test_what_is_provisioned_fits_together() -> None:
    """Data sources have the uids that panels name, containers get each variable and file, and the page lists them."""
    deploy, page = ROOT / "deploy", (ROOT / "docs" / "dashboards.md").read_text(encoding="utf-8")
    text = (FOLDER.parent / "datasources" / "fraudstream.yaml").read_text(encoding="utf-8")
    sources = {source["uid"]: source["type"] for source in yaml.safe_load(text)["datasources"]}
    named = {
        (target["datasource"]["uid"], target["datasource"]["type"])
        for dashboard in DASHBOARDS.values()
        for panel in panels(dashboard)
        for target in panel["targets"]
    }
    assert named == set(sources.items())
    compose = (deploy / "compose.yaml").read_text(encoding="utf-8")
    grafana = yaml.safe_load(compose)["services"]["grafana"]
    assert set(re.findall(r"\$\{?(\w+)", text)) == {name for name in grafana["environment"] if name.startswith("FRAUD")}
    assert set(re.findall(r"\$\{(\w+)", compose)) == set(re.findall(r"^\| `([A-Z_]+)`", page, re.MULTILINE))
    provider = yaml.safe_load((FOLDER / "fraudstream.yaml").read_text(encoding="utf-8"))["providers"][0]
    mounts = dict(volume.removesuffix(":ro").split(":") for volume in grafana["volumes"])
    inside = {there: deploy / here for here, there in mounts.items()}
    for path in (provider["options"]["path"], grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]):
        assert (inside["/etc/grafana/provisioning"] / path.removeprefix("/etc/grafana/provisioning/")).exists()


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_grafana_knows_everything_that_a_dashboard_says(uid: str) -> None:
    """Through the models that Grafana publishes, which drop what they do not know, nothing gets lost."""
    plugins.register_default_plugins()
    through = json.loads(JSONEncoder().encode(Dashboard.from_json(DASHBOARDS[uid])))
    assert list(lost(DASHBOARDS[uid], through)) == []


def lost(given: Any, found: Any, where: str = "") -> Iterator[str]:
    """Where something is not found that was given."""
    if isinstance(given, dict) and isinstance(found, dict):
        for key, value in given.items():
            yield from lost(value, found.get(key), f"{where}.{key}")
    elif isinstance(given, list) and isinstance(found, list) and len(given) == len(found):
        for place, (one, other) in enumerate(zip(given, found, strict=True)):
            yield from lost(one, other, f"{where}[{place}]")
    elif given != found:
        yield where


NOTHING_WRONG = {("Open transactions", "B"), ("Decisions without the model", "B")}
"""Queries for what is not the case in the run: a transaction open for 30 s, a rule that is switched off."""


@pytest.mark.kafka
@pytest.mark.parametrize("uid", DASHBOARDS)
def test_every_panel_has_something_to_show(seen: Seen, uid: str) -> None:
    """Each query of each panel, as Grafana would send it, is answered, and with something."""
    dashboard = DASHBOARDS[uid]
    view = seen.grafana.open(dashboard, seen.view)
    wrong, empty = {}, set()
    for panel in panels(dashboard):
        for target in panel["targets"]:
            try:
                answer = seen.grafana.ask(target, view)
            except (ValueError, psycopg.Error) as refused:
                wrong[panel["title"], target["refId"]] = str(refused)
            else:
                if not (answer.rows if isinstance(answer, Rows) else answer):
                    empty.add((panel["title"], target["refId"]))
    assert wrong == {}
    assert empty <= NOTHING_WRONG, seen.scene.log()


@pytest.mark.kafka
def test_a_query_that_is_wrong_is_noticed(seen: Seen) -> None:
    expression = {"datasource": {"type": "prometheus"}, "expr": "sum(", "instant": False, "legendFormat": ""}
    with pytest.raises(ValueError, match="parse error"):
        seen.grafana.ask(expression, seen.view)
    statement = {"datasource": {"type": "postgres"}, "rawSql": "DELETE FROM decisions", "format": "table"}
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        seen.grafana.ask(statement, seen.view)
    assert seen.grafana.ask(expression | {"expr": "fraudstream_no_such_thing"}, seen.view) == []


@pytest.mark.kafka
def test_prometheus_can_evaluate_every_alarm_on_what_a_run_gives(seen: Seen) -> None:
    assert seen.scene.prometheus is not None
    rules = [rule for group in seen.scene.prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"]: rule.get("lastError", "") for rule in rules if rule["health"] != "ok"} == {}
    assert len(rules) > 10


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("pipeline", "event", "place", "device"),
    [
        ("user-activity", {"user_id": "u", "amount": 2, "location": "Oslo", "at": 1}, "location", "user_id"),
        ("card-payments", {"V1": 0.1, "card_hash": "c", "merchant_category": "food"}, "merchant_category", "card_hash"),
        ("terminal-payments", {"CUSTOMER_ID": 7, "TERMINAL_ID": 3, "TX_AMOUNT": 1}, "TERMINAL_ID", "CUSTOMER_ID"),
        ("somebodys-own", {"id": "a", "kind": "b", "at": 5}, "kind", "kind"),
    ],
)
def test_place_and_device_are_members_of_the_pipelines_own_events(
    seen: Seen, pipeline: str, event: dict[str, Any], place: str, device: str
) -> None:
    """What is usually meant comes first; else what has the fewest values, here `kind`."""
    rows = [
        {
            "pipeline": pipeline, "input_topic": "t", "input_partition": 0, "input_offset": offset,
            "outcome": "approve", "risk_level": "LOW", "reasons": [], "decided_at": int(seen.view.end_s * 1_000) - 1,
            "event": event | ({"id": f"a{offset}", "at": offset} if "kind" in event else {}),
        }
        for offset in range(5)
    ]  # fmt: skip
    with seen.scene.store.begin() as connection:
        connection.execute(decisions.insert(), rows)
    view = replace(seen.view, chosen={"pipeline": pipeline})
    fields = {each["name"]: each for each in DASHBOARDS["fraudstream-fraud"]["templating"]["list"]}
    offered = seen.grafana.choices(fields["place_field"], view)
    assert set(offered) == event.keys()
    assert (offered[0], seen.grafana.choices(fields["device_field"], view)[0]) == (place, device)


def test_macros_are_filled_in_as_grafana_does() -> None:
    view = View(
        1_700_000_000,
        1_700_003_600,
        interval_s=15,
        scrape_s=15,
        chosen={"one": "it's", "all": ".*", "two": ["a.b", "c"]},
    )
    assert view.expression('x{a="$one", b=~"$all", c=~"$two"}[$__rate_interval] $__range') == (
        'x{a="it\'s", b=~".*", c=~"(a\\.b|c)"}[60s] 3600s'
    )
    assert view.statement(
        "SELECT $__timeGroupAlias(at, $__interval) WHERE $__timeFilter(at) AND a = ${one:sqlstring}"
    ) == (
        'SELECT floor(extract(epoch from at)/15)*15 AS "time" '
        "WHERE at BETWEEN '2023-11-14T22:13:20Z' AND '2023-11-14T23:13:20Z' AND a = 'it''s'"
    )
