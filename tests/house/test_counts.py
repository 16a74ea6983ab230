"""Costs that no noise moves do not grow: calls a batch, memory an event (bench/counts.py)."""

from __future__ import annotations

import json
import sys

import pytest
from project import ROOT

sys.path.insert(0, str(ROOT))
from bench import counts

KEPT = json.loads(counts.RESULT.read_text(encoding="utf-8"))
MOST_MORE = 1.05
"""A change that costs more than this shows its reason by `python -m bench.counts --write`."""


@pytest.mark.parametrize("size", counts.SIZES)
def test_calls_a_batch_have_not_grown(size: int) -> None:
    assert counts.calls(size) <= KEPT["calls_per_batch"][str(size)] * MOST_MORE


@pytest.mark.parametrize("size", counts.SIZES)
def test_memory_an_event_has_not_grown(size: int) -> None:
    assert counts.bytes_per_event(size) <= KEPT["bytes_per_event"][str(size)] * MOST_MORE


def test_nothing_is_called_per_event() -> None:
    """Eight times the events cause a few calls more, for blocks that are moved, and not one an event."""
    few, many = counts.SIZES
    assert counts.calls(many) - counts.calls(few) < (many - few) / 10
