"""Row: model missing, corrupt, unsigned, giving NaN, failing, slow. The old one serves, or the rules alone, flagged."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fraudstream.define.decision import ModelRef
from fraudstream.models.scorer import OnnxScorer
from fraudstream.pipelines import find_plan
from fraudstream.runner.serving import load_scorer
from fraudstream.settings import Settings, load_settings
from runner.small import assert_once, events, pipeline, score_here
from runner.tiny_model import FEATURES, failing_model, save, save_raw, tiny_model
from runner.workbench import Workbench

pytestmark = pytest.mark.kafka


@pytest.fixture
def bench(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> Workbench:
    return Workbench(kafka_settings, pipeline(model=ModelRef(features=FEATURES)), tmp_path, unique_id)


def home(bench: Workbench) -> Path:
    return bench.folder / "models" / bench.pipeline.name


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def unsign(path: Path) -> None:
    manifest = json.loads(path.read_text())
    del manifest["sha256"]
    path.write_text(json.dumps(manifest))


DAMAGE: dict[str, Callable[[Path, str], Any]] = {
    "missing": lambda home, version: (home / version / "model.onnx").unlink(),
    "corrupt": lambda home, version: flip(home / version / "model.onnx"),
    "truncated": lambda home, version: (home / version / "model.onnx").write_bytes(b""),
    "unsigned": lambda home, version: unsign(home / version / "manifest.json"),
    "of another manifest": lambda home, version: (home / version / "model.onnx").write_bytes(tiny_model(7)),
    "named but never saved": lambda home, _: (home / "current").write_text("0123456789abcdef\n"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_model_is_replaced_by_the_one_before(bench: Workbench, name: str) -> None:
    old = save(bench, 0.001)
    time.sleep(0.01)
    new = save(bench, 0.002)
    settings = load_settings({"bootstrap_servers": "nowhere"}, environ={}, folder=bench.folder)
    serving = load_scorer(find_plan(bench.file), settings)
    assert serving is not None and serving.version == new
    DAMAGE[name](home(bench), new)
    serving = load_scorer(find_plan(bench.file), settings)
    assert serving is not None
    assert serving.version == (new if name == "named but never saved" else old)


def test_whatever_becomes_of_its_model_every_event_is_decided_and_says_by_what(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No model, a good one, one that is no ONNX at all, no whole one left, NaN, one that fails at work, a slow one.

    One that gives nothing but NaN is refused by its trial like one that is damaged; one that fails later is not named.
    """
    values, keys = events(210)
    topic = bench.pipeline.input.name
    served: list[str | None] = []
    degraded: list[int] = []

    def score() -> None:
        at = 30 * len(degraded)
        bench.produce(topic, values[at : at + 30], keys[at : at + 30])
        summary = score_here(bench)
        assert (summary.decisions, summary.aborted) == (30, 0)
        degraded.append(summary.degraded)
        served.append(bench.decisions()[-1]["decision"]["versions"].get("model"))  # type: ignore[index]

    score()
    good = save(bench, 0.001)
    score()
    save_raw(bench, b"signed, but no model")
    score()
    for each in home(bench).glob("*/model.onnx"):
        each.write_bytes(b"")
    score()
    save_raw(bench, tiny_model(float("nan")))
    score()
    save_raw(bench, failing_model())
    score()
    slow = save(bench, 0.002)
    real = OnnxScorer.score
    monkeypatch.setattr(OnnxScorer, "score", lambda *given: (time.sleep(3), real(*given))[1])
    score()
    assert served == [None, good, good, None, None, None, slow]
    assert degraded == [30, 0, 0, 30, 30, 30, 0]
    decisions = assert_once(bench)
    blocked = [each for each in decisions if each["decision"]["outcome"] == "block"]
    assert all(each in blocked for each in decisions if each["event"]["amount"] >= 900)  # by rule, in any case
