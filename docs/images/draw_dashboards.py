"""Draws docs/images/dashboard-*.png: what an operator sees of some minutes of simulated purchases.

    PYTHONPATH=tests:tests/house python docs/images/draw_dashboards.py

A real Kafka, PostgreSQL and Prometheus are started, and a pipeline with all of its processes. Then the dashboards' own
queries are asked, and their answers drawn in the dashboards' own layout; Grafana itself has no part in it. Needs
Chromium (Debian, Ubuntu: `apt install chromium`).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from draw_report import BROWSERS
from grafana_page import WIDTH, page

from dashboards.grafana import DASHBOARDS, Grafana, View, panels
from dashboards.scene import FRAUD, Scene, reader_of
from fraudstream.kafka.local import LocalBroker
from fraudstream.settings import load_settings
from postgres import PostgresServer

HERE = Path(__file__).parent
ATTACK = "high_amounts=0.04,new_device=0.06,impossible_travel=0.05"
PHASES = ((45, 90, FRAUD), (45, 140, FRAUD), (35, 150, ATTACK), (50, 110, FRAUD), (35, 80, FRAUD))
"""Seconds, events a second, and the fraud among them."""


def main() -> None:
    """Runs the pipeline for some minutes and takes a picture of each dashboard."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        sys.exit("Chromium was not found: the pictures of the dashboards are left as they are.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker, postgres = LocalBroker(folder / "kafka", heap_mb=384), PostgresServer()
        try:
            address = broker.start().bootstrap_servers
            assert address is not None
            postgres.start()
            (folder / "scene").mkdir()
            settings = load_settings({"bootstrap_servers": address}, environ={}, folder=folder / "scene")
            scene = Scene(settings, postgres.create("fraud"), folder / "scene", "retail")
            try:
                view = _run(scene)
                assert scene.prometheus is not None
                with reader_of(postgres.url("fraud")) as reader:
                    for uid in DASHBOARDS:
                        _draw(Grafana(scene.prometheus, reader), uid, view, browser, folder)
            finally:
                scene.stop()
        finally:
            postgres.remove()
            broker.clean(force=True)


def _run(scene: Scene) -> View:
    """Traffic that changes; returns what is then looked at."""
    scene.prepare(12_000)
    scene.start(label_delay="12s")
    time.sleep(6)
    begin_s = time.time() - 3
    for place, (seconds, rate, fraud) in enumerate(PHASES):
        traffic = threading.Thread(target=scene.traffic, args=(seconds, rate, fraud), kwargs={"label_delay": "3s"})
        traffic.start()
        if place == 2:
            time.sleep(20)
            scene.work_cases(25)
            scene.pager_comes_back()
        elif place == 3:
            time.sleep(15)
            scene.restart_scorer()
            scene.work_cases(25)
        traffic.join()
    time.sleep(2)
    return View(begin_s, time.time(), interval_s=3, scrape_s=1)


def _draw(grafana: Grafana, uid: str, view: View, browser: str, folder: Path) -> None:
    """Asks and draws one dashboard."""
    dashboard = DASHBOARDS[uid]
    opened = grafana.open(dashboard, view)
    answers = {panel["id"]: [grafana.ask(each, opened) for each in panel["targets"]] for panel in panels(dashboard)}
    html, height = page(dashboard, opened, answers)
    file, picture = folder / f"{uid}.html", HERE / f"{uid.replace('fraudstream', 'dashboard')}.png"
    file.write_text(html, encoding="utf-8")
    shown = [f"--window-size={WIDTH},{height}", "--hide-scrollbars", f"--screenshot={picture}"]
    quiet = ["--headless", "--no-sandbox", f"--user-data-dir={folder}/profile"]
    subprocess.run([browser, *quiet, *shown, f"file://{file}"], check=True, capture_output=True)
    print(f"drawn: {picture.name}, {picture.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
