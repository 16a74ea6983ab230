"""What holds whatever the stream: cuts, restarts, replays, additions, interleavings and neighbours change nothing."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraudstream.plan.identity import describe_state
from fraudstream.state.snapshot import Header, arrays_of, read_snapshot, restore, write_snapshot
from fraudstream.state.state import State
from fraudstream.testing.cases import EventRow

from .stream import BESIDE, PLAN, UNRELATED, Row, Run, cut, even, features, long_stream, with_feature

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
SEEDS = st.integers(0, 2**32)
ROWS = 300


def through_file(state: State) -> State:
    """The state after it was written to a snapshot and read back."""
    described = describe_state(PLAN.pipeline.event, PLAN.logs, PLAN.dedup_ms)
    header = Header(identity=state.identity, description=described, log={}, offsets={}, sequence=state.sequence)
    with TemporaryDirectory() as folder:
        path = write_snapshot(Path(folder), header, arrays_of(state))
        return restore(PLAN, *read_snapshot(path))


@QUICK
@given(SEEDS, st.lists(st.integers(0, 120), max_size=8))
def test_cutting_the_stream_into_other_batches_changes_no_byte(seed: int, sizes: list[int]) -> None:
    """One batch, or any others: features, flags, outcomes and sequences are the same bytes."""
    rows = long_stream(seed, ROWS, 5)
    whole, pieces = Run().decide(rows), Run()
    for piece in cut(rows, sizes):
        pieces.decide(piece)
    assert pieces.out == whole.out


@QUICK
@given(SEEDS, st.integers(0, ROWS))
def test_snapshot_restore_continue_is_never_having_stopped(seed: int, at: int) -> None:
    """At any cut, through a file."""
    rows = long_stream(seed, ROWS, 5)
    whole = Run().decide(rows)
    before = Run().decide(rows[:at])
    after = Run(state=through_file(before.state)).decide(rows[at:])
    assert before.out + after.out == whole.out


@QUICK
@given(SEEDS, st.integers(0, ROWS), st.integers(1, 90))
def test_replaying_the_state_alone_is_deciding_it(seed: int, at: int, size: int) -> None:
    """What was learned without deciding decides the rest as if all had been decided."""
    rows = long_stream(seed, ROWS, 5)
    whole, replayed = Run().decide(rows), Run()
    for piece in even(rows[:at], size):
        replayed.learn(piece)
    decided = sum(isinstance(row, EventRow) for row in rows[:at])
    assert replayed.decide(rows[at:]).out == whole.out[decided:]


@QUICK
@given(SEEDS, st.sampled_from([UNRELATED, BESIDE]))
def test_adding_a_feature_changes_no_other_value(seed: int, added: object) -> None:
    """On a key of its own, or beside others in a log they share."""
    rows = long_stream(seed, ROWS, 5)
    before = features(Run().decide(rows).out)
    after = features(Run(with_feature(PLAN, added)).decide(rows).out)  # type: ignore[arg-type]
    extra = [each.pop(added.name) for each in after]  # type: ignore[attr-defined]
    assert any(value is not None for value in extra)
    assert after == before


def interleaved(rows: list[Row], dice: random.Random) -> list[Row]:
    """The events in another order that keeps each partition's."""
    lanes = [[row for row in rows if isinstance(row, EventRow) and row.partition == p] for p in range(3)]
    result: list[Row] = []
    while any(lanes):
        result.append(dice.choice([lane for lane in lanes if lane]).pop(0))
    return result


@QUICK
@given(SEEDS, st.integers(1, 60))
def test_another_interleaving_of_partitions_leaves_an_equal_state(seed: int, count: int) -> None:
    """Events without copies, fetched in another order: every later event sees the same."""
    dice = random.Random(seed)
    rows: list[Row] = []
    for number, row in enumerate(long_stream(seed, ROWS, 4)):
        if isinstance(row, EventRow):
            rows.append(EventRow({**row.fields, "id": f"u{number}"}, row.event_at, row.partition, row.offset))
    early, later = rows[:-count], rows[-count:]
    one, other = Run().learn(early), Run().learn(interleaved(early, dice))
    assert features(other.decide(later).out) == features(one.decide(later).out)


@QUICK
@given(SEEDS, st.dictionaries(st.integers(0, 120), st.binary(max_size=60), max_size=20))
def test_poison_changes_no_neighbour(seed: int, poison: dict[int, bytes]) -> None:
    """Records that are no events, anywhere between: the decisions on the others keep every byte."""
    rows = long_stream(seed, 150, 5)
    bad = {number: b"{" + value.replace(b"}", b"") for number, value in poison.items()}
    assert Run().decide(rows, bad).out == Run().decide(rows).out
