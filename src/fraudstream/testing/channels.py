"""What every kind of channel must do, to be run against a real server by pytest.

A kind's tests derive a class from `ChannelContract` and give it the fixture `stage`: the channel and the server it
talks to. `tests/notify/test_webhook.py` shows one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from fraudstream.define.decision import RiskLevel
from fraudstream.notify.message import Message, Sender, Undelivered
from fraudstream.testing.behaviour import FAILING, Behaviour

TIMEOUT_S = 1.0
MESSAGE = Message(
    id="0123456789abcdef",
    channel="desk",
    title="CRITICAL retail: MULE_FAN_IN and 1 more",
    body="one line\nanother line with <b>, & and ü",
    risk_level=RiskLevel.CRITICAL,
    repeats=2,
    alerts=({"alert_id": "events-0-1", "amount": Decimal("12.50")}, {"alert_id": "events-0-2", "amount": None}),
)


class Stage(Protocol):
    """A channel and its server."""

    sender: Sender
    secrets: Sequence[str]
    """Texts that nobody may see: tokens of the URL, keys, passwords."""

    def behave(self, behaviour: Behaviour) -> None:
        """Makes the server do so from now on."""
        ...

    def arrived(self) -> list[str]:
        """What the server took: the text of each notification."""
        ...


class ChannelContract:
    """Derive a class whose name begins with `Test`, and give it the fixture `stage`."""

    def test_what_is_sent_arrives_once_with_title_and_alerts(self, stage: Stage) -> None:
        """`send` returns only when the server has taken it; the server sees the title."""
        stage.behave(Behaviour.TAKES)
        stage.sender.send(MESSAGE, TIMEOUT_S)
        (text,) = stage.arrived()
        assert "MULE_FAN_IN and 1 more" in text

    def test_each_attempt_sends_the_same(self, stage: Stage) -> None:
        """A receiver that drops what it has seen must be able to recognise it."""
        stage.behave(Behaviour.TAKES)
        stage.sender.send(MESSAGE, TIMEOUT_S)
        stage.sender.send(MESSAGE, TIMEOUT_S)
        first, second = stage.arrived()
        assert first == second

    def test_what_is_not_taken_is_said_in_time_and_without_secrets(self, stage: Stage) -> None:
        """Refused, unanswered, cut off, nobody there: `Undelivered`, not for good, soon, and without a secret."""
        for behaviour in FAILING:
            stage.behave(behaviour)
            began = time.monotonic()
            said = _failure_of(stage.sender)
            assert time.monotonic() - began < TIMEOUT_S + 2, behaviour
            assert said is not None, f"nothing was said of a server that {behaviour}"
            assert not said.for_good, (behaviour, said)
            assert [secret for secret in stage.secrets if secret in str(said)] == [], behaviour

    def test_it_recovers(self, stage: Stage) -> None:
        """After a failure the next attempt works."""
        stage.behave(Behaviour.GONE)
        assert _failure_of(stage.sender) is not None
        stage.behave(Behaviour.TAKES)
        stage.sender.send(MESSAGE, TIMEOUT_S)
        assert len(stage.arrived()) == 1


def _failure_of(sender: Sender) -> Undelivered | None:
    try:
        sender.send(MESSAGE, TIMEOUT_S)
    except Undelivered as said:
        return said
    return None
