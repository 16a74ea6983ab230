"""Delivery at least once: without transactions, nothing is lost, and what comes twice is the same decision."""

from __future__ import annotations

import json
import signal
import time
from collections import defaultdict
from pathlib import Path

import pytest

from fraudstream.kafka.tail import TopicTail
from fraudstream.settings import Settings

from .small import events, pipeline
from .workbench import Workbench

pytestmark = pytest.mark.kafka
COUNT = 3_000


@pytest.mark.parametrize("shops", [False, True])
def test_a_killed_scorer_loses_nothing_and_repeats_the_same_decisions(
    kafka_settings: Settings, tmp_path: Path, unique_id: str, shops: bool
) -> None:
    """An ordinary and a static member, killed twice in between; the repeated decisions have the same features."""
    bench = Workbench(kafka_settings, pipeline(shops=shops), tmp_path, unique_id)
    values, keys = events(COUNT)
    how = ("--delivery", "at-least-once")
    for part in range(3):
        bench.produce(bench.pipeline.input.name, values[part::3], keys[part::3])
        scorer = bench.start(*how, *(("--until-caught-up",) if part == 2 else ()))
        if part < 2:
            deadline = time.monotonic() + 60
            while not decisions_of(bench) and time.monotonic() < deadline:
                time.sleep(0.1)
            scorer.send_signal(signal.SIGKILL)
        assert scorer.wait(120) == (0 if part == 2 else -signal.SIGKILL)
    found = decisions_of(bench)
    assert len(found) == COUNT
    assert all(len({json.dumps(features) for features in each}) == 1 for each in found.values())


def decisions_of(bench: Workbench) -> dict[tuple[int, int], list[object]]:
    """Input partition and offset → the features of every decision about it."""
    found: dict[tuple[int, int], list[object]] = defaultdict(list)
    tail = TopicTail(bench.settings, [bench.scores], from_beginning=True)
    for record in tail.to_end():
        decision = json.loads(record.value or b"")["decision"]
        found[decision["input"]["partition"], decision["input"]["offset"]].append(decision["features"])
    tail.close()
    return found
