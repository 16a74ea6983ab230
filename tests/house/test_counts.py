"""Costs that no noise moves do not grow: calls a batch, memory an event (bench/counts.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from project import ROOT

KEPT = json.loads((ROOT / "bench" / "counts.json").read_text(encoding="utf-8"))
MOST_MORE = 1.05
"""A change that costs more than this shows its reason by `python -m bench.counts --write`."""


@pytest.fixture(scope="module")
def counted() -> dict[str, Any]:
    """Counted in a process of its own, where nothing else allocates or is collected."""
    done = subprocess.run([sys.executable, "-m", "bench.counts"], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the counts kept are those of Python 3.11")
@pytest.mark.parametrize("cost", ["calls_per_batch", "bytes_per_event"])
def test_what_a_batch_costs_has_not_grown(counted: dict[str, Any], cost: str) -> None:
    assert {size: count for size, count in counted[cost].items() if count > KEPT[cost][size] * MOST_MORE} == {}


def test_nothing_is_called_per_event(counted: dict[str, Any]) -> None:
    """Eight times the events cause a few calls more, for blocks that are moved, and not one an event."""
    few, many = counted["calls_per_batch"].values()
    assert many - few < 350
