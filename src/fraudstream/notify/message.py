"""What a channel delivers, and how it says that it could not."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Protocol, Self

from fraudstream.define.decision import RiskLevel
from fraudstream.define.part import Part
from fraudstream.errors import FraudstreamError


class Message(NamedTuple):
    """One notification as it leaves; every attempt at it is the same.

    Attributes:
        id: Its idempotency key: a receiver that has seen it may drop it.
        channel: The channel's name.
        title: One line.
        body: Lines for people.
        risk_level: The gravest among its alerts.
        repeats: How many alerts like these were left out since the last notification.
        alerts: The alerts' documents, for machines.
    """

    id: str
    channel: str
    title: str
    body: str
    risk_level: RiskLevel
    repeats: int
    alerts: tuple[dict[str, Any], ...]


class Undelivered(FraudstreamError):
    """An attempt failed, or it is not known whether it did. The text names no secret.

    Args:
        found: What happened.
        for_good: Trying the same again cannot help, as where the address is refused.
        wait_ms: How long the receiver asks to be left alone.
    """

    def __init__(self, found: str, advice: str = "", *, for_good: bool = False, wait_ms: int | None = None) -> None:
        super().__init__(found, advice)
        self.for_good = for_good
        self.wait_ms = wait_ms


class Sender(Protocol):
    """What a kind of channel has to be; one class in a file of its own, found by the entry points
    `fraudstream.channels` under the name that `kind:` gives.

    It passes `fraudstream.testing.channels`.
    """

    keys: ClassVar[tuple[str, ...]]
    """The keys of its own in `notify.yaml`."""

    @classmethod
    def declared(cls, part: Part) -> Self | None:
        """One from its part of `notify.yaml`; None after it has reported what is wrong."""
        ...

    def send(self, message: Message, timeout_s: float) -> None:
        """Delivers, or raises; takes hardly longer than `timeout_s`. May be called from any one thread at a time.

        Raises:
            Undelivered: It is not certain that the message arrived.
        """
        ...
