"""Writes the figures of bench/results.json into README.md, between its markers; a test holds them together.

python -m bench.tables
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results.json")
README = Path(__file__).resolve().parents[1] / "README.md"
_MARKED = re.compile(r"(<!-- figures -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def table(results: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    kernel, stream, about = results["kernel"], results["stream"], results["about"]
    few, many = kernel["keys_10000"], kernel["keys_1000000"]
    drain, sustained, restart = stream["drain"], stream["sustained_live"], stream["restart"]
    rows = [
        (
            "Scoring a backlog, exactly once, LightGBM model, 28 features",
            f"{drain['events_per_s_median']:,.0f} events/s (median second; {drain['events']:,} events)",
        ),
        (
            f"Keeping up with live traffic of {sustained['rate']:,} events/s",
            f"largest lag {sustained['largest_lag']:,} records, {sustained['last_lag']:,} at the end",
        ),
        *(
            (
                f"Produce → `read_committed` consumer at {int(rate):,} events/s",
                f"p50 {each['p50']:.0f} ms, p99 {each['p99']:.0f} ms, p99.9 {each['p999']:.0f} ms",
            )
            for rate, each in stream["latency_ms"].items()
        ),
        (
            f"Restart on {restart['events_of_history']:,} events of history",
            f"{restart['with_snapshot_s']:.1f} s with snapshot, {restart['from_the_log_s']:.1f} s from the log alone",
        ),
        ("Peak memory of the scorer on the backlog", f"{drain['peak_memory_mb']:,.0f} MB"),
        *(
            (
                f"Feature kernel, 10 window aggregates, {keys} keys, one core",
                f"{each['events_per_s'] / 1e6:.1f} million events/s, {each['ratio_to_duckdb']:.1f} × DuckDB's query",
            )
            for keys, each in (("10 thousand", few), ("1 million", many))
        ),
        (
            "State of that plan",
            f"{few['bytes_per_retained_event']:.0f} bytes a retained event, {few['bytes_per_key']:.0f} bytes a key",
        ),
    ]
    lines = ["| what | measured |", "|---|---|", *(f"| {what} | {figure} |" for what, figure in rows)]
    where = f"{about['cores']} cores ({about['processor']}), broker, generator, scorer and reader together"
    return "\n".join(lines) + f"\n\nMeasured on {where}, by `make bench`; all of it is in `bench/results.json`.\n"


def filled(readme: str, results: dict[str, Any]) -> str:
    """The README with the figures of the results."""
    return _MARKED.sub(lambda found: found.group(1) + table(results) + found.group(2), readme)


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8"), json.loads(RESULTS.read_text())), encoding="utf-8")
