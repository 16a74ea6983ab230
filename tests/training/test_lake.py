"""Past events as the lake keeps them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from fraudstream.define.write import to_yaml
from fraudstream.plan.compile import plan_of
from fraudstream.settings import load_settings
from fraudstream.sinks.lake import LakeTarget
from runner.small import START_MS, event, pipeline

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_a_table_made_of_the_lake_is_the_one_made_of_a_file(fraudstream: Run, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(to_yaml(pipeline()), encoding="utf-8")
    lines = [event(number, card=f"c{number % 3}", amount=number + 1) for number in range(30)]
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(lines))
    missing = fraudstream("dataset", "small.yaml", "--from", "lake", "--out", "a.parquet")
    assert missing.returncode == 2 and "Fill it with `fraudstream sink lake`" in missing.stderr

    settings = load_settings({}, environ={}, folder=tmp_path)
    table = LakeTarget(settings, plan_of(pipeline())).tables["events"]
    table.open([("events", 0), ("events", 1)])
    at = datetime.fromtimestamp(START_MS / 1_000, UTC)
    rows = [("events", n % 2, n // 2, at, None, line.decode(), "2026-01-01") for n, line in enumerate(lines)]
    table.append([*rows[20:], ("events", 0, 99, at, None, None, "2026-01-01")], {("events", 0): 100})
    table.append(rows[:20], {("events", 1): 15})
    for source, out in (("lake", "a.parquet"), ("events.jsonl", "b.parquet")):
        done = fraudstream("dataset", "small.yaml", "--from", source, "--out", out)
        assert done.returncode == 0, done.stderr
    made = [pl.read_parquet(tmp_path / out) for out in ("a.parquet", "b.parquet")]
    assert len(made[0]) == 30 and made[0].equals(made[1])
