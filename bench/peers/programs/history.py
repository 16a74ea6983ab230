"""A key's last day as a list of [time, amount], and what the windows hold: shared by the peers written in Python."""

from __future__ import annotations

from datetime import datetime

HOUR_S = 3_600
DAY_S = 86_400


def seconds_of(text: str) -> int:
    """A TX_DATETIME as seconds; the zone does not matter, only differences are used."""
    return int(datetime.fromisoformat(text).timestamp())


def pruned(history: list[list[float]], now_s: int) -> list[list[float]]:
    """The part of a key's history that still lies in a day's window."""
    oldest = now_s - DAY_S
    return [each for each in history if each[0] > oldest]


def with_customer(event: dict, history: list[list[float]], now_s: int) -> dict:
    """The event with the four features of its customer; `history` holds the last day, the event included."""
    hour = [amount for at, amount in history if at > now_s - HOUR_S]
    return event | {
        "count_1h": len(hour),
        "sum_1h": round(sum(hour), 2),
        "count_1d": len(history),
        "sum_1d": round(sum(amount for _, amount in history), 2),
    }
