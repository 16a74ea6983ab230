"""Durations, instants and money as integers, and their readable forms."""

from __future__ import annotations

import re
from datetime import UTC, datetime

MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}

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


def format_money(amount_minor: int, scale: int) -> str:
    """A decimal held as minor units in its usual form: (123456, 2) is `1,234.56`."""
    sign = "-" if amount_minor < 0 else ""
    whole, fraction = divmod(abs(amount_minor), 10**scale)
    return f"{sign}{whole:,}" + (f".{fraction:0{scale}d}" if scale else "")
