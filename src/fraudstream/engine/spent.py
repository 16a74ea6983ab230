"""The money let through in the current period: all that the let-through sample remembers."""

from __future__ import annotations

from dataclasses import dataclass

NO_PERIOD = -(2**63)


@dataclass
class Spent:
    """What was let through so far.

    It follows from the decisions, and so from the model's scores, which no state does. Recovery therefore takes it from
    what was committed with the decisions, not from the input.

    Attributes:
        period: The period of the last event let through: its event time divided by the period's length.
        minor: The money let through in it, in minor units.
    """

    period: int = NO_PERIOD
    minor: int = 0

    def left(self, period: int, at_most_minor: int) -> int:
        """How much may still be let through in a period; nothing in one that is over, so that no bound is exceeded."""
        if period == self.period:
            return at_most_minor - self.minor
        return at_most_minor if period > self.period else -1

    def add(self, period: int, minor: int) -> None:
        """Takes note of an event that was let through; periods must not go back."""
        self.minor = minor + (self.minor if period == self.period else 0)
        self.period = period
