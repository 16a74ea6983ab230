"""`fraudstream kill` and `revive`, `model compare` and `rescore`, as they are called."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fraudstream.define.decision import ModelRef
from fraudstream.settings import Settings
from runner.small import events, pipeline, score_here
from runner.tiny_model import FEATURES, add, save
from runner.workbench import Workbench

Run = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.kafka


@pytest.fixture
def bench(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> Workbench:
    return Workbench(kafka_settings, pipeline(model=ModelRef(features=FEATURES)), tmp_path, unique_id)


def test_what_is_switched_off_is_shown_with_its_reason_until_it_is_revived(fraudstream: Run, bench: Workbench) -> None:
    where = ("-b", bench.settings.bootstrap_servers)
    killed = fraudstream("kill", str(bench.file), "model", "--reason", "scores everything 1", *where)
    assert killed.returncode == 0, killed.stderr
    assert "MODEL_SCORE" in killed.stdout and "is switched off" in killed.stdout
    (shown,) = json.loads(fraudstream("kill", str(bench.file), "--json", *where).stdout)
    assert (shown["code"], shown["reason"], shown["off"]) == ("MODEL_SCORE", "scores everything 1", True)
    assert fraudstream("revive", str(bench.file), "model", *where).returncode == 0
    again = fraudstream("revive", str(bench.file), "model", *where)
    assert again.returncode == 2 and "is not switched off" in again.stderr
    wrong = fraudstream("kill", str(bench.file), "rule", "HIGHT", *where)
    assert wrong.returncode == 2 and "Did you mean 'HIGH'?" in wrong.stderr


def test_challengers_are_compared_and_what_was_decided_without_the_model_is_scored(
    fraudstream: Run, bench: Workbench
) -> None:
    where = ("-b", bench.settings.bootstrap_servers)
    values, keys = events(60)
    topic = bench.pipeline.input.name
    bench.produce(topic, values[:20], keys[:20])
    score_here(bench)
    champion, challenger = save(bench, 0.001), add(bench, 0.002)
    bench.produce(topic, values[20:], keys[20:])
    assert score_here(bench).shadowed == 40
    rescored = fraudstream("rescore", str(bench.file), "--json", *where)
    assert json.loads(rescored.stdout)["scored"] == 20, rescored.stderr
    compared = fraudstream("model", "compare", str(bench.file), *where)
    assert compared.returncode == 0, compared.stderr
    assert f"{champion} (live)" in compared.stdout and challenger in compared.stdout
    refused = fraudstream("model", "promote", str(bench.file), challenger, "--live", *where)
    assert refused.returncode == 2 and "0 are known to be fraud" in refused.stderr
