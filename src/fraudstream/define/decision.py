"""How features become a decision: lists, rules, the model, and the policy that joins them."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from fraudstream.define.aims import Budget, Costs, LetThrough
from fraudstream.define.fallback import DEFAULT_LADDER, Fallback


class Outcome(StrEnum):
    """What is to be done with a transaction, from mildest to strictest."""

    APPROVE = "approve"
    REVIEW = "review"
    BLOCK = "block"


class RiskLevel(StrEnum):
    """The band a score falls into."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"


class Action(StrEnum):
    """What a rule asks for where it hits."""

    ALLOW = "allow"
    SCORE = "score"
    """Raise the score to at least the rule's; the policy's thresholds decide."""
    REVIEW = "review"
    BLOCK = "block"


class Stage(StrEnum):
    """Who speaks in a policy's precedence."""

    ALLOW = "allow"
    MODEL = "model"
    """The score of the model and of scoring rules, against the thresholds."""
    REVIEW = "review"
    BLOCK = "block"


class ValueList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A list of values, such as blocked users.

    Attributes:
        name: The name features refer to.
        values: The values, as text (numbers too).
        file: A text file with one value a line, beside the pipeline's file; `#` starts a comment.
    """

    name: str
    values: tuple[str, ...] = ()
    file: str | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A predicate and what to do where it holds.

    Attributes:
        code: The reason code, upper case: `MULE_FAN_IN`.
        when: A SQL predicate over fields and features. Where it is null, the rule does not hit.
        action: What it asks for.
        score: The score a hit gives, 0 to 1; unless said, the policy's threshold for its action.
        reason: One sentence an analyst reads.
        letter: One sentence that may stand in a letter to the customer.
    """

    code: str
    when: str
    action: Action
    score: float | None = None
    reason: str = ""
    letter: str = ""


class Reason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What inputs of the model mean together: their contributions are added up under one code.

    Attributes:
        code: The reason code, upper case: `UNUSUAL_AMOUNT`.
        features: Inputs of the model.
        sentence: What an analyst reads where one of them is the reason; `{name}` stands for the value of a field or
            feature. Of a boolean, it says what holds where it is true. Unless given, it follows from the feature.
        letter: What may stand in a letter to the customer. Unless given, it follows from the feature.
    """

    code: str
    features: tuple[str, ...]
    sentence: str = ""
    letter: str = ""


ParameterValue = bool | int | float | str | None | tuple[int | float | str | None, ...]
"""What a trainer's parameter may be set to."""


class ModelRef(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The model a pipeline scores with.

    Attributes:
        name: Under which name its artefacts are kept; the pipeline's unless said.
        features: Its inputs in order: numeric or boolean fields and features.
        missing: The number that stands for null, in training and in serving.
        trainer: How `fraudstream train` makes it.
        parameters: The trainer's parameters that are not at their defaults, by name; `plan/trainers.py` lists them.
    """

    features: tuple[str, ...]
    name: str | None = None
    missing: float = -1.0
    trainer: str = "lightgbm"
    parameters: dict[str, ParameterValue] = {}


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How scores and rule hits become one outcome.

    Attributes:
        medium: From this score on the risk level is MEDIUM, below it LOW.
        high: From this score on HIGH.
        critical: From this score on CRITICAL.
        review_at: The score from which the outcome is at least `review`; unless said, `high`.
        block_at: The score from which it is `block`; unless said, `critical`.
        precedence: Who speaks, weakest first. `allow` resets to approve what spoke before it; the others raise.
        fallback: Who decides while the model does not: the first step that can.
        budget: What `review_at` is to keep. It is an aim: the thresholds above are what decides.
        costs: What the thresholds are to make least.
        let_through: The sample of what would be blocked that is approved.
    """

    medium: float = 0.3
    high: float = 0.6
    critical: float = 0.85
    review_at: float | None = None
    block_at: float | None = None
    precedence: tuple[Stage, ...] = (Stage.ALLOW, Stage.MODEL, Stage.REVIEW, Stage.BLOCK)
    fallback: tuple[Fallback, ...] = DEFAULT_LADDER
    budget: Budget | None = None
    costs: Costs | None = None
    let_through: LetThrough | None = None

    @property
    def review_threshold(self) -> float:
        """The score from which an event is at least reviewed: the decision record's `threshold`."""
        return self.high if self.review_at is None else self.review_at

    @property
    def block_threshold(self) -> float:
        """The score from which an event is blocked."""
        return self.critical if self.block_at is None else self.block_at
