"""Row: snapshot truncated, bits flipped, old, foreign. It is rejected, an older one and the log take its place (I3)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading import Record
from rescore import Place, scored_anew, timeless

from fraudstream.engine.batch import Batch
from fraudstream.engine.decode import Decoder
from fraudstream.engine.program import Program
from fraudstream.plan.compile import plan_of
from fraudstream.runner.checkpoint import Checkpoints
from fraudstream.runner.outputs import Outputs
from fraudstream.state.ids import Labels
from fraudstream.state.state import State
from runner.small import START_MS, events, pipeline

PLAN = plan_of(pipeline(shops=True))
LOG = {"cluster": "here", "in": "topic"}
INPUT = PLAN.pipeline.input.name
AT = (100, 200, 300)
"""Where the two snapshots and the committed offset stand."""
VALUES, _ = events(AT[-1])
ORDER: list[Place] = [(0, offset) for offset in range(AT[-1])]
SENT_AT_MS = START_MS + 86_400_000
INPUTS = {place: Record(INPUT, *place, None, value, SENT_AT_MS) for place, value in zip(ORDER, VALUES, strict=True)}


def batch_of(begin: int, end: int) -> Batch:
    offsets = np.arange(begin, end)
    decoded = Decoder(PLAN.pipeline.event).decode(VALUES[begin:end], np.full(end - begin, SENT_AT_MS))
    return Batch.of(decoded, INPUT, np.zeros(end - begin, np.int32), offsets)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two snapshots, and one of another log."""
    folder = tmp_path_factory.mktemp("kept")
    program = Program(PLAN)
    for name, log in (("own", LOG), ("foreign", LOG | {"in": "another topic"})):
        checkpoints, state = Checkpoints(PLAN, folder / name, log), State(PLAN)
        for begin, end in ((0, AT[0]), (AT[0], AT[1])):
            program.learn(state, batch_of(begin, end), Labels.none())
            checkpoints.save(state, {(INPUT, 0): end}, wait=True)
        checkpoints.close()
    return folder


def truncate(folder: Path, share: float, _: int) -> None:
    path = newest(folder)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])


def flip(folder: Path, share: float, bit: int) -> None:
    path = newest(folder)
    content = bytearray(path.read_bytes())
    content[int(len(content) * share)] ^= 1 << bit
    path.write_bytes(content)


def swap(folder: Path, share: float, bit: int) -> None:
    """Two stretches of it change places: every byte is there, and none where it belongs."""
    path = newest(folder)
    content = path.read_bytes()
    at = 1 + int((len(content) - 2) * share)
    path.write_bytes(content[at:] + content[:at])


def lengthen(folder: Path, share: float, bit: int) -> None:
    path = newest(folder)
    path.write_bytes(path.read_bytes() + bytes([bit]) * (1 + int(100 * share)))


def make_foreign(folder: Path, _: float, __: int) -> None:
    """It is whole, but of another log."""
    shutil.copyfile(newest(folder.parent / "foreign"), newest(folder))


def leave_old(folder: Path, _: float, __: int) -> None:
    newest(folder).unlink()


def newest(folder: Path) -> Path:
    return max(folder.glob("*.snapshot"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    damage=st.sampled_from([truncate, flip, swap, lengthen, make_foreign, leave_old]),
    share=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
    both=st.booleans(),
)
def test_whatever_is_damaged_the_older_one_and_the_log_give_the_same_state(
    kept: Path, tmp_path_factory: pytest.TempPathFactory, damage: Any, share: float, bit: int, both: bool
) -> None:
    """What is decided from there on is, byte for byte, what is decided without any snapshot."""
    folder = tmp_path_factory.mktemp("damaged")
    shutil.copytree(kept, folder, dirs_exist_ok=True)
    own = folder / "own"
    damage(own, share, bit)
    whole = AT[0]
    if both:
        (older,) = [path for path in own.glob("*.snapshot") if path.name.startswith(f"{AT[0]:020d}")]
        older.write_bytes(older.read_bytes()[:-1])
        whole = 0
    checkpoints = Checkpoints(PLAN, own, LOG)
    restored = checkpoints.newest({(INPUT, 0): AT[2]})
    checkpoints.close()
    assert restored.positions.get((INPUT, 0), 0) == restored.state.sequence == whole
    program = Program(PLAN)
    if whole < AT[1]:
        program.learn(restored.state, batch_of(whole, AT[1]), Labels.none())
    decisions = program.decide(restored.state, batch_of(AT[1], AT[2]), Labels.none(), 5)
    (scores, *_) = Outputs(PLAN).of(decisions, [])
    assert [timeless(value) for value in scores.values] == expected()[AT[1] :]
    shutil.rmtree(folder)


def expected(cached: list[bytes] = []) -> list[bytes]:  # noqa: B006 - it is meant to be kept
    """The decisions without any snapshot."""
    if not cached:
        for topics in scored_anew(PLAN, INPUTS, ORDER):
            cached += [timeless(value) for value in topics[PLAN.pipeline.routes[0].topic]]
    return cached
