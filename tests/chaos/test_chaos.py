"""The scorer dies at every failpoint, one after another, under traffic: the checker finds nothing wrong."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import damage
import faults
import pytest
from field import Field

from fraudstream import failpoints
from fraudstream.errors import SettingError
from fraudstream.settings import Settings
from runner.small import events, pipeline
from runner.workbench import Workbench

TIMES = int(os.environ.get("FRAUDSTREAM_TEST_CHAOS_TIMES", "3"))
"""How often each point is tried."""


@pytest.mark.kafka
@pytest.mark.slow
def test_death_at_every_point_leaves_every_invariant(broker: str, tmp_path: Path, unique_id: str) -> None:
    """Rows: kill −9 at every failpoint, snapshots damaged, clock wrong.

    Each point was reached; some transactions were aborted by it; a reader saw the same during and after (I4); scored
    anew the log gives the same bytes (I7), although some scorers lived an hour ahead or behind, with clocks that ran.
    """
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    with Field(tmp_path, seed, rate=100, bootstrap=broker, name=unique_id) as field:
        faults.end_in_order(field)  # a snapshot to restore from
        for _ in range(TIMES):
            for point in dice.sample(failpoints.POINTS, len(failpoints.POINTS)):
                delay_ms = dice.choice((0, 20))
                assert faults.at_failpoint(field, point, delay_ms=delay_ms), f"{point} was not reached, seed {seed}"
        for hours, drift in ((1.0, 0.5), (-1.0, -0.5)):
            faults.wrong_clock(field, hours, drift)
        for name, harm in (("truncated", damage.truncated), ("bit_flipped", damage.flipped), ("gone", damage.all_gone)):
            damage.damaged(field, name, harm, dice)
        field.observed["rejected"] = field.scorers.said("An older snapshot or the log takes its place")
        happened = {"aborted_records": 1, "drained": 1, "wrong_clocks": 2, "rejected": 2}
        verdict = field.finish(dict.fromkeys(failpoints.POINTS, TIMES) | happened)
    assert verdict["violations"] == [], f"seed {seed}: {verdict}"


@pytest.mark.kafka
def test_a_failpoint_outside_test_mode_is_refused_and_in_it_kills(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """One paragraph and exit code 2; with both variables the process is gone by SIGKILL, and nothing is committed."""
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    bench.produce(bench.pipeline.input.name, *events(10))
    armed = {failpoints.FAILPOINT: "after-offsets"}
    assert bench.start(env=armed).wait(30) == 2
    said = (tmp_path / "scorer.log").read_text()
    assert "this process would kill itself" in said and "Traceback" not in said
    assert bench.start(env=armed | {failpoints.TEST_MODE: "1"}).wait(30) == -signal.SIGKILL
    assert bench.committed_events() == 0


@pytest.mark.parametrize(
    "environ",
    [
        {failpoints.FAILPOINT: "after-poll"},
        {failpoints.FAILPOINT: "after-poll", failpoints.TEST_MODE: "0"},
        {failpoints.FAILPOINT: "nowhere", failpoints.TEST_MODE: "1"},
        {failpoints.FAILPOINT: "after-poll:x", failpoints.TEST_MODE: "1"},
        {failpoints.FAILPOINT: "after-poll:1:2:3", failpoints.TEST_MODE: "1"},
    ],
)
def test_what_cannot_be_armed_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(SettingError, match=failpoints.FAILPOINT):
        failpoints.arm(environ)


def test_the_armed_point_kills_at_its_hit_and_no_other_does(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *arguments: killed.append(arguments))
    try:
        failpoints.arm({failpoints.FAILPOINT: "replay:2:20", failpoints.TEST_MODE: "1"})
        failpoints.hit("restore")
        failpoints.hit("replay")
        assert killed == []
        began = time.monotonic()
        failpoints.hit("replay")
        assert killed == [(os.getpid(), signal.SIGKILL)]
        assert time.monotonic() - began >= 0.02
    finally:
        failpoints.arm({})
    failpoints.hit("replay")
    assert len(killed) == 1
