"""Everything at once for ten minutes, with kills: traffic, a scorer, both sinks and notifications, on one machine.

    PYTHONPATH=tests python -m bench.soak [--minutes N] [--rate N]

First traffic and the scorer alone, for the latency without sinks; then the same with `sink store` into PostgreSQL,
`sink lake` and `notify`; then all of it for ten minutes, while each of these, and PostgreSQL itself, is killed
(SIGKILL) and started again in turn. They and PostgreSQL run at a lower priority than the scorer, as docs/operating.md
advises for one machine: what is measured is whether they hold the scorer up, not who of all gets the two processors
first. At the end every decision on the topic is looked for in the store and in the lake, and every alert among what was
told. Writes bench/soak.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import psycopg

from fraudstream.kafka.local import LocalBroker
from fraudstream.kafka.tail import TopicTail
from fraudstream.settings import load_settings
from postgres import VERSION, PostgresServer

RESULT = Path(__file__).with_name("soak.json")
PIPELINE = "card-payments"
PROGRAM = [sys.executable, "-m", "fraudstream"]
VICTIMS = ("store", "lake", "notify", "postgresql")
COMMANDS = {
    "store": ("sink", "store", PIPELINE),
    "lake": ("sink", "lake", PIPELINE),
    "notify": ("notify", "run", PIPELINE, "--from-beginning"),
}
NICE = 10
ALONE_S = 90
Place = tuple[int, int]


class Receiver:
    """A receiver of webhooks that keeps the ids of the alerts it was told."""

    def __init__(self) -> None:
        self.told: set[str] = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                receiver.told |= {alert["alert_id"] for alert in body["alerts"]}
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Soak:
    """The processes, in a folder of their own."""

    def __init__(self, folder: Path, rate: int) -> None:
        self.folder = folder
        self.rate = rate
        self.receiver = Receiver()
        self.server = PostgresServer(durable=True, nice=NICE)
        self.server.start()
        self.url = self.server.create("soak")
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "notify.yaml").write_text(
            "channels:\n  desk: {kind: webhook, url: '${DESK_URL}', secret: '${DESK_SECRET}', allow_private: true}\n"
        )
        self.environ = os.environ | {
            "FRAUDSTREAM_STORE_URL": self.url,
            "DESK_URL": f"http://127.0.0.1:{self.receiver.server.server_port}/",
            "DESK_SECRET": "of-the-soak-test-and-of-nothing-else",
        }

    def command(self, *arguments: str) -> str:
        """Runs a command to its end; its standard output."""
        done = subprocess.run(
            [*PROGRAM, *arguments], cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise SystemExit(f"fraudstream {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def start(self, name: str, *arguments: str) -> None:
        """Starts a command in the background; its output goes to a file of its name."""
        log = (self.folder / f"{name}.log").open("ab")
        command = [*PROGRAM, *arguments] if arguments else ["nice", "-n", str(NICE), *PROGRAM, *COMMANDS[name]]
        self.running[name] = subprocess.Popen(command, cwd=self.folder, env=self.environ, stdout=log, stderr=log)

    def kill(self, name: str) -> None:
        """SIGKILL, and a new start a moment later."""
        if name == "postgresql":
            self.server.kill()
            time.sleep(1)
            self.server.start()
        else:
            self.running[name].kill()
            self.running[name].wait()
            self.start(name)

    def end(self, name: str) -> str:
        """Ends a command in good order; the last line it wrote."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        return (self.folder / f"{name}.log").read_text().strip().splitlines()[-1]

    def traffic(self, seconds: int, kills: Counter[str]) -> dict[str, float]:
        """Traffic with a scorer for so long; the kills are made meanwhile. Returns the scorer's latency."""
        dice = random.Random(7)
        scorer = f"scorer-{len(kills)}"
        self.start(scorer, "run", PIPELINE, "--json")
        time.sleep(5)
        arguments = ["--rate", str(self.rate), "--duration", f"{seconds}s"]
        self.start("simulate", "simulate", PIPELINE, *arguments)
        turn = 0
        while self.running["simulate"].poll() is None:
            time.sleep(1)
            if kills and dice.random() < 1 / 10:
                name = VICTIMS[turn % len(VICTIMS)]
                self.kill(name)
                kills[name] += 1
                turn += 1
        del self.running["simulate"]
        time.sleep(5)
        summary = json.loads(self.end(scorer))["summary"]
        return {"p50": summary["latency_ms_p50"], "p99": summary["latency_ms_p99"], "events": summary["events"]}

    def decisions(self) -> tuple[list[Place], set[str]]:
        """The input coordinates of each decision on the topic, and the ids of the alerts."""
        tail = TopicTail(
            load_settings({}, environ={}, folder=self.folder), ["fraud-scores", "fraud-alerts"], from_beginning=True
        )
        places, alerts = [], set()
        for record in tail.to_end():
            document = json.loads(record.value or b"")
            if record.topic == "fraud-alerts":
                alerts.add(document["alert_id"])
            else:
                place = document["decision"]["input"]
                places.append((place["partition"], place["offset"]))
        tail.close()
        return places, alerts

    def in_store(self) -> list[Place]:
        """The same of the store's rows."""
        with psycopg.connect(self.url) as connection:
            return connection.execute("SELECT input_partition, input_offset FROM decisions").fetchall()

    def in_lake(self) -> list[Place]:
        """The same of the lake's rows."""
        table = self.folder / ".fraudstream" / "lake" / PIPELINE / "decisions"
        return pl.scan_delta(table).select("input_partition", "input_offset").collect().rows()


