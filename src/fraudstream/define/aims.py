"""What a policy's thresholds are chosen for, and what of the blocked traffic is let through to learn from it."""

from __future__ import annotations

import msgspec


class Budget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How many reviews there is time for. `fraudstream budget` finds the threshold that keeps it.

    Attributes:
        reviews: How many, by the model and by rules together.
        per: In which time.
    """

    reviews: int
    per: str = "1d"


class Costs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What outcomes cost, in the amount's major unit. `fraudstream budget` finds the thresholds that cost least.

    Attributes:
        investigation: Of one review.
        missed: Of a fraud that is approved; None, in YAML `amount`: the event's amount.
        blocked: Of a genuine event that is blocked; None, in YAML `amount`: the event's amount.
    """

    investigation: float
    missed: float | None = None
    blocked: float | None = None


class LetThrough(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The sample of events that would be blocked and are approved, so that their truth becomes known.

    Attributes:
        share: The share of events that are let through, chosen by the hash of their ids.
        at_most: The money that may be let through, in the amount's major unit.
        per: In which time; periods begin with the epoch, so days are those of UTC.
    """

    share: float
    at_most: float
    per: str = "1d"
