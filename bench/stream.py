"""The whole way on a real broker beside it: throughput, latency and recovery of `terminal-payments`, exactly once.

    python -m bench.stream [--events N]

Everything runs as a user runs it: the commands `produce`, `simulate`, `train` and `run`, a local Kafka, two cores for
all of them together. Events are the third-party transactions where they are beside the checkout, else simulated ones.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.local import LocalBroker
from fraudstream.kafka.tail import TopicTail
from fraudstream.settings import Settings, load_settings

PIPELINE = "terminal-payments"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "handbook_transactions.parquet"
PROGRAM = [sys.executable, "-m", "fraudstream"]
ALL_EVENTS = 1_754_155
TRAINING_EVENTS = 300_000
CROWD = ("--customers", "2000000", "--terminals", "100000")
"""So many that live traffic at high rates looks like life to each of them, as it did in training."""
LATENCY_S = 30
SUSTAINED_RATE = 30_000


class Bench:
    """A broker, a trained model, and topics, in a temporary folder."""

    def __init__(self, folder: Path, events: int) -> None:
        self.folder = folder
        self.events = events
        self.settings: Settings = load_settings({}, environ={}, folder=folder)

    def command(self, *arguments: str) -> str:
        """Runs a command to its end; its standard output."""
        done = subprocess.run([*PROGRAM, *arguments], cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"fraudstream {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def train(self) -> None:
        """The model: LightGBM on simulated history."""
        self.command(
            *("simulate", PIPELINE, "--history", "1m", "--events", str(TRAINING_EVENTS), *CROWD),
            *("--to", "train.parquet", "--truth", "truth.parquet", "--incident-span", "30s"),
        )
        # All that lies in a minute is known at its end: the bench is about speed, not about what labels are worth.
        known = ("--truth", "truth.parquet", "--label-delay", "1s")
        self.command("train", PIPELINE, "--data", "train.parquet", *known)

    def fresh_topics(self) -> None:
        """Empty topics, no state."""
        admin = KafkaAdmin(self.settings)
        old = [name for name in admin.topics() if name.startswith(("terminal", "fraud"))]
        if old:
            admin.delete_topics(old)
            while any(name in admin.topics() for name in old):
                time.sleep(0.1)
        shutil.rmtree(self.folder / ".fraudstream" / "state", ignore_errors=True)
        self.command("topics", "create", PIPELINE)

    def load_history(self) -> None:
        """The backlog."""
        if DATA.exists():
            self.command(
                *("produce", str(DATA), "--topic", "terminal-transactions", "--key", "CUSTOMER_ID"),
                *("--time", "TX_DATETIME", "--drop", "TX_FRAUD", "--drop", "TX_FRAUD_SCENARIO"),
                *("--id", "TRANSACTION_ID", "--labels", "TX_FRAUD", "--label-delay", "7d"),
                *("--labels-topic", "fraud-labels", "--limit", str(self.events)),
            )
        else:
            self.command(
                *("simulate", PIPELINE, "--history", "180d", "--events", str(self.events), "--customers", "5000")
            )

    def scorer(self, *arguments: str, log: str) -> subprocess.Popen[bytes]:
        """A scorer in the background; its statistics go to a file."""
        output = (self.folder / log).open("w")
        return subprocess.Popen([*PROGRAM, "run", PIPELINE, "--json", *arguments], cwd=self.folder, stdout=output)

    def statistics(self, log: str) -> list[dict[str, Any]]:
        """The lines a scorer has written so far."""
        lines = (self.folder / log).read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def finish(process: subprocess.Popen[bytes]) -> dict[str, float]:
    """Waits for a process; its CPU seconds and its peak memory."""
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"a scorer ended with status {status}")
    return {"cpu_s": usage.ru_utime + usage.ru_stime, "peak_memory_mb": usage.ru_maxrss / 1024}


def drain(bench: Bench) -> dict[str, object]:
    """A backlog scored as fast as it goes."""
    bench.fresh_topics()
    bench.load_history()
    started = time.monotonic()
    process = bench.scorer("--until-caught-up", log="drain.log")
    usage = finish(process)
    lines = bench.statistics("drain.log")
    summary = lines[-1]["summary"]
    rates = [line["events_per_second"] for line in lines[:-1] if line["events_per_second"] > 0]
    inner = rates[1:-1] or rates
    return {
        "events": summary["events"],
        "wall_s_with_start": time.monotonic() - started,
        "events_per_s_median": statistics.median(inner),
        "events_per_s_slowest_second": min(inner),
        "events_per_cpu_s": summary["events"] / usage["cpu_s"],
        "transactions": summary["transactions"],
        "dead_letters": summary["dead_letters"],
        **usage,
    }


def restart(bench: Bench) -> dict[str, float]:
    """How long a scorer takes to stand where it stood, with its snapshot and from the log alone."""
    figures = {}
    for name in ("with_snapshot_s", "from_the_log_s"):
        if name == "from_the_log_s":
            shutil.rmtree(bench.folder / ".fraudstream" / "state")
        started = time.monotonic()
        finish(bench.scorer("--until-caught-up", log="restart.log"))
        figures[name] = time.monotonic() - started
    figures["events_of_history"] = bench.events
    return figures


def live(bench: Bench, rate: int, seconds: int) -> dict[str, object]:
    """Live traffic at a rate: latency from produce to a read_committed consumer, and whether the scorer keeps up."""
    bench.fresh_topics()
    reader = TopicTail(bench.settings, ["fraud-scores"])
    process = bench.scorer(log="live.log")
    while not bench.statistics("live.log") or bench.statistics("live.log")[-1]["lag"] is None:
        time.sleep(0.2)
    generator = subprocess.Popen(
        [
            *(*PROGRAM, "simulate", PIPELINE, "--rate", str(rate), "--duration", f"{seconds}s"),
            *("--labels-topic", "none", "--json", *CROWD),
        ],
        cwd=bench.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seen: list[tuple[int, list[bytes]]] = []
    quiet_since = time.monotonic()
    while generator.poll() is None or time.monotonic() - quiet_since < 2:
        records = reader.poll(50_000, 0.05)
        if records:
            # Decoded later: the reader must not be what is slow.
            seen.append((time.time_ns() // 1_000_000, [record.value or b"" for record in records]))
            quiet_since = time.monotonic()
    reader.close()
    process.terminate()
    usage = finish(process)
    inputs = TopicTail(bench.settings, ["terminal-transactions"], from_beginning=True)
    produced = {(record.partition, record.offset): record.timestamp_ms for record in inputs.to_end()}
    inputs.close()
    latencies = []
    for at_ms, values in seen:
        for value in values:
            # The input's coordinates, without parsing 1 KB of JSON for each.
            begin = value.index(b'"input":') + 8
            place = json.loads(value[begin : value.index(b"}", begin) + 1])
            latencies.append(at_ms - produced[place["partition"], place["offset"]])
    ages = np.array(latencies[len(latencies) // 10 :])  # the first tenth warms up
    lags = [line["lag"] for line in bench.statistics("live.log")[:-1] if line["lag"] is not None]
    p50, p99, p999 = np.percentile(ages, [50, 99, 99.9]).tolist()
    return {
        "rate": rate,
        "events": len(produced),
        "decisions": len(latencies),
        "p50": p50,
        "p99": p99,
        "p999": p999,
        "largest_lag": max(lags, default=0),
        "last_lag": lags[-1] if lags else 0,
        **usage,
    }


def run(events: int = ALL_EVENTS) -> dict[str, object]:
    """All figures of this bench."""
    with tempfile.TemporaryDirectory(prefix="fraudstream-bench-") as temporary:
        folder = Path(temporary)
        broker = LocalBroker(folder / ".fraudstream" / "kafka")
        broker.start()
        try:
            bench = Bench(folder, events)
            bench.train()
            live(bench, 2_000, LATENCY_S)  # a broker that has just started compiles its code first
            latency = {str(rate): live(bench, rate, LATENCY_S) for rate in (1_000, 2_000, 5_000, 20_000)}
            sustained = live(bench, SUSTAINED_RATE, LATENCY_S)
            drained = drain(bench)
            restarted = restart(bench)
        finally:
            broker.clean(force=True)
    source = "third-party transactions" if DATA.exists() else "simulated transactions"
    return {
        "pipeline": PIPELINE,
        "source_of_backlog": source,
        "drain": drained,
        "restart": restarted,
        "latency_ms": latency,
        "sustained_live": sustained,
    }


if __name__ == "__main__":
    count = int(sys.argv[sys.argv.index("--events") + 1]) if "--events" in sys.argv else ALL_EVENTS
    print(json.dumps(run(count), indent=2))
