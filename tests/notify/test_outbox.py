"""The outbox: every alert in it once for each channel, whoever dies; grouped, limited, held back and tried again."""

from __future__ import annotations

import threading
from datetime import time
from decimal import Decimal
from typing import Any

import pytest

from fraudstream.define.decision import Outcome, RiskLevel
from fraudstream.engine.alerts import read_alert
from fraudstream.errors import FencedError
from fraudstream.notify.channels.webhook import Webhook
from fraudstream.notify.claims import IDLE_MS, LEASE_BEYOND_TIMEOUT_MS, Claims
from fraudstream.notify.declaration import Channel, Condition, Grouping, Limit, QuietHours, Repeats, Retry, Trait
from fraudstream.notify.failures import failures, resend
from fraudstream.notify.gather import MOST_ALERTS
from fraudstream.notify.message import Message, Undelivered
from fraudstream.notify.outbox import Outbox
from fraudstream.notify.select import Taken, digest, meets
from fraudstream.outbound import parse_address
from fraudstream.settings import Settings
from fraudstream.store.engine import connect
from fraudstream.store.migrate import upgrade
from runner.small import START_MS, pipeline

from .alerts import alert

PLACE = ("alerts", 0)
NOWHERE = Webhook(parse_address("https://example.org/"), [b"unused" * 4])


def taken(number: int = 0, key: bytes | None = b"c1", **parts: Any) -> Taken:
    at_ms = parts.get("at_ms", START_MS + number * 1_000)
    return Taken(read_alert(pipeline(), alert(number, **parts), key), key, at_ms)


def channel(**parts: Any) -> Channel:
    return Channel(name="desk", sender=NOWHERE, **parts)


class Desk:
    """An outbox with one channel, taken from and claimed from at instants of one's own."""

    def __init__(self, settings: Settings, **parts: Any) -> None:
        self.store = connect(settings)
        upgrade(self.store)
        self.channel = channel(**parts)
        self.outbox = Outbox(self.store, "notify-test")
        self.claims = Claims(self.outbox, self.channel)
        self.next: dict[tuple[str, int], int] = {}

    def take(self, *alerts: Taken, now_ms: int = 0) -> dict[str, int]:
        after = {PLACE: self.next.get(PLACE, 0) + len(alerts)}
        counts = self.outbox.take([self.channel], alerts, self.next, after, now_ms)[self.channel.name]
        self.next = after
        return dict(counts)

    def claim(self, now_ms: int = 0) -> Message:
        message = self.claims.claim(now_ms)
        assert isinstance(message, Message), message
        return message

    def ids(self, message: Message) -> list[str]:
        return [each["transaction_id"] for each in message.alerts]


@pytest.fixture
def desk(store_settings: Settings) -> Desk:
    return Desk(store_settings)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Condition(), True),
        (Condition(pipelines=("small", "x")), True), (Condition(pipelines=("x",)), False),
        (Condition(risk_level=RiskLevel.HIGH), True), (Condition(risk_level=RiskLevel.CRITICAL), False),
        (Condition(outcome=Outcome.BLOCK), True), (Condition(outcome=Outcome.REVIEW), True),
        (Condition(amount_from=Decimal("1234.50")), True), (Condition(amount_from=Decimal("1234.51")), False),
        (Condition(rules=("X", "HIGH")), True), (Condition(rules=("X",)), False),
        (Condition(risk_level=RiskLevel.LOW, rules=("X",)), False),
    ],
)  # fmt: skip
def test_which_alerts_are_meant(condition: Condition, expected: bool) -> None:
    assert meets(condition, taken().document) is expected
    assert not meets(Condition(amount_from=Decimal(0)), taken(amount=None).document)
    assert not meets(Condition(outcome=Outcome.BLOCK), taken(action_required="REVIEW").document)


def test_keys_are_told_apart_and_not_shown() -> None:
    first, second = (taken(key=card, key_=0) for card in (b"4000111122223333", b"5000111122223333"))
    assert digest(first, (Trait.KEY,)) != digest(second, (Trait.KEY,))
    assert digest(first, (Trait.PIPELINE,)) == digest(second, (Trait.PIPELINE,))
    assert "4000111122223333" not in digest(first, (Trait.KEY,))


