"""Writes the figures of bench/chaos.json into README.md and docs/delivery.md, between markers; a test compares them.

python -m bench.chaos_table
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "chaos.json"
NAMES = {
    "broker_kills": "broker killed and started again",
    "broker_pauses": "broker stopped for 5 s",
    "latency": "50 ms more each way",
    "loss": "packets lost",
    "partitions": "nothing comes through for 8 s or 14 s",
    "sleeps": "scorer stopped past its session, alone",
    "wrong_clocks": "clock an hour wrong, drifting",
    "zombies": "scorer stopped past its session, with a successor",
    "snapshot_bit_flipped": "newest snapshot with a bit flipped",
    "snapshot_foreign": "a snapshot of other topics in front",
    "snapshot_gone": "no snapshot left",
    "snapshot_old": "only the oldest snapshot left",
    "snapshot_truncated": "newest snapshot cut off",
}
ACTS = {
    "DELAY": "reply late",
    "DROP": "request lost, connection cut",
    "HOLD": "request late, connection cut",
    "WITHHOLD": "reply lost, connection cut",
}
RECOVERIES = {
    "broker_kills": "broker_kill",
    "broker_pauses": "broker_pause",
    "partitions": "partition",
    "sleeps": "sleep",
    "wrong_clocks": "wrong_clock",
    "zombies": "zombie",
}
"""Under which name the time to recover from a fault is kept, where it is not the fault's own."""


def summary(result: dict[str, Any]) -> str:
    """What was done, and what came of it, in a few rows."""
    faults, latency, recovery = result["faults_observed"], result["latency_ms"], result["time_to_recover_s"]["all"]
    others = sum(count for name, count in faults.items() if name != "scorer_kills")
    simulated = result["simulation"]
    rows = [
        ("Scorer killed with SIGKILL", f"{result['kills']:,} times in {result['hours'] * 60:.0f} minutes"),
        ("Other faults", f"{others:,}, of {len(faults) - 1} kinds; the broker killed {faults['broker_kills']} times"),
        ("Records checked", f"{result['counts']['inputs']:,}, {len(result['checks'])} times, last at the end"),
        ("Violations", f"{result['violations']}"),
        ("Death to the next commit", f"p50 {recovery['p50']} s, longest {recovery['max']} s (n = {recovery['n']})"),
        ("Latency in the calm quarter", f"p50 {latency['calm']['p50']} ms, p99 {latency['calm']['p99']} ms"),
        (
            "Simulated schedules of the commit loop",
            f"{simulated['schedules']:,} with {simulated['deaths']:,} deaths, {simulated['violations']} violations",
        ),
    ]
    if not result["violations"]:
        bound = f"below {result['failure_rate_below_at_95_percent']:.2%} (95 % confidence, 3/n)"
        rows.insert(4, ("Rate of failure per kill", bound))
    return table(("what", "measured"), rows)


def by_fault(result: dict[str, Any]) -> str:
    """Every fault: how often, and how long until the next commit."""
    recoveries = result["time_to_recover_s"]
    rows = []
    for name, count in result["faults_observed"].items():
        act, _, request = name.partition("_")
        if name == "scorer_kills":
            continue
        if act in ACTS:
            rows.append((f"{request}: {ACTS[act]}", f"{count}", shown(recoveries.get(f"reply_{act.lower()}"))))
        else:
            rows.append((NAMES.get(name, name), f"{count}", shown(recoveries.get(RECOVERIES.get(name, name)))))
    kills = [
        (f"SIGKILL: {moment.replace('_', ' ')}", f"{count}", shown(recoveries.get(moment)))
        for moment, count in result["kills_by_moment"].items()
    ]
    return table(("fault", "times", "to the next commit, s: p50, longest"), rows + kills)


def shown(recovery: dict[str, Any] | None) -> str:
    """The figures of one kind."""
    return f"{recovery['p50']:.1f}, {recovery['max']:.1f}" if recovery and recovery["n"] else "–"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Rows in Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def filled(text: str, result: dict[str, Any]) -> str:
    """A document with the figures between its markers."""
    for name, part in (("chaos", summary), ("chaos by fault", by_fault)):
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        inside = "\n" + part(result) + "\n" if marked.search(text) else ""
        text = marked.sub(lambda found, inside=inside: found.group(1) + inside.lstrip() + found.group(2), text)
    return text


def documents() -> list[Path]:
    """The documents that hold such figures."""
    return [ROOT / "README.md", ROOT / "docs" / "delivery.md"]


if __name__ == "__main__":
    for path in documents():
        path.write_text(
            filled(path.read_text(encoding="utf-8"), json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8"
        )
