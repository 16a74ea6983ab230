"""A flood of new keys: the cap holds, memory stops growing, and what is evicted is counted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLOOD = """
import json
from bench import flood
plan = flood.flood_plan(20_000)
flood.run(plan, 20_000, 20_000)
print(json.dumps(flood.run(plan, 200_000, 200_000)))
"""


def test_two_hundred_thousand_keys_fit_into_twenty_thousand_places() -> None:
    """`bench/flood.py` shows it for ten million: the state of the first half is all the second half needs."""
    done = subprocess.run(
        [sys.executable, "-c", FLOOD], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["most_keys"] == 20_000
    assert found["evicted_keys_total"] >= 180_000
    assert found["state_mb_most"] <= found["state_mb_at_half"]
    assert found["rss_mb_peak"] < found["rss_mb_at_half"] + 20