def test_alerts_and_offsets_are_taken_together_or_not_at_all(desk: Desk) -> None:
    """A notifier that is behind another one writes nothing; so does one that fails half way."""
    assert desk.take(taken(0))["told"] == 1
    assert desk.outbox.positions() == {PLACE: 1}
    for believed in ({}, {PLACE: 0}, {PLACE: 2}):
        with pytest.raises(FencedError):
            desk.outbox.take([desk.channel], [taken(1)], believed, {PLACE: 5}, 0)
    broken = taken(2)._replace(document={"risk_level": "LOW"})
    with pytest.raises(KeyError):
        desk.outbox.take([desk.channel], [taken(1), broken], {PLACE: 1}, {PLACE: 3}, 0)
    assert desk.outbox.positions() == {PLACE: 1}
    assert desk.ids(desk.claim()) == ["e0"]
    assert desk.claims.claim(0) == IDLE_MS


def test_what_is_sent_is_not_sent_again(desk: Desk) -> None:
    desk.take(taken(0))
    desk.claims.sent(desk.claim(), 5)
    assert desk.claims.claim(10**12) == 10**12 + IDLE_MS
    desk.outbox.forget(5, 5)
    desk.outbox.forget(6, 6)
    assert failures(desk.store, waiting=True) == []


def test_who_dies_before_recording_sends_the_same_again_when_the_lease_is_over(desk: Desk) -> None:
    desk.take(taken(0))
    first = desk.claim(0)
    over_ms = desk.channel.timeout_ms + LEASE_BEYOND_TIMEOUT_MS
    assert not isinstance(desk.claims.claim(over_ms - 1), Message)
    desk.take(taken(1), now_ms=over_ms - 1)  # a notification that was attempted takes no more alerts
    claimed = [desk.claim(over_ms), desk.claim(over_ms)]
    assert first in claimed
    assert sorted(desk.ids(each) for each in claimed) == [["e0"], ["e1"]]
    assert str(first.alerts[0]["amount"]) == "1234.50"


def test_alerts_gather_by_what_they_have_in_common(store_settings: Settings) -> None:
    """For as long as is said after the first one; the title is of the gravest; nothing takes more than its fill."""
    desk = Desk(store_settings, group=Grouping(over_ms=1_000, by=(Trait.KEY,)))
    desk.take(taken(0), taken(1, b"c2"), now_ms=0)
    desk.take(taken(2, risk_level="CRITICAL"), now_ms=999)
    assert desk.claims.claim(999) == 1_000
    first, second = desk.claim(1_000), desk.claim(1_000)
    assert desk.ids(first) == ["e0", "e2"]
    assert first.title == "CRITICAL small: HIGH and 1 more"
    assert first.body.count("\n") == 2
    assert desk.ids(second) == ["e1"]
    desk.take(*(taken(number) for number in range(MOST_ALERTS + 1)), now_ms=2_000)
    assert [len(desk.claim(3_000).alerts) for _ in range(2)] == [MOST_ALERTS, 1]


def test_repeats_are_left_out_counted_and_told_of(store_settings: Settings) -> None:
    """In the alerts' own time: a notifier that catches up leaves out what it would have left out."""
    desk = Desk(store_settings, repeats=Repeats(after_ms=10_000, by=(Trait.KEY,)))
    assert desk.take(taken(0), taken(1), taken(2, b"c2"), taken(9)) == {"told": 2, "grouped": 1, "repeats": 2}
    assert desk.ids(desk.claim()) == ["e0", "e2"]
    assert desk.take(taken(10), taken(19)) == {"told": 1, "grouped": 0, "repeats": 1}
    message = desk.claim()
    assert (desk.ids(message), message.repeats) == (["e10"], 2)
    assert "2 more of what was told before" in message.body


