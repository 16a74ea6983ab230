"""What a sink to somebody else's system has to be: one technology a file, found by its entry point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple, Protocol, Self

from fraudstream.define.part import Part
from fraudstream.engine.alerts import Document
from fraudstream.errors import FraudstreamError
from fraudstream.outbound import Address, parse_address

DEFAULT_TIMEOUT_MS = 30_000


class SinkUnavailable(FraudstreamError):
    """The system did not take a batch, or it is not known whether it did. The text names no secret."""

    exit_code = 3


class Refused(NamedTuple):
    """An alert that the system will not take, however often it is asked.

    Attributes:
        alert: The alert.
        reason: What the system said.
    """

    alert: Document
    reason: str


class Sink(Protocol):
    """A way into another system; one class in a file of its own, found by the entry points `fraudstream.sinks` under
    the name that `kind:` gives.

    It passes `fraudstream.testing.sinks`.
    """

    keys: ClassVar[tuple[str, ...]]
    """The keys of its own in `sinks.yaml`."""

    most_alerts: int
    """How many alerts it takes at once."""

    @classmethod
    def declared(cls, part: Part) -> Self | None:
        """One from its part of `sinks.yaml`; None after it has reported what is wrong."""
        ...

    def deliver(self, alerts: Sequence[Document]) -> list[Refused]:
        """Delivers all of them, but those it returns.

        Raises:
            SinkUnavailable: It is not certain of one of them. All will be delivered again.
        """
        ...


def headline(alert: Document) -> str:
    """An alert in a few words: risk level, pipeline and reasons."""
    reasons = ", ".join(alert["reasons"])
    return f"{alert['risk_level']} {alert['pipeline']}" + (f": {reasons}" if reasons else "")


def halved(alerts: Sequence[Document], deliver: Callable[[Sequence[Document]], list[Refused]]) -> list[Refused]:
    """Delivers in two parts what is too much at once; one alert that is too much by itself is refused."""
    if len(alerts) == 1:
        return [Refused(alerts[0], "it is too large")]
    middle = len(alerts) // 2
    return [*deliver(alerts[:middle]), *deliver(alerts[middle:])]


def declared_address(part: Part) -> Address | None:
    """Where to, from the entry `url`."""
    text = part.text("url")
    if text is None:
        part.missing("url", "Write `url: https://HOST:PORT`.")
        return None
    try:
        return parse_address(text)
    except ValueError as wrong:
        part.problem(
            "url", f"cannot be used: {wrong}.", "Write `url: https://HOST:PORT`; secrets have keys of their own."
        )
        return None
