"""While a scorer runs: models are exchanged and switches turned between two batches, exactly once all the time."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fraudstream.define.decision import ModelRef, Policy
from fraudstream.define.fallback import By, Fallback
from fraudstream.runner.loop import StreamLoop
from fraudstream.runner.switches import switched_off, turn
from fraudstream.settings import Settings

from .small import assert_once, events, pipeline, scorer
from .tiny_model import FEATURES, add, failing_model, registry_of, save, save_raw
from .workbench import Workbench

pytestmark = pytest.mark.kafka

RATE = 400
"""Events a second while something is changed."""


class Running:
    """A scorer at work in this process, with traffic coming in."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self.loop: StreamLoop = scorer(bench)
        self.produced = sum(bench.admin.end_offsets([bench.pipeline.input.name]).values())
        self.error: BaseException | None = None
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._score), threading.Thread(target=self._produce)]

    def _score(self) -> None:
        try:
            self.loop.run()
        except BaseException as error:
            self.error = error

    def _produce(self) -> None:
        while not self._stopping.wait(0.05):
            values, keys = events(RATE // 20, seed=self.produced + 1, begin=self.produced)
            self.bench.produce(self.bench.pipeline.input.name, values, keys)
            self.produced += len(values)

    def until(self, condition: Callable[[dict[str, Any]], bool], within_s: float) -> float:
        """Waits until the newest decision is so; returns how long that took, in seconds from now to its decision."""
        began = time.time()
        deadline = began + within_s + 5
        while time.time() < deadline:
            time.sleep(0.1)
            found = [each["decision"] for each in self.bench.decisions()]
            changed = next((each for each in found if each["decided_at"] > began * 1_000 and condition(each)), None)
            if changed is not None:
                return float(changed["decided_at"] / 1_000 - began)
        raise AssertionError(f"it did not come to that: {found[-1] if found else 'no decision'}")


@contextmanager
def running(bench: Workbench) -> Iterator[Running]:
    """A scorer at work, which has decided everything that came when this ends."""
    at_work = Running(bench)
    scoring, producing = at_work._threads
    scoring.start()
    producing.start()
    try:
        bench.wait_for(lambda: bench.committed_events() > 0)
        yield at_work
    finally:
        at_work._stopping.set()
        producing.join()
        try:
            if scoring.is_alive():
                bench.wait_for(lambda: bench.count(bench.scores) == at_work.produced)
        finally:
            at_work.loop.stop()
            scoring.join()
    assert at_work.error is None


@pytest.fixture
def bench(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> Workbench:
    return Workbench(kafka_settings, pipeline(model=ModelRef(features=FEATURES)), tmp_path, unique_id)


def test_a_model_promoted_while_scoring_runs_serves_within_two_seconds(bench: Workbench) -> None:
    """Nothing is lost or decided twice on the way, and each decision was made by the model it names."""
    first = save(bench, 0.001)
    with running(bench) as at_work:
        second = save(bench, 0.0005)
        taken_s = at_work.until(lambda each: each["versions"].get("model") == second, 2)
    decisions = [each["decision"] | {"amount": each["event"]["amount"]} for each in assert_once(bench)]
    assert taken_s < 2
    weights = {first: 0.001, second: 0.0005}
    assert [each["versions"]["model"] for each in decisions] == sorted(
        (each["versions"]["model"] for each in decisions), key=[first, second].index
    )
    assert {each["versions"]["model"] for each in decisions} == set(weights)
    for each in decisions:
        expected = min(1.0, each["amount"] * weights[each["versions"]["model"]])
        assert each["model_score"] == pytest.approx(expected, rel=1e-5)


def test_a_broken_model_put_in_the_champions_place_is_refused_and_the_old_one_goes_on(bench: Workbench) -> None:
    """By hand, as the registry lets nobody: not loadable, failing its trial, for other features, and not there."""
    good = save(bench, 0.001)
    with running(bench) as at_work:
        for raw, parts in (
            (b"no model", {}),
            (failing_model(rows=3), {}),
            (failing_model(), {"features": ("amount",)}),
        ):
            save_raw(bench, raw, **parts)
            time.sleep(0.6)
        (registry_of(bench).folder / bench.pipeline.name / "current").write_text("0123456789abcdef\n")
        time.sleep(0.6)
        newest = save(bench, 0.0005)
        at_work.until(lambda each: each["versions"].get("model") == newest, 2)
    decisions = [each["decision"] for each in assert_once(bench)]
    assert {each["versions"].get("model") for each in decisions} == {good, newest}
    assert all(each["flags"] == [] for each in decisions)


def test_the_model_and_a_rule_are_switched_off_within_a_second_and_on_again(bench: Workbench) -> None:
    """What was off is named by the decisions made meanwhile, also by a scorer that starts meanwhile."""
    version = save(bench, 0.001)

    def switch(code: str, *, off: bool) -> None:
        turn(bench.settings, bench.pipeline, code, off=off, by="ann", reason="test")

    with running(bench) as at_work:
        switch("MODEL_SCORE", off=True)
        taken_s = [at_work.until(lambda each: each.get("off") == ["MODEL_SCORE"], 1)]
        switch("HIGH", off=True)
        taken_s.append(at_work.until(lambda each: each.get("off") == ["MODEL_SCORE", "HIGH"], 1))
    assert {each.code for each in switched_off(bench.settings, bench.pipeline)} == {"MODEL_SCORE", "HIGH"}
    with running(bench) as at_work:
        switch("MODEL_SCORE", off=False)
        taken_s.append(at_work.until(lambda each: each.get("off") == ["HIGH"], 1))
        switch("HIGH", off=False)
        taken_s.append(at_work.until(lambda each: "off" not in each, 1))
    assert max(taken_s) < 1
    for each in (each["decision"] | {"amount": each["event"]["amount"]} for each in assert_once(bench)):
        off = each.get("off", [])
        assert each["flags"] == (["degraded"] if off else [])
        assert (each["versions"].get("model"), each["model_score"] is None) == (
            (None, True) if "MODEL_SCORE" in off else (version, False)
        )
        assert each["rules"] == (["HIGH"] if each["amount"] >= 900 and "HIGH" not in off else [])


def test_what_was_approved_without_the_model_counts_after_a_restart(bench: Workbench) -> None:
    """The events of an hour come in three runs; together no more is approved than may be."""
    steps = (Fallback(by=By.RULES, at_most=20_000, per="1h"),)
    bench.change(policy=Policy(fallback=steps))
    values, keys = events(150)
    for at in range(0, 150, 50):
        bench.produce(bench.pipeline.input.name, values[at : at + 50], keys[at : at + 50])
        scorer(bench).run(until_caught_up=True)
    decisions = assert_once(bench)
    approved = [each for each in decisions if each["decision"]["outcome"] == "approve"]
    assert 19_000 < sum(each["event"]["amount"] for each in approved) <= 20_000
    over = [each for each in decisions if "FALLBACK_LIMIT" in each["decision"]["reasons"]]
    assert len(over) > 30 and {each["decision"]["outcome"] for each in over} == {"review"}
    assert all(each["decision"]["off"] == ["MODEL_SCORE"] for each in decisions)


def test_the_first_model_that_is_made_while_a_scorer_runs_serves(bench: Workbench) -> None:
    with running(bench) as at_work:
        version = add(bench, 0.001)
        at_work.until(lambda each: each["versions"].get("model") == version, 2)
    assert {tuple(each["decision"]["flags"]) for each in assert_once(bench)} == {("degraded",), ()}


def test_what_was_not_committed_before_a_crash_is_decided_once_by_the_model_of_after(bench: Workbench) -> None:
    """The scorer dies in a transaction of the old model; the promotion comes before the next start."""
    values, keys = events(90)
    topic = bench.pipeline.input.name
    old = save(bench, 0.001)
    bench.produce(topic, values[:30], keys[:30])
    scorer(bench).run(until_caught_up=True)
    bench.produce(topic, values[30:60], keys[30:60])
    dying = bench.start(env={"FRAUDSTREAM_FAILPOINT": "before-offsets:1:0", "FRAUDSTREAM_TEST_MODE": "1"})
    assert dying.wait(60) == -signal.SIGKILL
    new = save(bench, 0.0005)
    bench.produce(topic, values[60:], keys[60:])
    scorer(bench).run(until_caught_up=True)
    decisions = assert_once(bench)
    assert [each["decision"]["versions"]["model"] for each in decisions] == [old] * 30 + [new] * 60