def test_a_limit_holds_back_and_what_waits_gathers(store_settings: Settings) -> None:
    desk = Desk(store_settings, limit=Limit(most=2, per_ms=60_000), group=Grouping(by=()))
    for number in range(5):
        desk.take(taken(number), now_ms=number)
        if number < 2:
            assert desk.ids(desk.claim(number)) == [f"e{number}"]
        else:
            assert desk.claims.claim(number) == 60_000
    assert desk.ids(desk.claim(60_000)) == ["e2", "e3", "e4"]


def test_quiet_hours_hold_back_what_is_not_grave(store_settings: Settings) -> None:
    """What waits gathers; a graver one that joins it takes all of it along."""
    quiet = QuietHours(begin=time(22), end=time(6), unless=RiskLevel.CRITICAL)
    desk = Desk(store_settings, quiet=quiet)
    midnight, six = 86_400_000, 86_400_000 + 6 * 3_600_000
    desk.take(taken(0), now_ms=midnight)
    assert not isinstance(desk.claims.claim(midnight), Message)
    assert desk.claims.due_at() == six
    desk.take(taken(1), now_ms=midnight + 1)
    assert not isinstance(desk.claims.claim(midnight + 1), Message)
    desk.take(taken(2, risk_level="CRITICAL"), now_ms=midnight + 2)
    message = desk.claim(midnight + 2)
    assert desk.ids(message) == ["e0", "e1", "e2"]
    desk.claims.sent(message, midnight + 2)
    desk.take(taken(3), now_ms=midnight + 3)
    assert not isinstance(desk.claims.claim(midnight + 3), Message)
    assert desk.ids(desk.claim(six)) == ["e3"]


def test_attempts_are_further_and_further_apart_until_it_has_failed_and_is_sent_again(store_settings: Settings) -> None:
    desk = Desk(store_settings, retry=Retry(attempts=3, first_ms=1_000, longest_ms=60_000))
    desk.take(taken(0))
    now_ms, waits = 0, []
    while True:
        message = desk.claim(now_ms)
        due_at = desk.claims.not_sent(message, Undelivered("It is shut."), now_ms)
        if due_at is None:
            break
        waits.append(due_at - now_ms)
        now_ms = due_at
    assert waits == [1_000, 2_000]
    (failure,) = failures(desk.store)
    assert (failure.notification_id, failure.attempts, failure.last_error) == (message.id, 3, "It is shut.")
    assert failure.title == "HIGH small: HIGH"
    assert failures(desk.store, channel="another") == []
    assert not isinstance(desk.claims.claim(10**9), Message)
    assert resend(desk.store, [message.id, "unknown"], 10**9) == [message.id]
    assert desk.claim(10**9) == message
    desk.claims.sent(message, 10**9)
    assert failures(desk.store, waiting=True) == []


def test_what_cannot_help_is_not_tried_again_and_what_is_asked_for_is_heeded(desk: Desk) -> None:
    desk.take(taken(0))
    message = desk.claim()
    assert desk.claims.not_sent(message, Undelivered("Busy.", wait_ms=77_000), 0) == 77_000
    message = desk.claim(77_000)
    assert desk.claims.not_sent(message, Undelivered("Gone.", for_good=True), 77_000) is None
    assert [each.last_error for each in failures(desk.store)] == ["Gone."]


def test_no_alert_is_lost_or_told_twice_between_taking_and_claiming(desk: Desk) -> None:
    """Alerts are put into notifications while these are claimed, as fast as both can."""
    told: list[str] = []
    taking = threading.Event()

    def claim() -> None:
        while not taking.is_set() or desk.claims.due_at() is not None:
            message = desk.claims.claim(0)
            if isinstance(message, Message):
                told.extend(desk.ids(message))
                desk.claims.sent(message, 0)

    couriers = [threading.Thread(target=claim) for _ in range(2)]
    for courier in couriers:
        courier.start()
    for first in range(0, 600, 5):
        desk.take(*(taken(number) for number in range(first, first + 5)))
    taking.set()
    for courier in couriers:
        courier.join(30)
    assert sorted(told) == sorted(f"e{number}" for number in range(600))
