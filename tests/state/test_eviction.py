"""A cap on keys: the laws hold with it, memory does not grow, and it is counted."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.test_long_streams import plan_of_everything
from fraudstream.plan.compile import plan_of
from fraudstream.plan.diff import explain_mismatch
from fraudstream.plan.explain import explain
from fraudstream.plan.identity import describe_state
from fraudstream.state.keys import EVICTED, EVICTED_EARLY, KeyTable, kept_keys
from fraudstream.state.snapshot import Header, arrays_of, read_snapshot, restore, write_snapshot
from fraudstream.state.state import State
from laws.stream import Run, cut, even, long_stream

PLAN = plan_of(msgspec.structs.replace(plan_of_everything().pipeline, max_keys=16))
QUICK = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
SEEDS = st.integers(0, 2**32)
ROWS = 200


def through_file(state: State, folder: Path) -> State:
    described = describe_state(PLAN.pipeline.event, PLAN.logs, PLAN.dedup_ms)
    header = Header(identity=state.identity, description=described, log={}, offsets={}, sequence=state.sequence)
    return restore(PLAN, *read_snapshot(write_snapshot(folder, header, arrays_of(state))))


@QUICK
@given(SEEDS, st.lists(st.integers(0, 80), max_size=6), st.integers(0, ROWS))
def test_cuts_restarts_and_replays_change_no_byte(
    tmp_path_factory: pytest.TempPathFactory, seed: int, sizes: list[int], at: int
) -> None:
    """Other batches, a snapshot in the middle, and state learned without deciding: the same decisions."""
    rows = long_stream(seed, ROWS, 60, hot=0.2)
    whole, pieces = Run(PLAN).decide(rows), Run(PLAN)
    for piece in cut(rows, sizes):
        pieces.decide(piece)
    assert pieces.out == whole.out
    before = Run(PLAN).decide(rows[:at])
    after = Run(PLAN, through_file(before.state, tmp_path_factory.mktemp("snapshots"))).decide(rows[at:])
    assert before.out + after.out == whole.out
    replayed = Run(PLAN)
    for piece in even(rows[:at], 37):
        replayed.learn(piece)
    assert replayed.decide(rows[at:]).out == after.out
    for state in (pieces.state, after.state, replayed.state):
        assert state.n_keys == whole.state.n_keys
        assert state.evicted_keys_total == whole.state.evicted_keys_total > 0
        assert state.evicted_early_total == whole.state.evicted_early_total


def seen_at(table: KeyTable, keys: list[int], times: list[int]) -> int:
    """Looks keys up; how many were, before one had no room."""
    low = np.array(keys, np.uint64)
    slots, done = table.slots_within_cap(low, low, np.ones(len(keys), bool), np.array(times, np.int64))
    assert len(slots) == done
    return done


def known(table: KeyTable) -> list[int]:
    """The keys of a table by their slots."""
    places = np.flatnonzero(table.slot >= 0)
    return table.low[places[np.argsort(table.slot[places])]].tolist()


def test_the_least_recently_seen_go_and_of_equals_those_known_longer() -> None:
    """By event time, not by order of arrival; the others keep their order."""
    table = KeyTable(8)
    assert seen_at(table, [10, 11, 12, 13, 14, 15, 16, 17, 18], [50, 20, 20, 90, 20, 70, 60, 80, 99]) == 8
    assert table.evict(retention_ms=25).tolist() == [0, -1, 1, 2, 3, 4, 5, 6]
    assert known(table) == [10, 12, 13, 14, 15, 16, 17]
    assert seen_at(table, [12, 18, 19], [95, 10, 1]) == 2
    assert table.evict(retention_ms=25)[table.n_keys] == -1  # 18, which came last but with the oldest time
    assert known(table) == [10, 12, 13, 14, 15, 16, 17]
    assert table.counters[[EVICTED, EVICTED_EARLY]].tolist() == [2, 0]


@pytest.mark.parametrize(("max_keys", "kept"), [(1, 0), (2, 1), (7, 6), (8, 7), (16, 14), (1_000_000, 875_000)])
def test_an_eighth_of_the_cap_is_made_free(max_keys: int, kept: int) -> None:
    assert kept_keys(max_keys) == kept
    table = KeyTable(max_keys)
    times = list(range(max_keys)) if max_keys < 100 else [0] * max_keys
    assert seen_at(table, list(range(1, max_keys + 2)), [*times, 5]) == max_keys
    table.evict(retention_ms=1)
    assert table.n_keys == kept == len(known(table))
    assert known(table) == list(range(max_keys - kept + 1, max_keys + 1))


def test_a_key_forgotten_within_the_retention_counts_as_early() -> None:
    table = KeyTable(2)
    seen_at(table, [1, 2], [100, 200])
    table.evict(retention_ms=100)  # exactly a retention old: nothing in order could look back on it
    assert table.counters[[EVICTED, EVICTED_EARLY]].tolist() == [1, 0]
    seen_at(table, [3], [201])
    table.evict(retention_ms=100)
    assert table.counters[[EVICTED, EVICTED_EARLY]].tolist() == [2, 1]


def test_the_cap_belongs_to_the_state_and_a_difference_is_explained() -> None:
    """State kept under another cap is refused, with the reason; without a cap the identity is what it always was."""
    free = plan_of(msgspec.structs.replace(PLAN.pipeline, max_keys=None))
    more = plan_of(msgspec.structs.replace(PLAN.pipeline, max_keys=17))
    assert len({free.state_identity, more.state_identity, PLAN.state_identity}) == 3
    assert "at most 16 keys" in explain(PLAN)
    assert "at most" not in explain(free).partition("Features")[0].partition("History")[2]
    described = [describe_state(each.pipeline.event, each.logs, each.dedup_ms) for each in (free, PLAN, more)]
    assert "max_keys" not in str(described[0])
    assert "the history by card holds 16 keys instead of any number of" in explain_mismatch(described[0], described[1])
    assert "the history by card holds 17 keys instead of 16" in explain_mismatch(described[1], described[2])
