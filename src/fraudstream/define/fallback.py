"""What decides while the model does not: a ladder of steps, each with a cap on the money it may approve."""

from __future__ import annotations

from enum import StrEnum

import msgspec

MODEL_SCORE = "MODEL_SCORE"
"""The reason code of the model's score, and what the model is called where it is switched off."""
BY_AMOUNT = "FALLBACK_AMOUNT"
"""The reason code of an outcome that the amount alone gave while the model did not take part."""
OVER_LIMIT = "FALLBACK_LIMIT"
"""The reason code of a review because as much money was approved without the model as may be."""
RESERVED_CODES = (MODEL_SCORE, BY_AMOUNT, OVER_LIMIT)


class By(StrEnum):
    """Who decides on a step of the ladder. Rules that are not switched off speak on every step."""

    RULES = "rules"
    """The rules alone; the step is passed over where none is left."""
    AMOUNT = "amount"
    """The amount as well: from so much on review, from so much on block."""


class Fallback(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A step of the ladder.

    Attributes:
        by: Who decides.
        review_from: `amount`: from this amount on an event is at least reviewed, in major units.
        block_from: `amount`: from this amount on it is blocked.
        at_most: How much money may be approved in `per` of event time, in major units; what goes beyond it is reviewed.
            None: any amount.
        per: The period of `at_most`.
    """

    by: By
    review_from: float | None = None
    block_from: float | None = None
    at_most: float | None = None
    per: str = "1h"


DEFAULT_LADDER = (Fallback(by=By.RULES),)
