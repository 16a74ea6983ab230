"""Delivery at least once: without transactions, nothing is lost, and what comes twice is the same decision."""

from __future__ import annotations

import json
import signal
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
    """An ordinary and a static member, killed twice between records and offsets."""
    bench = Workbench(kafka_settings, pipeline(shops=shops), tmp_path, unique_id)
    values, keys = events(COUNT)
    how = ("--delivery", "at-least-once")
    deadly = {"FRAUDSTREAM_FAILPOINT": "before-offsets:1:0", "FRAUDSTREAM_TEST_MODE": "1"}
    for part in range(3):
        bench.produce(bench.pipeline.input.name, values[part::3], keys[part::3])
        if part < 2:  # dies when its first records are stored and their offsets are not committed
            assert bench.start(*how, env=deadly).wait(120) == -signal.SIGKILL
        else:
            assert bench.start(*how, "--until-caught-up").wait(120) == 0
    found = decisions_of(bench)
    assert len(found) == COUNT
    assert max(len(each) for each in found.values()) >= 2
    assert all(len(set(each)) == 1 for each in found.values())


def decisions_of(bench: Workbench) -> dict[tuple[int, int], list[str]]:
    """Input partition and offset → the features of the topic's key in every decision about it."""
    found: dict[tuple[int, int], list[str]] = defaultdict(list)
    tail = TopicTail(bench.settings, [bench.scores], from_beginning=True)
    for record in tail.to_end():
        decision = json.loads(record.value or b"")["decision"]
        features = {name: value for name, value in decision["features"].items() if name.startswith("card_")}
        found[decision["input"]["partition"], decision["input"]["offset"]].append(json.dumps(features))
    tail.close()
    return found
