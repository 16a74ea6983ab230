"""When a notification may leave: pure functions of instants, in epoch milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from fraudstream.define.decision import RiskLevel
from fraudstream.notify.declaration import RISK_LEVELS, Limit, QuietHours, Retry, Weekday

_WEEKDAYS = tuple(Weekday)


def quiet_until(quiet: QuietHours | None, risk_level: RiskLevel, now_ms: int) -> int | None:
    """When the quiet hours end in which a notification of this level would leave; None where it may leave now."""
    if quiet is None:
        return None
    if quiet.unless is not None and RISK_LEVELS.index(risk_level) >= RISK_LEVELS.index(quiet.unless):
        return None
    zone = ZoneInfo(quiet.zone)
    today = datetime.fromtimestamp(now_ms / 1_000, zone).date()
    for day in (today - timedelta(days=1), today):
        if _WEEKDAYS[day.weekday()] not in quiet.days:
            continue
        last = day if quiet.end > quiet.begin else day + timedelta(days=1)
        begin_ms, end_ms = (
            _epoch_ms(datetime.combine(on, at, zone)) for on, at in ((day, quiet.begin), (last, quiet.end))
        )
        if begin_ms <= now_ms < end_ms:
            return end_ms
    return None


def free_at(limit: Limit | None, left_at_ms: Sequence[int], now_ms: int) -> int:
    """When the next notification may leave, given when those before it left, in that order."""
    if limit is None or len(left_at_ms) < limit.most:
        return now_ms
    return max(now_ms, left_at_ms[-limit.most] + limit.per_ms)


def next_attempt_ms(retry: Retry, attempts: int, asked_ms: int | None) -> int:
    """The wait after so many failed attempts, at least one; a longer one where the receiver asks for it, within reason.

    Args:
        retry: What is declared.
        attempts: How many there have been.
        asked_ms: What the receiver asked for.
    """
    doubled = retry.first_ms << min(attempts - 1, 40)
    return min(max(doubled, asked_ms or 0), max(retry.longest_ms, retry.first_ms))


def _epoch_ms(at: datetime) -> int:
    return round(at.astimezone(UTC).timestamp() * 1_000)
