"""What the state says of itself stands in the loop's statistics."""

from __future__ import annotations

import msgspec

from conformance.test_long_streams import plan_of_everything
from fraudstream.plan.compile import plan_of
from fraudstream.runner.statistics import Meter
from laws.stream import Run, long_stream


def test_keys_evictions_labels_and_bytes_are_told() -> None:
    """They are those of the state at the reading; without a cap nothing is evicted."""
    plan = plan_of_everything()
    free, tight = Run(plan), Run(plan_of(msgspec.structs.replace(plan.pipeline, max_keys=8)))
    rows = long_stream(3, 300, 60, hot=0.2)
    for run in (free, tight):
        run.decide(rows)
    told = [Meter().read(0, run.state) for run in (free, tight)]
    assert told[0].keys > 60
    assert told[1].keys <= 8 * len(plan.logs)
    assert (told[0].evicted_keys_total, told[0].evicted_early_total) == (0, 0)
    assert told[1].evicted_keys_total >= told[0].keys - told[1].keys
    assert 0 < told[1].evicted_early_total <= told[1].evicted_keys_total
    for each, run in zip(told, (free, tight), strict=True):
        assert run.state.ids is not None
        assert each.pending_labels == run.state.ids.pending_labels
        assert each.expired_labels_total == run.state.ids.expired_labels_total > 0
        assert each.state_bytes == run.state.size_bytes > 10_000
    again = Meter().summary(0, tight.state)
    assert again.evicted_keys_total == told[1].evicted_keys_total
