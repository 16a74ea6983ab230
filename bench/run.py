"""`make bench`: every bench, one result file.

    python -m bench.run [decode] [kernel] [stream]

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

RESULTS = Path(__file__).with_name("results.json")
BENCHES = ("decode", "kernel", "stream")


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
    results["about"] = {
        "command": "make bench",
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(f"written to {RESULTS}", file=sys.stderr)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
