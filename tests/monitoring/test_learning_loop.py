"""The whole loop on a real broker: decisions, labels, drift, retraining and promotion, while scoring goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraudstream.evaluate.curves import average_precision, curve_of
from fraudstream.models.registry import Registry
from fraudstream.pipelines import find_pipeline, find_plan
from fraudstream.settings import Settings
from fraudstream.training.train import Options, train
from runner.small import scorer
from runner.workbench import Workbench

from .drifting import DAY_MS, DELAY_MS, START_MS, Payments, payments

pytestmark = pytest.mark.kafka
PROGRAM = str(Path(sys.executable).with_name("fraudstream"))
TURN, NOTICED, END = 20, 34, 46
"""Days: the new pattern begins, labels tell of it, and it is over."""


def produce(bench: Workbench, *parts: Payments) -> None:
    values, keys = ([each for part in parts for each in getattr(part, name)] for name in ("values", "keys"))
    bench.produce(bench.pipeline.input.name, values, keys)


def command(bench: Workbench, *arguments: str) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FRAUDSTREAM_")}
    return subprocess.Popen(
        [PROGRAM, arguments[0], str(bench.file), *arguments[1:], "-b", bench.settings.bootstrap_servers, "--json"],
        cwd=bench.folder, env=clean, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def slices(some: Payments, from_day: int, until_day: int) -> Iterator[Payments]:
    """What comes in half an hour, one after another."""
    for begin in range(from_day * 48, until_day * 48):
        yield some.between(begin / 48, (begin + 1) / 48)


def assert_once(bench: Workbench, decisions: list[dict[str, Any]], count: int) -> None:
    """Each event was decided once, and every sequence is there once."""
    places = Counter(
        (each["decision"]["input"]["partition"], each["decision"]["input"]["offset"]) for each in decisions
    )
    assert len(places) == count and set(places.values()) == {1}
    assert [each["decision"]["sequence"] for each in decisions] == list(range(count))
    assert bench.dead_letters() == []


def test_a_model_learns_a_new_fraud_pattern_while_decisions_are_made_exactly_once(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """Nobody lends a hand: labels tell of the loss, the better version is trained, shadowed, promoted, and serves."""
    bench = Workbench(kafka_settings, find_pipeline("terminal-payments", environ={}), tmp_path, unique_id)
    plan, some = find_plan(bench.file), payments(END, TURN, 300)
    before = some.between(0, TURN).history(plan, tmp_path / "before")
    old = train(plan, tmp_path / "models", *before, Options(label_delay_ms=DELAY_MS)).manifest.version
    loop = scorer(bench)
    running = threading.Thread(target=loop.run)
    running.start()
    try:
        assert bench.pipeline.labels is not None
        bench.produce(bench.pipeline.labels.name, some.labels(NOTICED))
        first = some.between(0, NOTICED)
        produce(bench, first)
        bench.wait_for(lambda: bench.committed_events() >= len(first.values), timeout_s=180)
        retraining = command(
            bench, "retrain", "--on-drift", "--look-every", "1s", "--over", "4d", "--label-delay", "1d",
            "--shadow", "60", "--shadow-within", "1m",
        )  # fmt: skip
        registry = Registry(tmp_path / "models", bench.pipeline.name)
        traffic = slices(some, NOTICED, END)
        while registry.roles().champion == old:  # live traffic goes on meanwhile
            assert retraining.poll() is None, retraining.communicate()
            produce(bench, next(traffic))
            time.sleep(0.1)
        new = registry.roles().champion
        retraining.terminate()
        ended = json.loads(retraining.communicate(timeout=60)[0].splitlines()[0])
        assert (ended["step"], ended["version"]) == ("promoted", new)
        while bench.decisions()[-1]["decision"]["versions"]["model"] == old:
            produce(bench, next(traffic))
        produce(bench, *traffic)
        bench.wait_for(lambda: bench.count(bench.scores) >= len(some.values), timeout_s=180)
    finally:
        loop.stop()
        running.join(60)
    decisions = bench.decisions()
    assert_once(bench, decisions, len(some.values))
    versions = [version for version, _ in groupby(each["decision"]["versions"]["model"] for each in decisions)]
    assert versions == [old, new]

    fraud = dict(zip(some.ids, some.fraud.tolist(), strict=True))
    drifted = [each for each in decisions if each["decision"]["event_at"] >= START_MS + TURN * DAY_MS]
    worth = {}
    for version in (old, new):
        mine = [each["decision"] for each in drifted if each["decision"]["versions"]["model"] == version]
        score = np.array([each["model_score"] for each in mine])
        truth = np.array([fraud[str(each["event_id"])] for each in mine])
        worth[version] = average_precision(curve_of(score, truth))
    assert worth[new] > worth[old] + 0.2, worth

    shadowed = [json.loads(message.value()) for message in bench.read(bench.pipeline.shadow.name)]
    live = {each["decision"]["event_id"]: each["decision"] for each in decisions}
    assert len(shadowed) >= 60 and {each["version"] for each in shadowed} == {new}
    assert all(live[each["event_id"]]["versions"]["model"] == each["live"]["version"] == old for each in shadowed)
    assert all(live[each["event_id"]]["model_score"] == each["live"]["model_score"] for each in shadowed)
    history = json.loads(command(bench, "retrain", "--history").communicate(timeout=60)[0])
    assert [entry["step"] for entry in history] == ["began", "trained", "compared", "shadowed", "promoted"]
    assert history[0]["text"].startswith("drift: ")
    watched = json.loads(command(bench, "monitor", "--label-delay", "1d").communicate(timeout=60)[0])
    assert watched["skewed"] | {"features": {}} == {
        "checked": len(some.values), "differing": 0, "features": {}, "first": None, "unchecked": 0,
    }  # fmt: skip
    assert watched["measured"]["model"] == new
