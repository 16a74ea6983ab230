"""Alerts of the small pipeline, as its scorer would write them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fraudstream.units import format_instant
from runner.small import START_MS


def alert(number: int, *, topic: str = "events", at_ms: int | None = None, **parts: Any) -> bytes:
    """The record of the alert on event `number`, a second after the one before it unless said."""
    at = format_instant(START_MS + number * 1_000 if at_ms is None else at_ms)
    written = {
        "alert_id": f"{topic}-0-{number}", "transaction_id": f"e{number}", "key": "c1", "amount": 1234.5,
        "score": 0.9, "risk_level": "HIGH", "reasons": ["HIGH"], "rules": ["HIGH"], "event_at": at, "alert_at": at,
        "action_required": "BLOCK", "features": {}, "input": {"topic": topic, "partition": 0, "offset": number},
        "versions": {},
    }  # fmt: skip
    return json.dumps(written | parts).encode()


def told(bodies: Sequence[bytes]) -> list[str]:
    """The ids of the alerts that webhooks told of, in order."""
    return [each["alert_id"] for body in bodies for each in json.loads(body)["alerts"]]
