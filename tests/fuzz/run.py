"""`make fuzz`: coverage-guided fuzzing of three targets, then ten million records through the decoder.

    python -m fuzz.run [--executions 10000000] [--guided-seconds 100] [--seed 1] [--out bench/fuzz.json]

What the guided decoder keeps is mutated further in the mass run. A finding ends the run with its reproduction.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

TARGETS = ("decoder", "pipeline", "expression")
WORKERS = 2
_SLOWEST_S, _MOST_MB = 5, 1_024


def guided(target: str, folder: Path, seconds: int) -> dict[str, Any]:
    """One target for so long; a crash, an input that takes 5 s, or 1 GB of memory ends it with an error."""
    done = subprocess.run(
        [
            sys.executable, "-m", "fuzz.guided", target, str(folder / target), f"-max_total_time={seconds}",
            f"-timeout={_SLOWEST_S}", f"-rss_limit_mb={_MOST_MB}", f"-artifact_prefix={folder}/",
            "-print_final_stats=1",
        ],
        capture_output=True, check=False,
    )  # fmt: skip
    text = done.stderr.decode(errors="replace")
    if done.returncode != 0:
        raise SystemExit(f"{target}: a finding\n{text[-6000:]}")
    started = re.search(r"INITED cov: (\d+) ft: (\d+).*?rss: (\d+)Mb", text)
    ended = re.search(r"DONE   cov: (\d+) ft: (\d+) corp: (\d+)", text)
    assert started is not None and ended is not None, text[-2000:]
    stats = dict(re.findall(r"stat::(\w+):\s+(\d+)", text))
    return {
        "executions": int(stats["number_of_executed_units"]),
        "seconds": seconds,
        "branches_at_start": int(started[1]),
        "branches": int(ended[1]),
        "kept": int(ended[3]),
        "slowest_s": int(stats["slowest_unit_time_sec"]),
        "rss_mb_start": int(started[3]),
        "rss_mb_peak": int(stats["peak_rss_mb"]),
    }


def mass(seed: int, executions: int, folder: Path) -> dict[str, Any]:
    """One process of the mass run."""
    log = folder / f"chunk-{seed}"
    done = subprocess.run(
        [
            sys.executable, "-m", "fuzz.mass", "--seed", str(seed), "--executions", str(executions),
            "--found", str(folder / "decoder"), "--log", str(log),
        ],
        capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        text = done.stderr.decode(errors="replace")
        raise SystemExit(f"mass, seed and chunk {log.read_text()}, exit {done.returncode}: a finding\n{text[-6000:]}")
    return dict(json.loads(done.stdout))


def together(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of all processes as one: sums, and of memory and time the largest."""
    kinds = sorted({kind for part in parts for kind in part["dead_letters"]})
    result = {name: sum(part[name] for part in parts) for name in parts[0] if isinstance(parts[0][name], int)}
    result["dead_letters"] = {kind: sum(part["dead_letters"].get(kind, 0) for part in parts) for kind in kinds}
    for name in ("seconds", "rss_mb_start", "rss_mb_end", "rss_mb_peak"):
        result[name] = max(part[name] for part in parts)
    return {"processes": len(parts), **result, "crashes": 0, "unexplained": 0}


def main() -> None:
    """Fuzz, and write the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--executions", type=int, default=10_000_000)
    parser.add_argument("--guided-seconds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))
    parser.add_argument("--out", type=Path, default=Path("bench/fuzz.json"))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(WORKERS) as pool:
        folder = Path(name)
        runs = pool.map(lambda target: guided(target, folder, given.guided_seconds), TARGETS)
        found = dict(zip(TARGETS, runs, strict=True))
        print(json.dumps(found, indent=1), flush=True)
        share = -(-given.executions // WORKERS)
        parts = list(pool.map(lambda place: mass(given.seed + place, share, folder), range(WORKERS)))
    figures = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": "make fuzz",
        "seed": given.seed,
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "system": platform.platform()},
        "versions": {
            "python": platform.python_version(),
            **{
                name: version(name)
                for name in ("fraudstream", "atheris", "numba", "numpy", "orjson", "pyyaml", "sqlglot")
            },
        },
        "decoder": together(parts),
        "guided": found,
    }
    given.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures["decoder"], indent=1))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    main()
