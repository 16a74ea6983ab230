"""A made-up alert, to try a channel with."""

from __future__ import annotations

import secrets
import time
from decimal import Decimal

from fraudstream.define.decision import RiskLevel
from fraudstream.engine.alerts import Document
from fraudstream.notify.declaration import Channel
from fraudstream.notify.message import Message
from fraudstream.notify.template import render
from fraudstream.units import format_instant


def trial_message(channel: Channel) -> Message:
    """A notification that says of itself that it is a trial; another id each time, so that no receiver drops it."""
    at = format_instant(time.time_ns() // 1_000_000)
    alert: Document = {
        "pipeline": "trial",
        "alert_id": "trial-0-0",
        "transaction_id": "trial",
        "key": "****0000",
        "amount": Decimal("123.45"),
        "score": 0.0,
        "risk_level": RiskLevel.LOW.value,
        "reasons": ["TRIAL_ONLY"],
        "rules": [],
        "event_at": at,
        "alert_at": at,
        "action_required": "REVIEW",
        "features": {},
        "input": {"topic": "trial", "partition": 0, "offset": 0},
        "versions": {},
    }
    title, body = render(channel.template, [alert])
    note = "This is a trial of fraudstream's; nobody need do anything."
    name = f"trial-{secrets.token_hex(8)}"
    return Message(name, channel.name, f"Trial: {title}", f"{body}\n\n{note}", RiskLevel.LOW, 0, (alert,))
