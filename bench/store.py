"""The sinks at work: decisions of `card-payments` from Kafka into PostgreSQL, as fast as they go in.

    PYTHONPATH=tests python -m bench.store [--events N] [--rounds N]

Everything runs as a user runs it: a local Kafka, `simulate`, `run`, then `sink store` into an empty database of a real
PostgreSQL whose commits wait for the disk, all on one machine. Writes bench/store.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from fraudstream.kafka.jars import KAFKA_VERSION
from fraudstream.kafka.local import LocalBroker
from fraudstream.settings import load_settings
from postgres import VERSION, PostgresServer

RESULT = Path(__file__).with_name("store.json")
PIPELINE = "card-payments"
PROGRAM = [sys.executable, "-m", "fraudstream"]


class Bench:
    """A broker with decisions on its topics, in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def command(self, *arguments: str, **environ: str) -> str:
        """Runs a command to its end; its standard output."""
        done = subprocess.run(
            [*PROGRAM, *arguments],
            cwd=self.folder,
            env=os.environ | environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"fraudstream {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def decide(self, events: int) -> None:
        """Fills the topics."""
        self.command("topics", "create", PIPELINE)
        self.command("simulate", PIPELINE, "--history", "1d", "--events", str(events))
        self.command("run", PIPELINE, "--until-caught-up", "--json")

    def sink(self, server: PostgresServer, number: int) -> dict[str, Any]:
        """One round: all of it into an empty database."""
        url = server.create(f"round-{number}")
        self.command("store", "upgrade", FRAUDSTREAM_STORE_URL=url)
        said = self.command("sink", "store", PIPELINE, "--until-caught-up", "--json", FRAUDSTREAM_STORE_URL=url)
        summary: dict[str, Any] = json.loads(said.splitlines()[-1])["summary"]
        with psycopg.connect(url) as connection:
            (bytes_,) = connection.execute(
                "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('decisions')"
            ).fetchone() or (0,)
            (count,) = connection.execute("SELECT count(*) FROM decisions").fetchone() or (0,)
        assert count == summary["rows"]["decisions"], (count, summary)
        summary["decisions_per_s"] = round(count / summary["seconds"])
        summary["bytes_per_decision"] = round(int(bytes_) / count)
        return summary


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        broker = LocalBroker(load_settings({}, environ={}, folder=bench.folder).local_kafka_folder)
        server = PostgresServer(durable=True)
        try:
            broker.start()
            server.start()
            bench.decide(chosen.events)
            rounds = [bench.sink(server, number) for number in range(chosen.rounds)]
        finally:
            server.remove()
            broker.clean(force=True)
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"PYTHONPATH=tests python -m bench.store --events {chosen.events} --rounds {chosen.rounds}",
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "postgresql": VERSION,
        "kafka": KAFKA_VERSION,
        "pipeline": PIPELINE,
        "decisions_per_s": round(statistics.median(each["decisions_per_s"] for each in rounds)),
        "rounds": rounds,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
