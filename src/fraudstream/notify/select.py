"""Which channels an alert concerns, and which alerts belong together."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from fraudstream.define.decision import Outcome
from fraudstream.engine.alerts import Document
from fraudstream.notify.declaration import RISK_LEVELS, Condition, Trait

_OUTCOMES = tuple(Outcome)


class Taken(NamedTuple):
    """An alert as it was taken from its topic.

    Attributes:
        document: What it says.
        key: The record's key.
        at_ms: When it was decided.
    """

    document: Document
    key: bytes | None
    at_ms: int


def meets(condition: Condition, alert: Document) -> bool:
    """Whether a condition holds for an alert."""
    return (
        (not condition.pipelines or alert["pipeline"] in condition.pipelines)
        and RISK_LEVELS.index(alert["risk_level"]) >= RISK_LEVELS.index(condition.risk_level)
        and _OUTCOMES.index(alert["action_required"].lower()) >= _OUTCOMES.index(condition.outcome)
        and (
            condition.amount_from is None or (alert["amount"] is not None and alert["amount"] >= condition.amount_from)
        )
        and (not condition.rules or not set(condition.rules).isdisjoint(alert["rules"]))
    )


def digest(alert: Taken, traits: tuple[Trait, ...]) -> str:
    """A text that two alerts share where they agree in these traits; it does not show the key."""
    document = alert.document
    values = {
        Trait.PIPELINE: document["pipeline"],
        Trait.KEY: alert.key.hex() if alert.key is not None else document["key"],
        Trait.RISK_LEVEL: document["risk_level"],
        Trait.REASONS: document["reasons"],
    }
    text = repr([(trait.value, values[trait]) for trait in sorted(set(traits))])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
