"""Writes the figures of bench/results.json into README.md, between markers, and draws them; a test holds them together.

python -m bench.tables
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results.json")
ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "images" / "bench.svg"
_MARKED = re.compile(r"(<!-- (figures|peers) -->\n).*?(<!-- end of \2 -->)", re.DOTALL)
PEERS = {
    "ceiling": "the ceiling: the same bytes in and out, no work, in transactions",
    "ours": "fraudstream, exactly once",
    "ours_at_least_once": "fraudstream, at least once",
    "kafka_streams": "Kafka Streams (Java)",
    "flink_sql": "Flink SQL (PyFlink)",
    "quixstreams": "Quix Streams",
    "faust": "Faust (faust-streaming)",
    "common_loop": "the tutorials' loop: one message, a random forest, a commit",
    "common_loop_kind": "the same without the synchronous commit",
    "common_loop_logistic": "the same with a logistic regression, with commit",
}


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
        *(
            (
                f"State of that plan, {keys} keys",
                f"{each['bytes_per_retained_event']:.0f} bytes a retained event, {each['bytes_per_key']:.0f} a key",
            )
            for keys, each in (("10 thousand", few), ("1 million", many))
        ),
        *(
            (f"`{command}`", f"{results['start'][name]['median']:.0f} ms")
            for command, name in (("import fraudstream", "import_fraudstream"), ("fraudstream --help", "help"))
        ),
    ]
    lines = ["| what | measured |", "|---|---|", *(f"| {what} | {figure} |" for what, figure in rows)]
    where = f"{about['cores']} cores ({about['processor']}) with Kafka {about['kafka']} on them"
    whole = f"Measured on {where}, generator, scorer and reader too, by `make bench`; all is in `bench/results.json`."
    return "\n".join(lines) + f"\n\n{whole}\n"


def peers(results: dict[str, Any]) -> str:
    """Each row beside ours, as a Markdown table; what could not be measured says why."""
    rows = results["peers"]["rows"]
    mine, with_model = rows["ours"]["events_per_cpu_s"]["median"], results["stream"]["drain"]["events_per_cpu_s"]
    lines = [
        "| row | events/s per core-second | ours is | events/s | p50, p99 at 1,000/s | back after a kill | memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, title in PEERS.items():
        row = rows.get(name)
        if row is None:
            continue
        if "events_per_s" not in row:
            lines.append(f"| {title} | {'; '.join(row.get('why', {}).values())[:160]} | | | | | |")
            continue
        per_core = row["events_per_cpu_s"]["median"]
        live = row.get("latency", {}).get("1000")
        cells = [
            f"{per_core:,.0f}",
            _times((with_model if name.startswith("common_loop") else mine) / per_core) if name != "ours" else "",
            f"{row['events_per_s']['median']:,.0f}",
            f"{live['p50']:,.0f}, {live['p99']:,.0f} ms" if live else "–",
            f"{row['recovery_s']:.1f} s" if "recovery_s" in row else "–",
            f"{row['peak_memory_mb']['median']:,.0f} MB",
        ]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    ping, own = results["ping_ms"]["5000"], results["latency_ms"]["5000"]
    growth = results["peers"]["growth"]
    few, many = growth.get("10000", {}), growth.get("10000000", {})
    said = (
        f"At 5,000 events/s our p50 and p99 are {own['p50']:.0f} and {own['p99']:.0f} ms; those of a transactional "
        f"ping, without any work, {ping['p50']:.0f} and {ping['p99']:.0f} ms."
    )
    if "ns_per_event" in few and "ns_per_event" in many:
        said += (
            f" An event costs {few['ns_per_event'] / 1e3:.1f} µs with 10 thousand keys and "
            f"{many['ns_per_event'] / 1e3:.1f} µs with 10 million."
        )
    return "\n".join(lines) + f"\n\n{said}\n\n{_why(results)}\n"


def _why(results: dict[str, Any]) -> str:
    """What an event's processor time goes into, and what follows for the ratios."""
    rows, growth = results["peers"]["rows"], results["peers"]["growth"]
    ours, client, quix = (1e6 / rows[name]["events_per_cpu_s"]["median"] for name in ("ours", "ceiling", "quixstreams"))
    engine = growth["100000"]["ns_per_event"] / 1e3
    return (
        f"Of the {ours:.1f} µs of processor time that an event costs exactly once, the client library takes "
        f"{client:.1f} µs to fetch and send it (the ceiling), the engine {engine:.1f} µs from bytes to bytes, and the "
        f"rest goes into records that are larger going out. Whatever uses this client is at most "
        f"{quix / client:.0f} × Quix Streams; we set out for 15 × and are at {quix / ours:.1f} ×."
    )


def _times(ratio: float) -> str:
    return f"{ratio:,.0f} ×" if ratio >= 10 else f"{ratio:.2g} ×"


def picture(results: dict[str, Any]) -> str:
    """Events a second of a core, by row, as an SVG with a logarithmic scale."""
    rows = results["peers"]["rows"]
    measured = {
        title.split(":")[0].split(",")[0] + (", at least once" if name.endswith("_once") else ""): rows[name]
        for name, title in PEERS.items()
        if "events_per_cpu_s" in rows.get(name, {}) and not name.startswith("common_loop_")
    }
    height = 34 * len(measured) + 60
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 {height}" font-family="sans-serif" font-size="14">',
        f'<rect width="860" height="{height}" fill="#ffffff"/>',
        '<text x="16" y="26" font-weight="bold">Events a second of one core (logarithmic)</text>',
    ]
    for place, (title, row) in enumerate(measured.items()):
        value, y = row["events_per_cpu_s"]["median"], 44 + 34 * place
        length = 90 * max(0.0, math.log10(value / 10))
        colour = "#1f6f54" if title.startswith("fraudstream") else "#9aa5b1"
        parts += [
            f'<text x="250" y="{y + 17}" text-anchor="end">{title}</text>',
            f'<rect x="260" y="{y}" width="{length:.0f}" height="24" fill="{colour}"/>',
            f'<text x="{268 + length:.0f}" y="{y + 17}">{value:,.0f}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def filled(readme: str, results: dict[str, Any]) -> str:
    """The README with the figures of the results."""
    made = {"figures": table, "peers": peers}
    return _MARKED.sub(lambda found: found.group(1) + made[found.group(2)](results) + found.group(3), readme)


if __name__ == "__main__":
    measured = json.loads(RESULTS.read_text(encoding="utf-8"))
    README.write_text(filled(README.read_text(encoding="utf-8"), measured), encoding="utf-8")
    PICTURE.write_text(picture(measured), encoding="utf-8")
