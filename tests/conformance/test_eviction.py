"""With a cap on keys every engine that can say it forgets the same keys at the same events as the oracle."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraudstream.errors import UsageError
from fraudstream.plan.compile import plan_of
from fraudstream.plan.plan import Plan
from fraudstream.plan.sql import features_sql
from fraudstream.testing.cases import EventRow
from fraudstream.testing.oracle import Oracle
from laws.stream import long_stream

from .engines import ENGINES, SUPPORTS_MAX_KEYS, Rows
from .test_long_streams import plan_of_everything
from .test_property import LABELLED_KINDS, check, plans, streams
from .vectorised import vectorised

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
SIZES = st.lists(st.integers(1, 50), min_size=1, max_size=6).map(tuple)


def capped(plan: Plan, max_keys: int) -> Plan:
    return plan_of(msgspec.structs.replace(plan.pipeline, max_keys=max_keys))


def engine_of(sizes: tuple[int, ...]) -> dict:
    return {"vectorised": lambda plan, rows: vectorised(plan, rows, sizes)}


def test_every_engine_says_whether_it_can() -> None:
    """An engine that cannot evict refuses such a plan instead of giving other values."""
    assert SUPPORTS_MAX_KEYS.keys() == ENGINES.keys()
    with pytest.raises(UsageError, match="max_keys"):
        features_sql(capped(plan_of_everything(), 3))


@QUICK
@given(plans(), streams(), st.integers(1, 4), SIZES)
def test_any_stream_under_a_tight_cap(plan: Plan, rows: Rows, max_keys: int, sizes: tuple[int, ...]) -> None:
    """Random plans over few keys and fewer places, cut into any batches: values and flags are the oracle's."""
    check(capped(plan, max_keys), rows, engine_of(sizes))


@QUICK
@given(plans(LABELLED_KINDS), streams(), st.integers(1, 3), SIZES)
def test_any_labels_under_a_tight_cap(plan: Plan, rows: Rows, max_keys: int, sizes: tuple[int, ...]) -> None:
    """A label of an event whose key was forgotten counts nowhere, also when the key has come anew."""
    check(capped(plan, max_keys), rows, engine_of(sizes))


@pytest.mark.parametrize(("max_keys", "sizes"), [(2, (300,)), (7, (64, 1)), (16, (300,)), (40, (1, 3, 2, 7))])
def test_long_unruly_streams_of_many_keys(max_keys: int, sizes: tuple[int, ...]) -> None:
    """Every kind of feature, lateness, copies and labels over some sixty keys a log."""
    rows = long_stream(max_keys, 300, 120, hot=0.2)
    check(capped(plan_of_everything(), max_keys), rows, engine_of(sizes))


def test_the_streams_make_keys_go_and_come_again() -> None:
    """Otherwise the tests above would show little: values differ from those without a cap, and the cap holds."""
    plan, rows = plan_of_everything(), long_stream(0, 500, 120, hot=0.2)
    free, tight = Oracle(plan), Oracle(capped(plan, 16))
    different = 0
    for row in rows:
        if isinstance(row, EventRow):
            answers = [each.event(row.fields, row.event_at, row.partition, row.offset) for each in (free, tight)]
            different += answers[0].features != answers[1].features
            assert all(len(histories) <= 16 for histories in tight.histories.values())
        else:
            for each in (free, tight):
                each.label(row.event_id, row.is_fraud, row.labelled_at)
    assert different > 20
    assert all(len(histories) > 40 for histories in free.histories.values())
