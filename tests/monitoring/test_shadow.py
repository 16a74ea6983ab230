"""What scoring in the shadow says of a new version before it is promoted."""

from __future__ import annotations

import itertools

from msgspec.structs import replace

from fraudstream.monitoring.comparison import Comparison, Quality
from fraudstream.monitoring.shadow import await_shadow, judged

USUAL = Quality(average_precision=0.8, precision=0.5, recall=0.7, caught=None)
FOUND = Comparison(
    version="new", live="old", events=100, same_outcome=0.97, more_alerts=2, fewer_alerts=1, score_difference=0.1,
    labelled=100, frauds=30, champion=USUAL, challenger=replace(USUAL, average_precision=0.9),
)  # fmt: skip


def test_a_version_that_is_not_worse_on_what_is_known_passes() -> None:
    well = judged(FOUND, 100, 20)
    assert well.well and "97.0%" in well.text and "0.9000 against 0.8000" in well.text
    slightly = replace(FOUND, challenger=replace(USUAL, average_precision=0.795))
    assert judged(slightly, 100, 20).well
    worse = replace(FOUND, challenger=replace(USUAL, average_precision=0.7))
    assert not judged(worse, 100, 20).well
    assert judged(worse, 100, 31).well  # too few frauds to say so


def test_it_waits_for_as_many_decisions_as_were_asked_for_and_no_longer_than_it_may() -> None:
    seen = itertools.count(98)
    assert await_shadow(lambda: replace(FOUND, events=next(seen)), 100, 60, 20).well
    assert next(seen) == 101
    late = await_shadow(lambda: replace(FOUND, events=3), 100, 0, 20)
    assert not late.well and "100 decisions were asked for" in late.text
