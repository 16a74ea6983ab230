"""Long streams against the oracle: tables and pools that grow, blocks that grow and shrink, entries that expire."""

from __future__ import annotations

import msgspec
import pytest

from conformance.engines import oracle
from conformance.test_property import EVENT
from conformance.vectorised import vectorised
from fraudstream.define.decision import ValueList
from fraudstream.define.feature import Feature, FeatureKind
from fraudstream.define.pipeline import Pipeline, Topic
from fraudstream.plan.compile import plan_of
from fraudstream.plan.plan import Plan
from fraudstream.testing.cases import EventRow
from fraudstream.testing.compare import same

from .stream import Row, Run, even, long_stream


def plan_of_a_few(dedup: str = "4s") -> Plan:
    """Few features, so that the oracle takes thousands of events in its stride; every kind of column is there."""
    card = {"by": ("card",), "over": "11s"}
    made = (
        Feature(name="count", kind=FeatureKind.COUNT, **card),
        Feature(name="sum", kind=FeatureKind.SUM, of="amount", **card),
        Feature(name="std", kind=FeatureKind.STD, of="amount", by=("card",), over="3s"),
        Feature(name="biggest", kind=FeatureKind.MAX, of="heat", **card),
        Feature(name="different", kind=FeatureKind.DISTINCT, of="points", **card),
        Feature(name="since", kind=FeatureKind.SINCE_LAST, **card),
        Feature(name="far", kind=FeatureKind.DISTANCE_KM, of="place", by=("card",), over="9s"),
        Feature(name="chain", kind=FeatureKind.SEQUENCE, by=("card",), over="9s", steps=("amount > 1", "flag")),
        Feature(name="pair", kind=FeatureKind.FIRST_SEEN, by=("card", "other"), over="9s"),
        Feature(name="frauds", kind=FeatureKind.LABEL_COUNT, by=("card",), over="9s", delay="2s"),
        Feature(name="rate", kind=FeatureKind.LABEL_RATE, by=("other",), over="5s", delay="1s"),
    )
    return plan_of(
        Pipeline(
            name="few",
            event=msgspec.structs.replace(EVENT, dedup=dedup),
            input=Topic(name="events"),
            labels=Topic(name="labels"),
            lists=(ValueList(name="listed", values=("X",)),),
            features=made,
        )
    )


def check(plan: Plan, rows: list[Row], size: int) -> None:
    expected, found = oracle(plan, rows), vectorised(plan, rows, (size,))
    for one, other in zip(expected, found, strict=True):
        assert one[1:] == other[1:], one
        for name, value in one.features.items():
            assert same(value, other.features[name]), (name, one, other.features[name])


@pytest.mark.parametrize(("keys", "hot", "size"), [(5, 0.5, 997), (4_000, 0.0, 256), (300, 0.9, 4_096)])
def test_thousands_of_events_agree_with_the_oracle(keys: int, hot: float, size: int) -> None:
    """A hot key, thousands of keys, late events deep in long blocks, copies and labels, in batches of any size."""
    check(plan_of_a_few(), long_stream(keys, 4_000, keys, hot=hot), size)


def test_every_table_grows_within_a_batch_and_changes_nothing() -> None:
    """One batch of all, in which pool, key table and id table grow several times, equals batches of 50."""
    rows = long_stream(3, 12_000, 9_000, hot=0.2)
    plan = plan_of_a_few()
    whole, pieces = Run(plan), Run(plan)
    small = [len(log.events.pool) for log in whole.state.logs]
    whole.decide(rows)
    for piece in even(rows, 50):
        pieces.decide(piece)
    assert whole.out == pieces.out
    assert all(len(log.events.pool) > before for log, before in zip(whole.state.logs, small, strict=True))
    assert len(whole.state.logs[0].keys.slot) > 1_024
    assert len(whole.state.ids.table) > 1_024


def test_a_block_that_grew_to_thousands_shrinks_and_its_room_is_used_again() -> None:
    """A burst of one key, then silence, then a few: the key's block is small again and the pool stays as it was."""
    fields = dict.fromkeys(("card", "other", "amount", "points", "heat", "flag", "place", "place.lat"))
    fields |= {"place.lon": None, "card": "hot", "flag": True}

    def burst(begin_ms: int, count: int, step_ms: int, first: int) -> list[Row]:
        return [
            EventRow(
                {**fields, "id": f"b{first + i}", "at": begin_ms + i * step_ms}, begin_ms + i * step_ms, 0, first + i
            )
            for i in range(count)
        ]

    def bursts(count: int) -> list[Row]:
        few = burst(60_000, 20, 5_000, count)
        return burst(0, count, 1, 0) + few + burst(200_000, count, 1, count + len(few))

    plan = plan_of_a_few()
    check(plan, bursts(400), 300)
    rows = bursts(3_000)
    run = Run(plan).decide(rows[:3_000])
    once = run.state.size_bytes
    run.decide(rows[3_000:])
    assert run.state.size_bytes <= once * 1.6


def test_ids_expire_and_the_table_stays_small() -> None:
    """With a short horizon ten thousand ids need no more room than the live ones, and answers are the oracle's."""
    plan = plan_of_a_few(dedup="1s")
    rows = long_stream(8, 5_000, 50)
    check(plan, rows, 300)
    run = Run(plan)
    for piece in even(rows, 100):
        run.decide(piece)
    assert len(run.state.ids.table) <= 2_048
