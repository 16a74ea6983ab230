"""Partitions that are far ahead of the merge wait, and go on again."""

from __future__ import annotations

from pathlib import Path

import pytest

from fraudstream.runner import loop, pace
from fraudstream.settings import Settings

from .small import assert_once, events, pipeline, score_here
from .workbench import Workbench


@pytest.mark.kafka
def test_paused_partitions_go_on_when_the_merge_has_caught_up(
    kafka_settings: Settings, tmp_path: Path, unique_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every partition holds more than may wait, so that at some time all are paused; each event is scored still."""
    monkeypatch.setattr(pace, "LANE_ROWS", 400)
    monkeypatch.setattr(loop, "FETCH_ROWS", 500)
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    bench.produce(bench.pipeline.input.name, *events(12_000))
    assert score_here(bench).events == 12_000
    assert_once(bench)
