"""The model's part in decisions: without one they are flagged, with one they name its version."""

from __future__ import annotations

from pathlib import Path

import pytest

from fraudstream.define.decision import ModelRef
from fraudstream.errors import ModelError
from fraudstream.settings import Settings

from .small import assert_once, events, pipeline, score_here
from .tiny_model import FEATURES, save
from .workbench import Workbench

pytestmark = pytest.mark.kafka


def test_without_its_model_decisions_are_degraded_and_with_it_they_name_it(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """Rules decide meanwhile; the model trained later is taken by the next start; one for other features is refused."""
    bench = Workbench(kafka_settings, pipeline(model=ModelRef(features=FEATURES)), tmp_path, unique_id)
    values, keys = events(90)
    topic = bench.pipeline.input.name
    bench.produce(topic, values[:30], keys[:30])
    assert score_here(bench).degraded == 30
    first = save(bench, 0.001)
    bench.produce(topic, values[30:60], keys[30:60])
    assert score_here(bench).degraded == 0
    second = save(bench, 0.0005)
    bench.produce(topic, values[60:], keys[60:])
    score_here(bench)
    decisions = [each["decision"] for each in assert_once(bench)]
    assert [each["versions"].get("model") for each in decisions] == [None] * 30 + [first] * 30 + [second] * 30
    assert [each["flags"] for each in decisions] == [["degraded"]] * 30 + [[]] * 60
    assert [each["model_score"] is None for each in decisions] == [True] * 30 + [False] * 60
    amounts = [each["event"]["amount"] for each in bench.decisions()]
    assert [each["model_score"] for each in decisions[60:]] == pytest.approx(
        [amount * 0.0005 for amount in amounts[60:]], rel=1e-5
    )
    bench.change(model=ModelRef(features=FEATURES[::-1]))
    with pytest.raises(ModelError, match="other features"):
        score_here(bench)
