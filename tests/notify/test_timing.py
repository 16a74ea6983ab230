"""When notifications may leave."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest

from fraudstream.define.decision import RiskLevel
from fraudstream.notify.declaration import Limit, QuietHours, Retry, Weekday
from fraudstream.notify.timing import free_at, next_attempt_ms, quiet_until

NIGHTS = QuietHours(begin=time(22), end=time(6), zone="Europe/Zurich")


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-27T20:59", None),  # 21:59 in Zürich
        ("2026-11-27T21:00", "2026-11-28T05:00"),
        ("2026-11-28T04:59", "2026-11-28T05:00"),
        ("2026-11-28T05:00", None),
        ("2026-03-28T22:00", "2026-03-29T04:00"),  # the night that summer time begins in: an hour shorter
        ("2026-10-24T21:00", "2026-10-25T05:00"),  # … ends in: an hour longer
    ],
)
def test_quiet_nights_end_by_the_clock_on_the_wall(now: str, until: str | None) -> None:
    expected = None if until is None else ms(until)
    assert quiet_until(NIGHTS, RiskLevel.HIGH, ms(now)) == expected


def test_quiet_hours_of_a_day_begin_on_that_day_only() -> None:
    """Those that begin on Friday last into Saturday; none begins on Saturday."""
    fridays = QuietHours(begin=time(22), end=time(6), days=(Weekday.FRI,))
    assert quiet_until(fridays, RiskLevel.LOW, ms("2026-11-28T03:00")) == ms("2026-11-28T06:00")
    assert quiet_until(fridays, RiskLevel.LOW, ms("2026-11-28T23:00")) is None
    noons = QuietHours(begin=time(12), end=time(13))
    assert quiet_until(noons, RiskLevel.LOW, ms("2026-11-28T12:30")) == ms("2026-11-28T13:00")
    assert quiet_until(noons, RiskLevel.LOW, ms("2026-11-28T13:00")) is None


def test_what_is_grave_enough_breaks_the_quiet() -> None:
    at = ms("2026-11-27T23:00")
    quiet = QuietHours(begin=time(22), end=time(6), unless=RiskLevel.HIGH)
    assert quiet_until(quiet, RiskLevel.MEDIUM, at) is not None
    assert quiet_until(quiet, RiskLevel.HIGH, at) is None
    assert quiet_until(quiet, RiskLevel.CRITICAL, at) is None
    assert quiet_until(None, RiskLevel.LOW, at) is None


def test_no_stretch_of_time_holds_more_than_the_limit() -> None:
    """Ten that want to leave at once leave three a second, whatever stretch of a second is looked at."""
    limit, left = Limit(most=3, per_ms=1_000), []
    for _ in range(10):
        left.append(free_at(limit, left, left[-1] if left else 5))
    assert left == [5, 5, 5, 1_005, 1_005, 1_005, 2_005, 2_005, 2_005, 3_005]
    assert free_at(None, left, 7) == 7


def test_waits_double_up_to_the_longest_and_follow_what_is_asked() -> None:
    retry = Retry(first_ms=1_000, longest_ms=10_000)
    assert [next_attempt_ms(retry, attempts, None) for attempts in range(1, 7)] == [
        1_000, 2_000, 4_000, 8_000, 10_000, 10_000,
    ]  # fmt: skip
    assert next_attempt_ms(retry, 1, 5_000) == 5_000
    assert next_attempt_ms(retry, 1, 10**9) == 10_000
    assert next_attempt_ms(retry, 4, 5_000) == 8_000
    assert next_attempt_ms(retry, 10_000, None) == 10_000
