"""From alerts to words: a title, and a line for each alert. A `{field}` is looked up, and never evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from string import Formatter
from typing import Any

from fraudstream.define.reader import suggestion
from fraudstream.notify.declaration import RISK_LEVELS, Template

FIELDS = {
    "pipeline": "the pipeline's name",
    "alert_id": "topic, partition and offset of the event",
    "transaction_id": "the event's id",
    "key": "the event's key; its token where it is sensitive",
    "amount": "the amount, in its usual form",
    "score": "the score, with three digits",
    "risk_level": "LOW, MEDIUM, HIGH or CRITICAL",
    "action": "REVIEW or BLOCK",
    "reasons": "reason codes",
    "rules": "the rules that hit",
    "event_at": "when the event happened",
    "alert_at": "when it was decided",
    "count": "how many alerts the notification has",
    "more": "` and N more`, where there are more than one",
}
"""Every field of a template, with what it is. The last two are the notification's, the others an alert's."""
_LONGEST_FIELD = 200
_FORMATTER = Formatter()


def problem_of(text: str) -> tuple[str, str] | None:
    """What is wrong with a template, and what to do; None where nothing is."""
    try:
        parts = list(_FORMATTER.parse(text))
    except ValueError:
        return "a brace has no partner.", "Write a field as {key}, and a brace that is meant as such twice: {{."
    for _, name, form, conversion in parts:
        if name is None:
            continue
        if form or conversion:
            return f"{{{name}…}} has a format of its own.", f"Write {{{name}}} alone."
        if name not in FIELDS:
            return f"there is no field {name[:80]!r}.", suggestion(name, FIELDS)
    return None


def render(template: Template, alerts: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """The title and the body of a notification of some alerts, in the order they came."""
    gravest = max(alerts, key=lambda alert: RISK_LEVELS.index(alert["risk_level"]))
    others = len(alerts) - 1
    common = {"count": str(len(alerts)), "more": f" and {others} more" if others else ""}
    shown = [_filled(template.line, fields_of(alert) | common) for alert in alerts[: template.most_lines]]
    if len(alerts) > len(shown):
        shown.append(f"… and {len(alerts) - len(shown)} more")
    return _filled(template.title, fields_of(gravest) | common), "\n".join(shown)


def fields_of(alert: Mapping[str, Any]) -> dict[str, str]:
    """An alert's fields as people read them."""
    amount, score = alert["amount"], alert["score"]
    return {
        **{name: _shown(alert[name]) for name in ("pipeline", "alert_id", "transaction_id", "key", "risk_level")},
        "amount": _shown(f"{amount:,}" if isinstance(amount, Decimal | int) else amount),
        "score": "–" if score is None else f"{score:.3f}",
        "action": _shown(alert["action_required"]),
        "reasons": _shown(", ".join(alert["reasons"]) or None),
        "rules": _shown(", ".join(alert["rules"]) or None),
        "event_at": _shown(alert["event_at"]),
        "alert_at": _shown(alert["alert_at"]),
    }


def _filled(template: str, fields: Mapping[str, str]) -> str:
    return "".join(text + (fields[name] if name else "") for text, name, _, _ in _FORMATTER.parse(template))


def _shown(value: object) -> str:
    """A value on one line: events are written by strangers, and may hold line breaks or what commands a terminal."""
    if value is None:
        return "–"
    text = "".join(character if character.isprintable() else "�" for character in str(value))
    return text if len(text) <= _LONGEST_FIELD else text[:_LONGEST_FIELD] + "…"
