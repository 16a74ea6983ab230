"""The words of a notification."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fraudstream.notify.declaration import Template
from fraudstream.notify.template import FIELDS, fields_of, render


def alert(**parts: Any) -> dict[str, Any]:
    """An alert's document."""
    return {
        "pipeline": "retail", "alert_id": "events-0-1", "transaction_id": "e1", "key": "c1",
        "amount": Decimal("1234.50"), "score": Decimal("0.9876"), "risk_level": "HIGH", "reasons": ["A", "B"],
        "rules": ["A"], "event_at": "then", "alert_at": "now", "action_required": "BLOCK",
    } | parts  # fmt: skip


def test_every_field_is_there() -> None:
    text = " | ".join(f"{{{name}}}" for name in FIELDS)
    title, body = render(Template(title=text, line=text), [alert()])
    assert (
        title
        == body
        == ("retail | events-0-1 | e1 | c1 | 1,234.50 | 0.988 | HIGH | BLOCK | A, B | A | then | now | 1 | ")
    )
    missing = alert(key=None, amount=None, score=None, reasons=[], rules=[], event_at=None)
    assert [fields_of(missing)[name] for name in ("key", "amount", "score", "reasons", "event_at")] == ["–"] * 5


def test_the_title_is_that_of_the_gravest_and_lines_are_bounded() -> None:
    alerts = [alert(risk_level=level, key=f"c{i}") for i, level in enumerate(["LOW", "CRITICAL", "HIGH", "LOW"])]
    title, body = render(Template(title="{risk_level} {key}{more}, {count} {{so}}", line="{key}", most_lines=2), alerts)
    assert title == "CRITICAL c1 and 3 more, 4 {so}"
    assert body == "c0\nc1\n… and 2 more"


def test_what_strangers_write_commands_nothing() -> None:
    """Line breaks would forge headers or lines; braces are no fields; a text without end is cut."""
    hostile = alert(key="c1\r\nBcc: all@example.org\x1b[2J", transaction_id="{key}", reasons=["x" * 1_000])
    title, body = render(Template(title="{key} {transaction_id}", line="{reasons}"), [hostile])
    assert title == "c1��Bcc: all@example.org�[2J {key}"
    assert len(body) < 300
