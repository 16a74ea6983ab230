"""How fast a history is run again: replay against a candidate, and the backtest of rules, by the product's commands.

    python -m bench.replay [EVENTS] [HANDBOOK]

A million simulated payments of `terminal-payments`, its model trained on them, once against a candidate with another
rule (features are shared) and once with another feature (they are not); then its rules alone, also on the Handbook's
transactions if the file is given. Wall clock of the whole command (start, reading, deciding, comparing, printing) and
its processor time, which says the same where the machine does other things meanwhile. Writes bench/replay.json.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from fraudstream.pipelines import find_path

RESULT = Path(__file__).with_name("replay.json")
PIPELINE = "terminal-payments"
RULE = ("when: TX_AMOUNT > 220", "when: TX_AMOUNT > 200")
FEATURE = ("customer_amount_sum_1d: {sum: TX_AMOUNT, by: CUSTOMER_ID, over: 1d}",
           "customer_amount_sum_1d: {sum: TX_AMOUNT, by: CUSTOMER_ID, over: 2d}")  # fmt: skip


class Took(NamedTuple):
    """How long a command took in all, and how much processor time."""

    wall_s: float
    cpu_s: float


def command(folder: Path, *arguments: str) -> tuple[dict[str, Any], Took]:
    """What a command printed as JSON, and what it took."""
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "fraudstream", *arguments, "--json"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout.splitlines()[-1]), Took(time.monotonic() - started, cpu_s)


def measured(events: int, took: Took) -> dict[str, object]:
    """A measurement as it is kept, with how many processes ran or waited meanwhile (the load of the last minute)."""
    return {
        "events": events,
        "seconds": round(took.wall_s, 1),
        "events_per_s": round(events / took.wall_s),
        "cpu_seconds": round(took.cpu_s, 1),
        "others_running": round(os.getloadavg()[0], 1),
        "events_per_cpu_s": round(events / took.cpu_s),
    }


def candidate(folder: Path, name: str, change: tuple[str, str]) -> str:
    """The pipeline with one change, as a file."""
    text = find_path(PIPELINE).read_text(encoding="utf-8")
    assert change[0] in text
    (folder / f"{name}.yaml").write_text(text.replace(*change), encoding="utf-8")
    return f"{name}.yaml"


def main() -> None:
    """The program."""
    n_events = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    handbook = Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None
    result: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m bench.replay {n_events}" + (" HANDBOOK" if handbook else ""),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulated = ["simulate", PIPELINE, "--to", "events.parquet", "--truth", "truth.parquet"]
        command(folder, *simulated, "--events", str(n_events), "--history", "60d", "--start", "2026-01-01")
        history = ["--data", "events.parquet", "--truth", "truth.parquet"]
        command(folder, "train", PIPELINE, *history)
        for key, change in (("another_rule", RULE), ("another_feature", FEATURE)):
            found, took = command(folder, "replay", PIPELINE, "--candidate", candidate(folder, key, change), *history)
            result[f"replay_{key}"] = measured(n_events, took) | {"changed": found["changed"]}
        _, took = command(folder, "backtest", PIPELINE, *history)
        result["backtest"] = measured(n_events, took)
        if handbook is not None:
            found, took = command(folder, "backtest", PIPELINE, "--data", str(handbook), "--label", "TX_FRAUD")
            result["backtest_handbook"] = measured(found["events"], took)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
