"""The feature kernel: ten window aggregates on one core, against DuckDB's window query over the same rows.

    python -m bench.kernel [EVENTS]

Five windows, each a count and a sum over one key, events in time order over 30 days. DuckDB computes the same ten
columns with one thread over the same table, and the results are compared value for value.
"""

from __future__ import annotations

import sys
import tempfile
import time

import duckdb
import numpy as np
import polars as pl

from fraudstream.define.feature import Feature, FeatureKind
from fraudstream.define.pipeline import Pipeline, Topic
from fraudstream.engine.batch import Batch
from fraudstream.engine.column import Column
from fraudstream.engine.featurize import Featurizer
from fraudstream.plan.compile import plan_of
from fraudstream.plan.plan import Plan
from fraudstream.schema.event import Event, Field, FieldType
from fraudstream.schema.types import INTEGER, decimal
from fraudstream.state.ids import Labels
from fraudstream.state.kernels import log_rows
from fraudstream.state.state import State

WINDOWS = ("5m", "1h", "6h", "1d", "7d")
DAYS = 30
BATCH = 8_192


def bench_plan() -> Plan:
    """Ten aggregates over one key."""
    features = [
        Feature(name=f"{kind}_{over}", kind=kind, of=of, by=("card",), over=over)
        for over in WINDOWS
        for kind, of in ((FeatureKind.COUNT, None), (FeatureKind.SUM, "amount"))
    ]
    event = Event(
        key="card",
        time="at",
        fields=(
            Field(name="card", type=FieldType.INTEGER),
            Field(name="at", type=FieldType.TIMESTAMP),
            Field(name="amount", type=FieldType.DECIMAL),
        ),
    )
    return plan_of(Pipeline(name="bench", event=event, input=Topic(name="in"), features=tuple(features)))


def make_events(n_keys: int, n_events: int) -> dict[str, np.ndarray]:
    """Events in time order, keys and amounts at random."""
    rng = np.random.default_rng(7)
    return {
        "at": np.sort(rng.integers(0, DAYS * 86_400_000, n_events)),
        "card": rng.integers(0, n_keys, n_events),
        "amount": rng.integers(100, 100_000, n_events),
    }


def ours(plan: Plan, events: dict[str, np.ndarray]) -> dict[str, object]:
    """Runs the featurizer; only the time inside it is counted (process CPU, one thread)."""
    featurize, state = Featurizer(plan), State(plan)
    n = len(events["at"])
    results: list[np.ndarray] = []
    spent = 0.0
    for begin in range(0, n, BATCH):
        rows = slice(begin, min(n, begin + BATCH))
        batch = _batch(events, rows)
        started = time.process_time()
        features = featurize(state, batch, Labels.none())
        spent += time.process_time() - started
        results.append(np.stack([features.columns[feature.name].values for feature in plan.features]))
    log = state.logs[0]
    live = int(log.events.blocks[: log.keys.n_keys, log_rows.LENGTH].sum())
    rows_bytes = int(log.events.counters[log_rows.USED]) * log.events.pool.shape[1] * 8
    table_bytes = log.keys.low.nbytes + log.keys.high.nbytes + log.keys.slot.nbytes
    keys_bytes = table_bytes + log.keys.n_keys * log.events.blocks.shape[1] * 8
    return {
        "events_per_s": n / spent,
        "ns_per_event": spent / n * 1e9,
        "bytes_per_retained_event": rows_bytes / max(live, 1),
        "bytes_per_key": keys_bytes / log.keys.n_keys,
        "retained_events": live,
        "values": np.concatenate(results, axis=1),
    }


def _batch(events: dict[str, np.ndarray], rows: slice) -> Batch:
    at, card, amount = (events[name][rows] for name in ("at", "card", "amount"))
    nothing = np.zeros(len(at), np.int64)
    columns = {"card": Column(INTEGER, card), "at": Column(INTEGER, at), "amount": Column(decimal(2), amount)}
    offsets = np.arange(rows.start, rows.stop, dtype=np.int64)
    return Batch(
        np.zeros(0, np.uint8), nothing, nothing, columns, at, nothing, nothing.astype(np.int32), offsets, "bench"
    )


def duckdb_windows(events: dict[str, np.ndarray]) -> tuple[float, np.ndarray]:
    """CPU seconds and values of DuckDB's window query, one thread; ties in time are seen by both, as SQL has it."""
    lengths = {"5m": 300_000, "1h": 3_600_000, "6h": 21_600_000, "1d": 86_400_000, "7d": 604_800_000}
    windows = ", ".join(
        f"w{i} AS (PARTITION BY card ORDER BY event_at RANGE BETWEEN {length - 1} PRECEDING AND CURRENT ROW)"
        for i, length in enumerate(lengths.values())
    )
    columns = ", ".join(f"count(*) OVER w{i} AS c{i}, sum(amount) OVER w{i} AS s{i}" for i in range(5))
    table = pl.DataFrame({"row": np.arange(len(events["at"])), **events}).rename({"at": "event_at"})
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(config={"threads": 1}) as connection:
        table.write_parquet(f"{folder}/events.parquet")
        connection.execute(f"CREATE TABLE events AS SELECT * FROM read_parquet('{folder}/events.parquet')")
        started = time.process_time()
        connection.execute(f"CREATE TABLE result AS SELECT row, {columns} FROM events WINDOW {windows}")
        seconds = time.process_time() - started
        connection.execute(f"COPY (SELECT * FROM result ORDER BY row) TO '{folder}/result.parquet'")
        values = pl.read_parquet(f"{folder}/result.parquet").drop("row").cast(pl.Int64).to_numpy().T
    return seconds, values


def run(n_events: int = 2_000_000) -> dict[str, object]:
    """The figures for few and many keys."""
    plan = bench_plan()
    ours(plan, make_events(100, 20_000))  # compile
    figures: dict[str, object] = {"events": n_events, "aggregates": len(plan.features), "batch": BATCH}
    for n_keys in (10_000, 1_000_000):
        events = make_events(n_keys, n_events)
        rounds = [ours(plan, events) for _ in range(3)]
        mine = sorted(rounds, key=lambda each: each["ns_per_event"])[1]
        seconds, values = duckdb_windows(events)
        # Rows of one key in the same millisecond: SQL lets the earlier one see the later one.
        tied = _tied(events)
        equal = bool(np.array_equal(mine.pop("values")[:, ~tied], values[:, ~tied]))
        for each in rounds:
            each.pop("values", None)
        figures[f"keys_{n_keys}"] = {
            **mine,
            "duckdb_events_per_s": n_events / seconds,
            "ratio_to_duckdb": mine["events_per_s"] * seconds / n_events,
            "values_equal": equal,
        }
    return figures


def _tied(events: dict[str, np.ndarray]) -> np.ndarray:
    order = np.lexsort((events["at"], events["card"]))
    same = (np.diff(events["card"][order]) == 0) & (np.diff(events["at"][order]) == 0)
    tied = np.zeros(len(order), bool)
    tied[order[1:][same]] = True
    tied[order[:-1][same]] = True
    return tied


if __name__ == "__main__":
    import json

    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000), indent=2))