def compared(name: str, expected: Iterable[Place], found: Iterable[Place]) -> dict[str, int]:
    """How many are missing, and how many are there more than once or without being on the topic."""
    wanted, there = Counter(expected), Counter(found)
    return {f"{name}_missing": (wanted - there).total(), f"{name}_twice": (there - wanted).total()}


def run(minutes: float, rate: int) -> dict[str, Any]:
    """The whole soak."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        broker = LocalBroker(load_settings({}, environ={}, folder=folder).local_kafka_folder)
        soak = Soak(folder, rate)
        try:
            broker.start()
            soak.command("topics", "create", PIPELINE)
            soak.command("store", "upgrade")
            soak.traffic(30, Counter())  # what has just started is slow at first
            alone = soak.traffic(ALONE_S, Counter())
            for name in COMMANDS:
                soak.start(name)
            undisturbed = soak.traffic(ALONE_S, Counter())
            kills = Counter(dict.fromkeys(VICTIMS, 0))
            together = soak.traffic(int(60 * minutes), kills)
            for name in ("store", "lake"):
                soak.end(name)
                soak.command(*COMMANDS[name], "--until-caught-up")
            soak.end("notify")
            soak.command(*COMMANDS["notify"], "--until-caught-up")
            places, alerts = soak.decisions()
            return {
                "minutes": minutes,
                "rate": rate,
                "decisions": len(places),
                "alerts": len(alerts),
                "kills": kills.total(),
                "kills_of": dict(kills),
                **compared("postgres", places, soak.in_store()),
                **compared("lake", places, soak.in_lake()),
                "alerts_untold": len(alerts - soak.receiver.told),
                "latency_ms_without_sinks": alone,
                "latency_ms_with_sinks": undisturbed,
                "latency_ms_with_sinks_killed": together,
            }
        finally:
            for process in soak.running.values():
                process.kill()
            soak.server.remove()
            broker.clean(force=True)


def main() -> None:
    """Runs it and writes the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=int, default=300)
    chosen = parser.parse_args()
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"PYTHONPATH=tests python -m bench.soak --minutes {chosen.minutes:g} --rate {chosen.rate}",
        "nice": NICE,
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "postgresql": VERSION,
        "load_before": os.getloadavg()[0],
        **run(chosen.minutes, chosen.rate),
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
