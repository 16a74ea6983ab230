"""A scorer whose history may hold few keys forgets the right ones, also when it is killed and its state made again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fraudstream.plan.compile import plan_of
from fraudstream.settings import Settings
from fraudstream.testing.oracle import Oracle

from .small import events, pipeline, score_here
from .workbench import Workbench, kill

pytestmark = pytest.mark.kafka


def test_a_killed_scorer_forgets_the_same_keys(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> None:
    """Forty cards in eight places, SIGKILL in the middle, the rest by another scorer: all values are the oracle's."""
    capped = msgspec.structs.replace(pipeline(partitions=1), max_keys=8)
    bench = Workbench(kafka_settings, capped, tmp_path, unique_id)
    values, keys = events(3_000)
    bench.produce(bench.pipeline.input.name, values[:1_500], keys[:1_500])
    process = bench.start()
    bench.wait_for(lambda: bench.committed_events() > 0)
    kill(process)
    bench.produce(bench.pipeline.input.name, values[1_500:], keys[1_500:])
    summary = score_here(bench)
    oracle = Oracle(plan_of(bench.pipeline))
    for offset, each in enumerate(bench.decisions()):
        fields = {**each["event"], "amount": round(each["event"]["amount"] * 100)}
        expected = oracle.event(fields, fields["at"], 0, offset).features
        found = each["decision"]["features"]
        assert (found["card_count"], round(found["card_sum"] * 100)) == tuple(expected.values()), each
    assert oracle.events == 3_000
    assert summary.keys == len(oracle.histories["card"]) <= 8
    assert summary.evicted_early_total == summary.evicted_keys_total > 1_000
    assert 0 < summary.state_bytes < 10_000_000
