"""Us against what people would otherwise run, in one run: same machine, same broker, same events, round after round.

    python -m bench.peers [ROW …] [--events N] [--minutes N]

Prints the figures as JSON on standard output, and writes them to bench/peers.json after every step, so that a run that
is cut off leaves what it had. Rows are measured in turn, then again; when the minutes are up, no further round begins.
A row that cannot be measured says why.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.peers.drain import Failed, drain
from bench.peers.environments import NotMade
from bench.peers.field import ALL_EVENTS, Field
from bench.peers.live import latency, recovery
from bench.peers.rows import ROWS, Row
from bench.peers.values import agreement, expected

PARTIAL = Path(__file__).resolve().parents[1] / "peers.json"
GROWTH = ("10000", "100000", "1000000", "10000000", "windows")
GROWTH_S = 240
WRONG = (Failed, NotMade, OSError, RuntimeError, subprocess.SubprocessError)


class Results:
    """What has been measured so far, row by row."""

    def __init__(self, names: list[str]) -> None:
        self.began = time.monotonic()
        self.rows: dict[str, dict[str, Any]] = {name: {"rounds": []} for name in names}
        self.growth: dict[str, Any] = {}

    def minutes(self) -> float:
        """How long it has taken so far."""
        return (time.monotonic() - self.began) / 60

    def failed(self, name: str, step: str, reason: Exception) -> None:
        """Notes why a step gave nothing."""
        self.rows[name].setdefault("why", {})[step] = str(reason)
        print(f"  {name}, {step}: {reason}", file=sys.stderr, flush=True)

    def document(self) -> dict[str, Any]:
        """All of it, with the median and the spread of each row's rounds."""
        rows = {}
        for name, found in self.rows.items():
            row = dict(found)
            for figure in ("events_per_s", "events_per_cpu_s", "peak_memory_mb", "broker_cpu_us_per_event"):
                values = [each[figure] for each in found["rounds"]]
                if values:
                    row[figure] = {"median": median(values), "least": min(values), "most": max(values)}
            rows[name] = row
        return {"rows": rows, "growth": self.growth, "minutes": round(self.minutes(), 1)}

    def keep(self) -> None:
        """Writes what there is."""
        PARTIAL.write_text(json.dumps(self.document(), indent=2) + "\n")


def measure(
    field: Field, names: list[str], events: int, minutes: float, results: Results, *, drains_only: bool = False
) -> None:
    """Every step of the comparison, the most telling first."""
    rows = [ROWS[name] for name in names]
    wanted = expected(field) if any(row.features for row in rows) else {}
    _drain_round(field, rows, 0, events, results, wanted)
    for row in rows if not drains_only else ():
        if row.rates and not results.rows[row.name].get("why"):
            _step(results, row, "latency", lambda row=row: latency(field, row, 0, row.rates))
    for row in rows if not drains_only else ():
        if row.recovers and not results.rows[row.name].get("why"):
            _step(results, row, "recovery_s", lambda row=row: recovery(field, row, 0)["recovery_s"])
    for number in (1, 2):
        ready = [row for row in rows if number < row.rounds and results.rows[row.name]["rounds"]]
        if results.minutes() < minutes:
            _drain_round(field, ready, number, events, results, {})


def _drain_round(
    field: Field, rows: list[Row], number: int, events: int, results: Results, wanted: dict[int, Any]
) -> None:
    for row in rows:
        print(f"{row.name}, round {number + 1} …", file=sys.stderr, flush=True)
        try:
            results.rows[row.name]["rounds"].append(drain(field, row, number, min(events, row.events)))
            if row.features and wanted:
                results.rows[row.name]["values"] = agreement(field, f"out-{row.name.replace('_', '-')}", wanted)
        except WRONG as reason:
            results.failed(row.name, "drain", reason)
        results.keep()


def _step(results: Results, row: Row, step: str, run: Any) -> None:
    print(f"{row.name}, {step} …", file=sys.stderr, flush=True)
    try:
        results.rows[row.name][step] = run()
    except WRONG as reason:
        results.failed(row.name, step, reason)
    results.keep()


def grow(results: Results, sizes: tuple[str, ...]) -> None:
    """Cost as keys and windows grow, each size in a process of its own."""
    for size in sizes:
        print(f"growth {size} …", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "bench.peers.growth", size]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=GROWTH_S, check=True)
            results.growth[size] = json.loads(done.stdout)
        except subprocess.SubprocessError as reason:
            results.growth[size] = {"why": str(reason)}
        results.keep()


def main() -> None:
    """Runs the rows named, all of them by default."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--events", type=int, default=ALL_EVENTS, help="at most so many in a backlog")
    parser.add_argument("--drains", action="store_true", help="no latency, no recovery, no growth")
    parser.add_argument("--minutes", type=float, default=12.0, help="no further round is begun after so many")
    given = parser.parse_args()
    if unknown := set(given.rows) - set(ROWS):
        parser.error(f"there is no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    results = Results(given.rows or list(ROWS))
    with tempfile.TemporaryDirectory(prefix="fraudstream-peers-") as folder:
        field = Field(Path(folder), given.events)
        try:
            field.fill()
            measure(field, list(results.rows), given.events, given.minutes, results, drains_only=given.drains)
        finally:
            field.close()
    if not given.rows and not given.drains:
        grow(results, GROWTH)
    print(json.dumps(results.document()))


if __name__ == "__main__":
    main()
