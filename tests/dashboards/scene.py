"""A pipeline at work and all that stands around it: traffic with fraud, scorer, sink, notifier, monitor, Prometheus."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import yaml
from project import ROOT
from sqlalchemy import select

from fraudstream.define.monitoring import Limits
from fraudstream.define.pipeline import Topic
from fraudstream.pipelines import find_pipeline
from fraudstream.settings import Settings, load_settings
from fraudstream.store.cases import Status, Verdict, assign, close, open_case
from fraudstream.store.engine import connect
from fraudstream.store.migrate import upgrade
from fraudstream.store.tables import alerts
from prometheus import PrometheusServer
from runner.tiny_model import manifest_of, registry_of, tiny_model
from runner.workbench import Workbench

PROGRAM = str(Path(sys.executable).with_name("fraudstream"))
FRAUD = "high_amounts=0.01,new_device=0.01,impossible_travel=0.01"
INPUTS = ("amount", "amount_zscore", "device_frequency", "new_device", "location_change", "travel_km", "travel_kmh")
BAD = [b"no", b"{}", b"", b'{"user_id": 1}', b"[1, 2]", b'{"amount": "much"}']


class Scene:
    """The retail pipeline with labels and a model that learns from them, on topics of its own.

    Args:
        settings: The broker.
        store_url: An empty PostgreSQL database.
        folder: For everything.
        name: The pipeline's; its topics begin with it.
        customers: How many customers buy.
    """

    def __init__(self, settings: Settings, store_url: str, folder: Path, name: str, customers: int = 300) -> None:
        retail = find_pipeline("retail", environ={})
        assert retail.model is not None
        model = msgspec.structs.replace(retail.model, trainer="lightgbm", features=INPUTS)
        limits = Limits(least_decisions=100, least_frauds=3)
        labelled = msgspec.structs.replace(retail, labels=Topic(name="labels"), model=model, monitor=limits)
        self.bench = Workbench(settings, labelled, folder, name)
        self.name = name
        self._folder = folder
        self._customers = str(customers)
        secrets = {
            "FRAUDSTREAM_STORE_URL": store_url,
            "DESK_SECRET": "whsec_c2VjcmV0IG9mIGEgdGVzdCwgMzIgYnl0ZXMgbG9uZw==",
        }
        clean = {key: value for key, value in os.environ.items() if not key.startswith("FRAUDSTREAM_")}
        self._environ = clean | secrets
        self.store = connect(load_settings(environ={"FRAUDSTREAM_STORE_URL": store_url}, folder=folder))
        self._started: list[subprocess.Popen[bytes]] = []
        self._scorer: tuple[subprocess.Popen[bytes], tuple[str, ...]] | None = None
        self._told = _Told(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self._told.serve_forever, daemon=True).start()
        self.prometheus: PrometheusServer | None = None

    def prepare(self, history: int) -> None:
        """Learns a model from a simulated history, which is on the topic, too; makes the store's tables."""
        data, file = self._folder / "history.jsonl", str(self.bench.file)
        span = ["--history", "20d", "--events", str(history), "--customers", self._customers, "--fraud", FRAUD]
        self._done("simulate", "retail", *span, "--to", str(data), "--truth", "truth.parquet")
        training = self._begin("train", file, "--data", str(data), "--truth", "truth.parquet", "--label-delay", "1d")
        self.bench.produce(self._topic, data.read_bytes().splitlines())
        upgrade(self.store)
        assert training.wait(120) == 0, self.log()
        raw = tiny_model(0.0005, len(INPUTS))
        registry_of(self.bench).add(manifest_of(self.name, raw, features=INPUTS), raw, by="test")  # a challenger
        self._done("run", file, "--until-caught-up")  # which leaves a snapshot

    def start(self, label_delay: str, scrape_s: int = 1) -> None:
        """Starts every process, and Prometheus as deploy/prometheus/prometheus.yml has it.

        Args:
            label_delay: How long after an event its label is there, for the monitor.
            scrape_s: How often Prometheus scrapes.
        """
        file = str(self.bench.file)
        self._write_notifications()
        ports = []
        for arguments in (
            ("run", file),
            ("sink", "store", file),
            ("notify", file, "--from-beginning"),
            ("monitor", file, "--watch", "--every", "1s", "--labels-over", "10m", "--label-delay", label_delay),
        ):
            ports.append(_free_port())
            given = (*arguments, "--metrics-port", str(ports[-1]))
            process = self._begin(*given)
            self._scorer = self._scorer or (process, given)
        configuration = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
        configuration["global"] = {"scrape_interval": f"{scrape_s}s", "evaluation_interval": f"{scrape_s}s"}
        configuration["rule_files"] = [str(ROOT / "deploy/prometheus" / name) for name in configuration["rule_files"]]
        (job,) = configuration["scrape_configs"]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in ports]}]
        self.prometheus = PrometheusServer(self._folder / "prometheus", configuration)
        self.prometheus.wait()
        self.wait_for(f"count(fraudstream_ready == 1) == {len(ports)}")

    def traffic(self, seconds: int, rate: int, fraud: str = FRAUD, *, label_delay: str) -> None:
        """Customers buy for so long; some records are bad."""
        labels = self.bench.pipeline.labels
        assert labels is not None
        where = ["--topic", self._topic, "--labels-topic", labels.name, "--label-delay", label_delay, "--label-all"]
        how = ["--rate", str(rate), "--duration", f"{seconds}s", "--customers", self._customers, "--fraud", fraud]
        process = self._begin("simulate", "retail", *where, *how, "--incident-span", "3s")
        number = 0
        while process.poll() is None:
            self.bench.produce(self._topic, [BAD[number % len(BAD)]], [b"bad"])
            number += 1
            time.sleep(0.7)
        assert process.returncode == 0, self.log()

    def pager_comes_back(self) -> None:
        """Until then the pager's service is down."""
        self._told.pager_is_up = True

    def restart_scorer(self) -> None:
        """As for a roll-out."""
        assert self._scorer is not None
        process, arguments = self._scorer
        process.terminate()
        assert process.wait(30) == 0, self.log()
        self._begin(*arguments)

    def work_cases(self, count: int) -> None:
        """Somebody opens cases of alerts, takes some and closes some."""
        with self.store.begin() as connection:
            found = connection.execute(select(alerts).order_by(alerts.c.alert_at.desc()).limit(count)).all()
        for number, each in enumerate(found):
            alert_id = f"{each.input_topic}-{each.input_partition}-{each.input_offset}"
            case = open_case(self.store, self.name, alert_id)
            if case.status != Status.OPEN:
                continue
            if number % 3:
                assign(self.store, case.case_id, ("ana", "ben")[number % 2])
            if number % 3 == 2:
                close(self.store, case.case_id, (Verdict.FRAUD, Verdict.LEGITIMATE)[number % 4 == 0])

    def wait_for(self, *metrics: str, timeout_s: float = 60) -> None:
        """Waits until Prometheus has scraped these."""
        assert self.prometheus is not None
        deadline = time.monotonic() + timeout_s
        while not all(self.prometheus.get("query", query=metric)["result"] for metric in metrics):
            assert time.monotonic() < deadline and self.alive(), self.log()
            time.sleep(0.1)

    def alive(self) -> bool:
        """Whether no process has failed."""
        return all(process.poll() in (None, 0) for process in self._started)

    def log(self) -> str:
        """The end of what the processes said."""
        return (self._folder / "log").read_text(encoding="utf-8", errors="replace")[-3_000:]

    def stop(self) -> None:
        """Ends everything, without ado."""
        for process in self._started:
            process.kill()
        for process in self._started:
            process.wait(30)
        if self.prometheus is not None:
            self.prometheus.stop()
        self._told.shutdown()
        self._told.server_close()

    @property
    def _topic(self) -> str:
        return self.bench.pipeline.input.name

    def _begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        given = [] if arguments[0] == "train" else ["-b", self.bench.settings.bootstrap_servers]
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [PROGRAM, *arguments, *given], cwd=self._folder, env=self._environ, stdout=log, stderr=log
            )
        self._started.append(process)
        return process

    def _done(self, *arguments: str) -> None:
        assert self._begin(*arguments).wait(120) == 0, self.log()

    def _write_notifications(self) -> None:
        desk = f"http://127.0.0.1:{self._told.server_port}"
        webhook = {"kind": "webhook", "allow_private": True, "secret": "${DESK_SECRET}"}
        channels = {
            "desk": {**webhook, "url": "${DESK_URL}", "limit": {"most": 2, "per": "1s"}},
            "pager": {
                **webhook,
                "url": "${PAGER_URL}",
                "when": [{"risk_level": "CRITICAL"}],
                "group": {"over": "1s"},
                "retry": {"first": "1s", "longest": "10s"},
            },
        }
        self._environ |= {
            "DESK_URL": f"{desk}/desk",
            "PAGER_URL": f"{desk}/pager",
        }
        (self._folder / "notify.yaml").write_text(yaml.safe_dump({"channels": channels}), encoding="utf-8")


class _Told(ThreadingHTTPServer):
    """Who is told: a desk, and a pager whose service is down at first."""

    pager_is_up = False


class _Handler(BaseHTTPRequestHandler):
    server: _Told

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204 if self.path == "/desk" or self.server.pager_is_up else 503)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def reader_of(store_url: str) -> psycopg.Connection[Any]:
    """A connection as the user that docs/dashboards.md makes for Grafana, which may only read."""
    page = (ROOT / "docs" / "dashboards.md").read_text(encoding="utf-8")
    statements = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)[0]
    with psycopg.connect(store_url, autocommit=True) as owner:
        owner.execute(statements.encode())
    (password,) = re.findall(r"PASSWORD '(.+)'", statements)
    return psycopg.connect(store_url, user="grafana", password=password, autocommit=True)
