"""Dashboards: they are what their script makes, in Grafana's own form, and every panel has something to show."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
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
        scene.start()
        scene.traffic(6, 200)
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


@pytest.mark.kafka
@pytest.mark.parametrize("uid", DASHBOARDS)
def test_every_panel_has_something_to_show(seen: Seen, uid: str) -> None:
    """Each query of each panel, as Grafana would send it, is answered, and no panel says `No data`."""
    dashboard = DASHBOARDS[uid]
    view = seen.grafana.open(dashboard, seen.view)
    wrong, empty = {}, set()
    for panel in panels(dashboard):
        answers = []
        for target in panel["targets"]:
            try:
                answers.append(seen.grafana.ask(target, view))
            except (ValueError, psycopg.Error) as refused:
                wrong[panel["title"], target["refId"]] = str(refused)
        if not any(answer.rows if isinstance(answer, Rows) else answer for answer in answers):
            empty.add(panel["title"])
    assert wrong == {}
    assert empty == set(), seen.scene.log()
