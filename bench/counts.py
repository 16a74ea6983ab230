"""Costs that no noise moves: what the interpreter does for a batch, from bytes in to bytes out, without Kafka.

    python -m bench.counts [--write]

Calls are those of functions, Python's and C's, while one warm batch is scored; memory is what Python's allocator and
NumPy's hold at most meanwhile. tests/house/test_counts.py compares them with bench/counts.json, which `--write` makes
anew.
"""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.growth import BEGINS_AT_S, Scorer, plan_of_small, records_of

RESULT = Path(__file__).with_name("counts.json")
SIZES = (500, 4_000)
KEYS = 500
WARM = 3


def work(size: int) -> list[list[bytes | None]]:
    """The same batches every time."""
    source = np.random.default_rng(11)
    return [
        records_of(
            source.integers(0, KEYS, size), BEGINS_AT_S + (number * size + np.arange(size)) // 100, number * size
        )
        for number in range(WARM + 1)
    ]


def warm(size: int) -> tuple[Scorer, list[bytes | None]]:
    """A scorer that has seen a few batches, and the next one."""
    scorer = Scorer(plan_of_small())
    *seen, last = work(size)
    for records in seen:
        scorer.score(records)
    return scorer, last


def calls(size: int) -> int:
    """Function calls for a batch of so many events."""
    scorer, records = warm(size)
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        scorer.score(records)
    finally:
        sys.setprofile(None)
    return count


def bytes_per_event(size: int) -> float:
    """Memory that is held at most while a batch is scored, beyond what was held before, by event."""
    scorer, records = warm(size)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        scorer.score(records)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (most - before) / size


def measure() -> dict[str, Any]:
    """All counts, by batch size."""
    return {
        "calls_per_batch": {str(size): calls(size) for size in SIZES},
        "bytes_per_event": {str(size): round(bytes_per_event(size), 1) for size in SIZES},
    }


if __name__ == "__main__":
    gc.disable()
    counts = measure()
    print(json.dumps(counts, indent=2))
    if "--write" in sys.argv:
        RESULT.write_text(json.dumps(counts, indent=2) + "\n")
