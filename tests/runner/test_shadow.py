"""Challengers beside live decisions, which stay as they are byte for byte; and the model that comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from fraudstream.define.decision import ModelRef
from fraudstream.define.pipeline import Topic
from fraudstream.monitoring.comparison import compare, evidence_of
from fraudstream.pipelines import find_plan
from fraudstream.runner.rescore import Progress, rescore
from fraudstream.runner.serving import load_scorer
from fraudstream.runner.switches import turn
from fraudstream.settings import Settings, load_settings
from telemetry.scraped import Scraped
from telemetry.scraped import serving as served

from .small import assert_once, events, label, pipeline, scorer
from .test_live import running
from .tiny_model import FEATURES, add, save
from .workbench import Workbench

pytestmark = pytest.mark.kafka


def make(settings: Settings, folder: Path, name: str) -> Workbench:
    folder.mkdir()
    declared = pipeline(model=ModelRef(features=FEATURES))
    return Workbench(
        settings, msgspec.structs.replace(declared, labels=Topic(name="labels", partitions=1)), folder, name
    )


def shadows(bench: Workbench) -> list[dict[str, Any]]:
    return [json.loads(message.value()) for message in bench.read(bench.pipeline.shadow.name)]


def outcome_of(amount: float, weight: float) -> str:
    """What a tiny model of this weight and the rule decide."""
    score = min(1, float(np.float32(amount) * np.float32(weight)))
    return "block" if amount >= 900 or score >= 0.85 else "review" if score >= 0.6 else "approve"


def without_instants(bench: Workbench) -> list[bytes]:
    """The live records, without what differs between any two runs: the instant, and the names."""
    values = sorted(bench.read(bench.scores), key=lambda message: message.offset())
    texts = [message.value().decode() for message in values]
    texts = [text.replace(json.loads(text)["decision"]["versions"]["pipeline"], "V") for text in texts]
    return sorted(text.replace(bench.pipeline.name, "N").split(',"decided_at":')[0].encode() for text in texts)


def test_a_challenger_changes_no_byte_of_what_is_decided(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    values, keys = events(600)
    benches = [make(kafka_settings, tmp_path / each, f"{unique_id}{each}") for each in ("a", "b")]
    champion = challenger = ""
    for bench in benches:
        champion = save(bench, 0.001)
        bench.produce(bench.pipeline.input.name, values, keys)
    challenger = add(benches[1], 0.002)
    for bench in benches:
        seen = scorer(bench).run(until_caught_up=True)
        assert seen.decisions == 600
    assert without_instants(benches[0]) == without_instants(benches[1])
    assert shadows(benches[0]) == []
    found = {(each["input"]["partition"], each["input"]["offset"]): each for each in shadows(benches[1])}
    decisions = assert_once(benches[1])
    assert len(found) == len(shadows(benches[1])) == seen.shadowed == 600 - seen.shadow_skipped
    assert seen.shadow_skipped == 0
    for each in decisions:
        decision, amount = each["decision"], each["event"]["amount"]
        shadow = found[decision["input"]["partition"], decision["input"]["offset"]]
        assert (shadow["why"], shadow["version"], shadow["live"]["version"]) == ("challenger", challenger, champion)
        assert shadow["live"]["model_score"] == decision["model_score"]
        assert shadow["model_score"] == pytest.approx(min(1, amount * 0.002), rel=1e-5)
        assert shadow["outcome"] == outcome_of(amount, 0.002)
    _compare(benches[1], decisions, champion, challenger)


def _compare(bench: Workbench, decisions: list[dict[str, Any]], champion: str, challenger: str) -> None:
    """Frauds are the amounts from 400 to 500: the challenger alerts on them, the champion does not."""
    labels = [
        label(int(each["event"]["id"][1:]), 400 <= each["event"]["amount"] < 500, each["event"]["at"])
        for each in decisions
    ]
    assert bench.pipeline.labels is not None
    bench.produce(bench.pipeline.labels.name, labels)
    settings = load_settings({"bootstrap_servers": bench.settings.bootstrap_servers}, environ={}, folder=bench.folder)
    (found,) = compare(find_plan(bench.file), settings, [challenger], champion)
    amounts = [each["event"]["amount"] for each in decisions]
    frauds = [amount for amount in amounts if 400 <= amount < 500]
    assert found.events == 600 and found.labelled == 600 and found.frauds == len(frauds)
    alerted = [(outcome_of(amount, 0.001), outcome_of(amount, 0.002)) for amount in amounts]
    assert found.more_alerts == sum(one == "approve" != other for one, other in alerted)
    assert found.fewer_alerts == 0
    assert found.same_outcome == pytest.approx(sum(one == other for one, other in alerted) / 600)
    assert found.champion is not None and found.challenger is not None
    assert (found.champion.recall, found.challenger.recall) == (0, 1)
    assert found.challenger.caught == pytest.approx(sum(frauds))
    evidence = evidence_of(found, least_frauds=10)
    assert (evidence.champion, evidence.challenger) == (
        found.champion.average_precision,
        found.challenger.average_precision,
    )


def test_what_was_decided_without_the_model_is_scored_once_when_it_is_back(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """What is left by earlier runs by the command, what was decided meanwhile by the running scorer itself."""
    bench = make(kafka_settings, tmp_path / "x", unique_id)
    bench.produce(bench.pipeline.input.name, *events(40))
    assert scorer(bench).run(until_caught_up=True).degraded == 40
    version = save(bench, 0.002)
    settings = load_settings({"bootstrap_servers": bench.settings.bootstrap_servers}, environ={}, folder=bench.folder)
    plan = find_plan(bench.file)
    serving = load_scorer(plan, settings)
    assert serving is not None
    assert rescore(plan, settings, serving.model)[:2] == (40, 0)
    with running(bench) as at_work:
        turn(bench.settings, bench.pipeline, "MODEL_SCORE", off=True, by="ann", reason="test")
        at_work.until(lambda each: each.get("off") == ["MODEL_SCORE"], 1)
        turn(bench.settings, bench.pipeline, "MODEL_SCORE", off=False, by="ann", reason="test")
        at_work.until(lambda each: "off" not in each, 1)
        bench.wait_for(lambda: len(shadows(bench)) > 40)
    degraded = {
        (each["decision"]["input"]["partition"], each["decision"]["input"]["offset"]): each
        for each in bench.decisions()
        if each["decision"]["flags"] == ["degraded"]
    }
    bench.wait_for(lambda: len(shadows(bench)) >= len(degraded))
    progress = Progress()
    assert rescore(plan, settings, serving.model, progress=progress)[:2] == (0, len(degraded))
    with served(progress, "rescore", pipeline="small") as port:
        told = Scraped(port)
    assert [told.of("rescore_decisions_total", result=each) for each in ("scored", "before")] == [0, len(degraded)]
    told.assert_sound()
    told.assert_documented("Rescoring", of_process={"pipeline"})
    found = shadows(bench)
    assert len(found) == len(degraded) > 40
    for each in found:
        decided: Any = degraded[each["input"]["partition"], each["input"]["offset"]]
        assert (each["why"], each["version"], each["event_id"]) == ("rescored", version, decided["event"]["id"])
        assert each["model_score"] == pytest.approx(min(1, decided["event"]["amount"] * 0.002), rel=1e-5)
        assert each["live"]["outcome"] == decided["decision"]["outcome"]
