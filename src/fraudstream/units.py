"""Durations, instants and money as integers, and their readable forms."""

from __future__ import annotations

import re
from datetime import UTC, datetime

MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}

EPOCH_SECONDS_BELOW = 10**11
"""An instant as a number below this is seconds since 1970 (until the year 5138), from it on milliseconds."""

_NUMBER = re.compile(r"\d{1,16}(\.\d*)?", re.ASCII)
_DURATION = re.compile(r"(\d+)(ms|s|m|h|d|w)")


def parse_duration(text: str) -> int:
    """Milliseconds in a duration such as `90s`, `5m`, `24h`, `7d` or `1h30m`.

    Raises:
        ValueError: The text is not a positive whole number of ms, s, m, h, d or w.
    """
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        raise ValueError(
            f"{text!r} is not a duration; write a whole number and one of ms, s, m, h, d, w, like 5m or 7d"
        )
    total = sum(int(number) * MILLISECONDS[unit] for number, unit in parts)
    if total <= 0:
        raise ValueError(f"{text!r} is not longer than zero")
    return total


def format_duration(duration_ms: int) -> str:
    """The shortest exact text of a duration: 604800000 is `7d` (weeks are written as days)."""
    for unit in ("d", "h", "m", "s"):
        if duration_ms % MILLISECONDS[unit] == 0:
            return f"{duration_ms // MILLISECONDS[unit]}{unit}"
    return f"{duration_ms}ms"


def format_instant(epoch_ms: int) -> str:
    """An instant as ISO 8601 in UTC with milliseconds: `2026-11-22T20:00:00.000Z`."""
    seconds, milliseconds = divmod(epoch_ms, 1_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def parse_instant(text: str) -> int:
    """Epoch milliseconds of a text: ISO 8601, UTC unless it says otherwise, or a number of seconds or milliseconds.

    Raises:
        ValueError: The text is none of these.
    """
    if _NUMBER.fullmatch(text) and len(text) != len("20260131"):
        number = float(text)
        return round(number * 1_000 if number < EPOCH_SECONDS_BELOW else number)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not an instant; write it like 2026-01-31 or 2026-01-31T08:00:00Z") from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000)


def format_money(amount_minor: int, scale: int) -> str:
    """A decimal held as minor units in its usual form: (123456, 2) is `1,234.56`."""
    sign = "-" if amount_minor < 0 else ""
    whole, fraction = divmod(abs(amount_minor), 10**scale)
    return f"{sign}{whole:,}" + (f".{fraction:0{scale}d}" if scale else "")
