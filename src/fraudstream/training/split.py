"""Training, stopping and test periods: by time, because a model is used on what comes after what it learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fraudstream.errors import DataError
from fraudstream.units import format_duration

Int64s = npt.NDArray[np.int64]

STOP_SHARE = 0.2
"""The last part of the training period, by events: when to stop and where the threshold lies is decided on it."""
FEWEST_EVENTS = 50


@dataclass(frozen=True)
class Split:
    """Events by their place in time order.

    Attributes:
        learn: Learned from.
        stop: The end of the training period, held out from learning.
        test: Held out from everything but the final measurement.
        gap_ms: The time between training and test whose labels would not have been known.
        trained_at_ms: When the model is made: what becomes known later is not learned from.
    """

    learn: slice
    stop: slice
    test: slice
    gap_ms: int
    trained_at_ms: int


def split_by_time(event_at_ms: Int64s, test_share: float, gap_ms: int, span_ms: int | None = None) -> Split:
    """The last events are for the test, and none of them happens at an instant of the training period.

    Args:
        event_at_ms: int64[n], ascending.
        test_share: The share of events in the test.
        gap_ms: How long before the test begins training ends.
        span_ms: How long a time before that is learned from; None: all of it.

    Raises:
        DataError: Too little is left to learn from or to test on.
    """
    n = len(event_at_ms)
    start = min(round(n * (1 - test_share)), n - 1)
    test_at_ms = event_at_ms[start]
    end = int(np.searchsorted(event_at_ms, test_at_ms - gap_ms, side="left"))
    start = int(np.searchsorted(event_at_ms, test_at_ms, side="left"))
    first = 0 if span_ms is None else int(np.searchsorted(event_at_ms, test_at_ms - gap_ms - span_ms, side="left"))
    stop = end - round((end - first) * STOP_SHARE)
    if min(stop - first, n - start) < FEWEST_EVENTS:
        span = format_duration(max(int(event_at_ms[-1] - event_at_ms[0]) // 3_600_000, 1) * 3_600_000)
        gap = f" and a gap of {format_duration(gap_ms)} before it, in which labels are not known yet" if gap_ms else ""
        raise DataError(
            f"The history of {n:,} events over {span} leaves {stop - first:,} to learn from and {n - start:,} to test "
            f"on: {test_share:.0%} are for the test{gap}.",
            f"Both need {FEWEST_EVENTS}. Give a longer history"
            + (", or a shorter --label-delay." if gap_ms else ", or another --test-share."),
        )
    return Split(slice(first, stop), slice(stop, end), slice(start, n), gap_ms, int(test_at_ms))
