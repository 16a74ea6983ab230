"""A snapshot file is whole and right, or it is refused; whatever happens, an older one or the log takes its place."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.test_long_streams import plan_of_everything
from fraudstream.define.feature import Feature, FeatureKind
from fraudstream.errors import StateError
from fraudstream.plan.compile import plan_of
from fraudstream.plan.identity import describe_state
from fraudstream.plan.plan import Plan
from fraudstream.runner.checkpoint import Checkpoints
from fraudstream.state.snapshot import MAGIC, Header, arrays_of, read_snapshot, snapshots_in, write_snapshot
from fraudstream.state.state import State

PLAN = plan_of_everything()
LOG = {"": "cluster", "events": "first"}
PLACE = ("events", 0)


def save(folder: Path, sequence: int, plan: Plan = PLAN, log: dict[str, str] = LOG) -> Path:
    """A snapshot of an empty state that says it stands at an offset."""
    state = State(plan)
    described = describe_state(plan.pipeline.event, plan.logs, plan.dedup_ms)
    header = Header(
        identity=state.identity, description=described, log=log, offsets={"events/0": sequence}, sequence=sequence
    )
    return write_snapshot(folder, header, arrays_of(state))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a snapshot."""
    return save(tmp_path_factory.mktemp("whole"), 7).read_bytes()


PLACES = st.floats(0, 1, exclude_max=True)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(PLACES, st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_found(whole: bytes, tmp_path: Path, place: float, bit: int) -> None:
    """In the magic, the header, the arrays or the checksum."""
    altered = bytearray(whole)
    altered[int(place * len(whole))] ^= 1 << bit
    refuse(tmp_path, bytes(altered))


@pytest.mark.parametrize("place", [*range(24), *range(-17, 0)])
def test_a_flipped_bit_at_either_end_is_found(whole: bytes, tmp_path: Path, place: int) -> None:
    """Where the parts meet."""
    altered = bytearray(whole)
    altered[place] ^= 1
    refuse(tmp_path, bytes(altered))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(PLACES)
def test_a_truncated_file_is_found(whole: bytes, tmp_path: Path, place: float) -> None:
    """Cut anywhere, to nothing as well."""
    refuse(tmp_path, whole[: int(place * len(whole))])


@pytest.mark.parametrize("content", [b"", b"f", MAGIC, b"\0" * 100, MAGIC + b"\xff" * 40])
def test_what_is_no_snapshot_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever it is."""
    refuse(tmp_path, content)


def test_bytes_behind_the_end_are_found(whole: bytes, tmp_path: Path) -> None:
    """Even a copy of the checksum."""
    refuse(tmp_path, whole + whole[-16:])


def refuse(folder: Path, content: bytes) -> None:
    path = folder / "00000000000000000009.snapshot"
    path.write_bytes(content)
    with pytest.raises(StateError) as refused:
        read_snapshot(path)
    assert str(path) in str(refused.value)


def test_the_newest_that_is_whole_and_not_beyond_the_commit_is_taken(tmp_path: Path) -> None:
    """Damaged ones and ones of transactions that were never committed are passed over."""
    first, second, third = (save(tmp_path, sequence) for sequence in (10, 20, 30))
    checkpoints = Checkpoints(PLAN, tmp_path, LOG)
    assert checkpoints.newest({PLACE: 30}).snapshot == third
    assert checkpoints.newest({PLACE: 29}).snapshot == second
    second.write_bytes(second.read_bytes()[:-1])
    assert checkpoints.newest({PLACE: 29}).snapshot == first
    taken = checkpoints.newest({PLACE: 29})
    assert (taken.positions, taken.state.sequence) == ({PLACE: 10}, 10)
    nothing = checkpoints.newest({PLACE: 9})
    assert (nothing.snapshot, nothing.positions, nothing.state.sequence) == (None, {}, 0)
    assert checkpoints.newest({}).snapshot is None
    checkpoints.close()


def test_a_snapshot_of_another_log_is_passed_over_and_not_in_the_way(tmp_path: Path) -> None:
    """A topic made anew begins with a new state; its first snapshot outlives the old one's higher numbers."""
    for sequence in (100, 200, 300):
        save(tmp_path, sequence)
    anew = {**LOG, "events": "second"}
    checkpoints = Checkpoints(PLAN, tmp_path, anew)
    checkpoints.check_identity()
    assert checkpoints.newest({PLACE: 300}).snapshot is None
    mine = save(tmp_path, 5, log=anew)
    assert checkpoints.newest({PLACE: 300}).snapshot == mine
    assert len(snapshots_in(tmp_path)) == 3
    checkpoints.close()


def test_a_foreign_identity_is_refused_with_what_changed(tmp_path: Path) -> None:
    """Not taken silently, nor rebuilt silently; what to do is said."""
    save(tmp_path, 10)
    more = Feature(name="more", kind=FeatureKind.COUNT, by=("card",), over="20s")
    changed = plan_of(msgspec.structs.replace(PLAN.pipeline, features=(*PLAN.pipeline.features, more)))
    checkpoints = Checkpoints(changed, tmp_path, LOG)
    with pytest.raises(StateError, match="20s instead of 13s") as refused:
        checkpoints.check_identity()
    assert "--rebuild-state" in refused.value.advice
    assert checkpoints.newest({PLACE: 10}).snapshot is None
    checkpoints.discard()
    checkpoints.check_identity()
    checkpoints.close()


def test_few_are_kept_and_drafts_are_cleared(tmp_path: Path) -> None:
    """The three last written; what a crash left half-written goes with the next."""
    (tmp_path / "00000000000000000001.draft").write_bytes(b"half")
    for sequence in (1, 2, 3, 4, 5):
        save(tmp_path, sequence)
    assert [path.name[:20] for path in snapshots_in(tmp_path)] == [f"{n:020d}" for n in (5, 4, 3)]
    assert not list(tmp_path.glob("*.draft"))
