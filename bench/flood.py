"""Keys without end: ten million distinct keys flood an engine whose history holds a million at most.

    python -m bench.flood [EVENTS] [MAX_KEYS]

Every event has a key and an id never seen before, 24 hours of event time in all; the plan is that of `bench.kernel`
with a cap and deduplication of one hour. Beside it, as many events of a tenth as many keys as the cap, where nothing
is evicted. Writes bench/flood.json: what the cap holds the state to, and what making room costs an event.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import psutil

from bench.kernel import BATCH, bench_plan
from fraudstream.engine.batch import Batch
from fraudstream.engine.column import Column
from fraudstream.engine.featurize import Featurizer
from fraudstream.plan.compile import plan_of
from fraudstream.plan.plan import Plan
from fraudstream.schema.event import Field, FieldType
from fraudstream.schema.types import INTEGER, TIMESTAMP, decimal
from fraudstream.state.ids import Labels
from fraudstream.state.state import State

RESULT = Path(__file__).with_name("flood.json")
DAY_MS = 86_400_000
MB = 2**20


def flood_plan(max_keys: int) -> Plan:
    """Ten aggregates over one key, a cap on keys, and ids remembered for two hours."""
    pipeline = bench_plan().pipeline
    fields = (Field(name="number", type=FieldType.INTEGER), *pipeline.event.fields)
    event = msgspec.structs.replace(pipeline.event, id="number", dedup="1h", fields=fields)
    return plan_of(msgspec.structs.replace(pipeline, event=event, max_keys=max_keys))


def run(plan: Plan, n_events: int, n_keys: int) -> dict[str, object]:
    """Events of keys 0…n_keys-1 in turn through the engine; only its own time counts (process CPU, one thread)."""
    featurize, state, process = Featurizer(plan), State(plan), psutil.Process()
    max_keys = plan.logs[0].max_keys or n_keys
    spent, most_keys, most_bytes, half_bytes = 0.0, 0, 0, 0
    rss_start = rss_half = rss_peak = process.memory_info().rss
    for begin in range(0, n_events, BATCH):
        numbers = np.arange(begin, min(n_events, begin + BATCH))
        batch = batch_of(numbers, numbers % n_keys, numbers * DAY_MS // n_events)
        started = time.process_time()
        featurize(state, batch, Labels.none())
        spent += time.process_time() - started
        most_keys, most_bytes = max(most_keys, state.n_keys), max(most_bytes, state.size_bytes)
        rss_peak = max(rss_peak, process.memory_info().rss)
        if begin <= n_events // 2:
            rss_half, half_bytes = rss_peak, most_bytes
    assert most_keys <= max_keys
    return {
        "events": n_events,
        "keys": n_keys,
        "events_per_s": round(n_events / spent),
        "ns_per_event": round(spent / n_events * 1e9, 1),
        "most_keys": most_keys,
        "evicted_keys_total": state.evicted_keys_total,
        "evicted_early_total": state.evicted_early_total,
        "state_mb_at_half": round(half_bytes / MB, 1),
        "state_mb_most": round(most_bytes / MB, 1),
        "rss_mb_start": round(rss_start / MB, 1),
        "rss_mb_at_half": round(rss_half / MB, 1),
        "rss_mb_peak": round(rss_peak / MB, 1),
    }


def batch_of(numbers: np.ndarray, cards: np.ndarray, times: np.ndarray) -> Batch:
    """Events by their numbers, cards and times."""
    nothing = np.zeros(len(numbers), np.int64)
    columns = {
        "number": Column(INTEGER, numbers),
        "card": Column(INTEGER, cards),
        "at": Column(TIMESTAMP, times),
        "amount": Column(decimal(2), numbers % 10_000),
    }
    buffer = np.zeros(0, np.uint8)
    return Batch(buffer, nothing, nothing, columns, times, nothing, nothing.astype(np.int32), numbers, "flood")


def main(n_events: int = 10_000_000, max_keys: int = 1_000_000) -> None:
    """Both runs, and the file."""
    plan = flood_plan(max_keys)
    run(plan, 20_000, 20_000)  # compile
    run(flood_plan(1_000), 20_000, 20_000)
    flood = run(plan, n_events, n_events)
    figures = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m bench.flood {n_events} {max_keys}",
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "max_keys": max_keys,
        "flood": flood,
        "usual": run(plan, n_events, max_keys // 10),
    }
    RESULT.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
