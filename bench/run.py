"""`make bench`: every bench, one result file.

    python -m bench.run [start] [decode] [kernel] [stream] [peers]

Writes bench/results.json; benches that are not named keep their last figures. Each runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fraudstream.kafka.jars import KAFKA_VERSION

RESULTS = Path(__file__).with_name("results.json")
BENCHES = ("start", "decode", "kernel", "stream", "peers")
PEERS = ("ceiling", "common_loop", "quixstreams", "faust", "flink_sql", "kafka_streams")


TARGETS = {"common_loop": 100, "quixstreams": 15, "flink_sql": 5, "kafka_streams": 2}
"""What ours was to be over each peer, in events a core-second."""


def main() -> None:
    """Runs the benches named, all by default."""
    chosen = sys.argv[1:] or BENCHES
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in chosen:
        if name not in BENCHES:
            raise SystemExit(f"There is no bench {name!r}; there are {', '.join(BENCHES)}.")
        print(f"{name} …", file=sys.stderr, flush=True)
        done = subprocess.run([sys.executable, "-m", f"bench.{name}"], stdout=subprocess.PIPE, check=True)
        results[name] = json.loads(done.stdout)
        _write(results)
    print(f"written to {RESULTS}", file=sys.stderr)


def _write(results: dict[str, Any]) -> None:
    """Keeps what there is, so that a run that is cut off leaves what it had."""
    if "peers" in results:
        results |= _against(results["peers"]["rows"], results["stream"]["drain"])
    results["about"] = {
        "command": "make bench",
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        "kafka": KAFKA_VERSION,
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def _against(rows: dict[str, Any], with_model: dict[str, Any]) -> dict[str, Any]:
    """Ours over each peer, and latency by rate beside the transactional ping's, from the rows of the peers bench.

    The common loop asks a model about every event; beside it stands our backlog with a model and 28 features.
    """
    ours = rows["ours"]
    measured = [name for name in PEERS if "events_per_cpu_s" in rows.get(name, {})]
    ratios = {name: _ratio(ours, rows[name], "events_per_cpu_s") for name in measured}
    sustained = {name: _ratio(ours, rows[name], "events_per_s") for name in measured}
    if "common_loop" in measured:
        loop = rows["common_loop"]
        ratios["common_loop"] = with_model["events_per_cpu_s"] / loop["events_per_cpu_s"]["median"]
        sustained["common_loop"] = with_model["events_per_s_median"] / loop["events_per_s"]["median"]
    return {
        "ratios": ratios,
        "sustained_ratios": sustained,
        # README says why, from the same figures.
        "missed": {
            name: {"target": target, "reached": ratios[name]}
            for name, target in TARGETS.items()
            if name in ratios and ratios[name] < target
        },
        "latency_ms": {
            rate: {name: each[name] for name in ("p50", "p99", "p999")}
            for rate, each in ours.get("latency", {}).items()
        },
        "ping_ms": {
            rate: {name: each[name] for name in ("p50", "p99", "p999")}
            for rate, each in rows["ceiling"].get("latency", {}).items()
        },
    }


def _ratio(ours: dict[str, Any], peer: dict[str, Any], figure: str) -> float:
    return float(ours[figure]["median"] / peer[figure]["median"])


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
