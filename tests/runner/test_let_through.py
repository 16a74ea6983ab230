"""The let-through sample on a real log: its bound survives restarts, and a decision that rests on it can be proved."""

from __future__ import annotations

from pathlib import Path

import pytest

from fraudstream.define.aims import LetThrough
from fraudstream.define.decision import Action, Policy, Rule
from fraudstream.errors import UsageError
from fraudstream.plan.compile import plan_of
from fraudstream.runner.inputs import features_beyond_key, not_alone
from fraudstream.settings import Settings

from .small import events, pipeline, score_here
from .test_prove import proved
from .workbench import Workbench

pytestmark = pytest.mark.kafka


def test_a_restart_forgets_nothing_of_what_was_let_through(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """Three scorers one after the other let through no more than one, and no more than is allowed."""
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    bench.change(
        rules=(Rule(code="MOST", when="amount >= 100", action=Action.BLOCK),),
        policy=Policy(let_through=LetThrough(share=0.5, at_most=3_000, per="1d")),
    )
    values, keys = events(240)
    topic = bench.pipeline.input.name
    counted = 0
    for part in (slice(0, 8), slice(8, 16), slice(16, 240)):
        bench.produce(topic, values[part], keys[part])
        counted += score_here(bench).let_through
    decisions = bench.decisions()
    passed = [each for each in decisions if "let_through" in each["decision"]["flags"]]  # type: ignore[index]
    assert len(passed) == counted
    money = sum(each["event"]["amount"] for each in passed)  # type: ignore[index]
    assert 2_000 < money <= 3_000
    assert {each["decision"]["outcome"] for each in passed} == {"approve"}  # type: ignore[index]
    assert {each["decision"]["rules"][0] for each in passed} == {"MOST"}  # type: ignore[index]
    blocked = [each["decision"] for each in decisions if each["decision"]["outcome"] == "block"]  # type: ignore[index]
    for each in (passed[0]["decision"], passed[-1]["decision"], blocked[-1]):
        assert proved(bench, each["event_id"], "-b", kafka_settings.bootstrap_servers)["proved"]  # type: ignore[index]


def test_one_scorer_owns_the_bound() -> None:
    """Two scorers would let through twice as much."""
    import msgspec

    shared = msgspec.structs.replace(pipeline(), policy=Policy(let_through=LetThrough(share=0.1, at_most=10)))
    assert features_beyond_key(plan_of(shared)) == ["policy.let_through"]
    assert isinstance(not_alone(plan_of(shared)), UsageError)
