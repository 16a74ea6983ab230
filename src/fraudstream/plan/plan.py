"""The plan: a pipeline that has been checked, typed, ordered and hashed. Engines read plans only."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from fraudstream.define.decision import Rule, ValueList
from fraudstream.define.fallback import By
from fraudstream.define.feature import Feature, FeatureKind
from fraudstream.define.pipeline import Pipeline
from fraudstream.plan.expression import Node
from fraudstream.schema.columns import ColumnSpec
from fraudstream.schema.types import ValueType


class StoredKind(StrEnum):
    """What a keyed log keeps for each event besides its time."""

    TALLY = "tally"
    """The running number of events where the filter holds and the field is not null."""
    SUM = "sum"
    """The running sum of the field."""
    SQUARES = "squares"
    """The running sum of the field's squares, 128 bits wide."""
    VALUE = "value"
    """The field's value."""
    PREVIOUS = "previous"
    """When the same value last came before this event."""
    FRAUD_TALLY = "fraud tally"
    """The same number as TALLY, of events known to be fraud only."""
    FRAUD_SUM = "fraud sum"
    """The same sum as SUM, over events known to be fraud only."""
    CHAIN = "chain"
    """The latest start of a chain of events that completed these steps in order so far."""


LABEL_KINDS = frozenset(
    {
        *(FeatureKind.LABEL_COUNT, FeatureKind.LABEL_RATE, FeatureKind.SINCE_FRAUD, FeatureKind.SINCE_GENUINE),
        *(FeatureKind.FRAUD_RUN, FeatureKind.SINCE_FRAUD_RUN),
    }
)
"""Kinds that are about known fraud, looking back from a delay."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One thing kept for each event of a log; features that need the same thing share it.

    Attributes:
        kind: What is kept.
        of: The field, where it is about one.
        where: The filter, or None.
        steps: CHAIN: the steps completed so far.
    """

    kind: StoredKind
    of: str | None = None
    where: Node | None = None
    steps: tuple[Node, ...] = ()


class PlannedFeature(msgspec.Struct, frozen=True, kw_only=True):
    """A feature with its type, its durations in milliseconds and its expressions parsed.

    Attributes:
        definition: What was declared.
        type: The type of its value.
        over_ms: The window's length.
        delay_ms: How old an event must be for its label to count.
        mean_over_ms: The window of the mean that values are compared with; 0 where none are.
        where: The filter on events.
        steps: The steps of a sequence.
        expression: The expression of an `expression` feature.
        stored: What its log must keep for it.
    """

    definition: Feature
    type: ValueType
    over_ms: int = 0
    delay_ms: int = 0
    mean_over_ms: int = 0
    where: Node | None = None
    steps: tuple[Node, ...] = ()
    expression: Node | None = None
    stored: tuple[Stored, ...] = ()

    @property
    def name(self) -> str:
        """The feature's name."""
        return self.definition.name

    @property
    def kind(self) -> FeatureKind:
        """What it computes."""
        return self.definition.kind

    @property
    def reads_labels(self) -> bool:
        """Whether its value depends on labels."""
        return self.kind in LABEL_KINDS or self.definition.clean

    @property
    def look_back_ms(self) -> int:
        """How far back it reads."""
        return max(self.over_ms + self.delay_ms, self.mean_over_ms)


class KeyedLog(msgspec.Struct, frozen=True, kw_only=True):
    """The history of one key: for each value of `by`, its events of the last `retention_ms`.

    Attributes:
        by: The key's fields.
        retention_ms: The longest look-back of its features. An event at least this much older than the newest of its
            key is late: scored, not stored.
        stored: What is kept for each event besides its time.
        features: The features read from it.
        label_retention_ms: The longest look-back of its features that read labels; 0 where it has none.
        max_keys: How many keys it may hold; None: any number.
    """

    by: tuple[str, ...]
    retention_ms: int
    stored: tuple[Stored, ...]
    features: tuple[PlannedFeature, ...]
    label_retention_ms: int = 0
    max_keys: int | None = None

    @property
    def name(self) -> str:
        """The key's name for people: its fields joined by `+`."""
        return "+".join(self.by)


class PlannedRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule with its predicate parsed and the score of a hit settled."""

    definition: Rule
    when: Node
    score: float


class PlannedFallback(msgspec.Struct, frozen=True, kw_only=True):
    """A step of the fallback ladder, with amounts in minor units; None where it has no such limit."""

    by: By
    review_from_minor: int | None
    block_from_minor: int | None
    at_most_minor: int | None
    per_ms: int


class Style(StrEnum):
    """How a person reads a value in a sentence."""

    WHOLE = "whole"
    """Digits: 12."""
    AMOUNT = "amount"
    """With as many decimals as its type has: 12.50."""
    NUMBER = "number"
    """To three significant digits: 0.123, 7.3, 1240."""
    SHARE = "share"
    """In per cent: 12.5 %."""
    DURATION = "duration"
    """Milliseconds in the unit that fits: 3 min, 2.5 h, 12 days."""


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A place in a sentence for a value: of which field or feature, how it is shown, AMOUNT with how many decimals."""

    name: str
    style: Style
    scale: int = 0


class Sentence(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence with places for values: texts[0], slots[0], texts[1], … texts[-1]."""

    texts: tuple[str, ...]
    slots: tuple[Slot, ...] = ()

    def __str__(self) -> str:
        shown = [f"{text}{{{slot.name}}}" for text, slot in zip(self.texts, self.slots, strict=False)]
        return "".join(shown) + self.texts[-1]


class ReasonInput(msgspec.Struct, frozen=True, kw_only=True):
    """How an input of the model is spoken of where it is the reason.

    Attributes:
        name: The field or feature.
        holds: What is said of its value; of a boolean, where it is true.
        otherwise: Of a boolean: what is said where it is false.
        own: What is said where a value that `holds` mentions is null and its own is not.
        unknown: What is said where its value is null.
        letter: What may stand in a letter to the customer.
    """

    name: str
    holds: Sentence
    otherwise: Sentence
    own: Sentence
    unknown: Sentence
    letter: str


class PlannedReason(msgspec.Struct, frozen=True, kw_only=True):
    """A reason code of the model: the inputs whose contributions are added up under it."""

    code: str
    inputs: tuple[ReasonInput, ...]


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision was made with: hashes of content, so equal versions are equal definitions."""

    pipeline: str
    rules: str
    lists: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A checked pipeline.

    Attributes:
        pipeline: What was declared.
        columns: What the decoder makes of an event.
        types: The type of every field and feature, by name.
        features: All features in an order in which each comes after those it uses.
        logs: The keyed histories, in order of first use.
        rules: The rules in their declared order.
        fallback: Who decides while the model does not; empty without a model.
        reasons: The reason codes of the model, in the order of its inputs; every input belongs to one.
        lists: The lists with their values.
        kept_lists: The same as they may be written anywhere: with tokens for values of sensitive fields.
        dedup_ms: The horizon of deduplication; 0 where events have no id.
        max_future_ms: How far event time may run ahead of the Kafka timestamp.
        label_retention_ms: How long the id of an event is kept for its label; 0 without label features.
        state_identity: The hash of everything that decides what is stored.
        versions: The hashes decisions carry.
    """

    pipeline: Pipeline
    columns: tuple[ColumnSpec, ...]
    types: dict[str, ValueType]
    features: tuple[PlannedFeature, ...]
    logs: tuple[KeyedLog, ...]
    rules: tuple[PlannedRule, ...]
    fallback: tuple[PlannedFallback, ...] = ()
    reasons: tuple[PlannedReason, ...]
    lists: tuple[ValueList, ...]
    kept_lists: tuple[ValueList, ...]
    dedup_ms: int
    max_future_ms: int
    label_retention_ms: int
    state_identity: str
    versions: Versions

    def feature(self, name: str) -> PlannedFeature:
        """The feature of that name."""
        return next(feature for feature in self.features if feature.name == name)
