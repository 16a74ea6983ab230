"""A pipeline: everything a person declares, as one frozen value. Python and YAML make the same values."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from fraudstream.define.decision import ModelRef, Policy, Reason, Rule, ValueList
from fraudstream.define.feature import Feature
from fraudstream.define.monitoring import DEFAULT_LIMITS, Limits
from fraudstream.define.retention import KEEP_ALL, Retention
from fraudstream.schema.event import Event


class Selection(StrEnum):
    """Which decisions a route carries."""

    ALL = "all"
    APPROVED = "approved"
    FLAGGED = "flagged"
    """Outcome `review` or `block`, except duplicates: their first decision was flagged already."""


class Form(StrEnum):
    """How a decision is written."""

    ENVELOPE = "envelope"
    """`{"event": <original bytes>, "decision": {…}}`."""
    FLAT = "flat"
    """The event's own fields, then `fraud_score`, `is_fraud`, `risk_level`, `threshold`, `scored_at`, …"""
    ALERT = "alert"
    """What a person or a case system needs to act on."""


class Format(StrEnum):
    """How the records of a topic are written."""

    JSON = "json"
    AVRO = "avro"
    """Avro with its writer's schema in a schema registry: Confluent's wire format."""
    PROTOBUF = "protobuf"
    """Protocol Buffers with the schema in a schema registry: Confluent's wire format."""


class Topic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A topic.

    Attributes:
        name: Its name.
        partitions: How many partitions `fraudstream topics create` gives it.
        format: How its records are written.
    """

    name: str
    partitions: int = 6
    format: Format = Format.JSON


class Route(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One output topic: which decisions it gets and in which form; and how that is written."""

    topic: str
    carries: Selection = Selection.ALL
    form: Form = Form.ENVELOPE
    partitions: int = 6
    format: Format = Format.JSON


DEFAULT_ROUTES = (
    Route(topic="fraud-scores"),
    Route(topic="fraud-alerts", carries=Selection.FLAGGED, form=Form.ALERT, partitions=3),
)


DEFAULT_CONTROL = Topic(name="fraud-control", partitions=1)
DEFAULT_SHADOW = Topic(name="fraud-shadow", partitions=1)


class Pipeline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A pipeline.

    Attributes:
        name: Lower case with dashes; also the consumer group and the prefix of the transactional id.
        event: What it reads.
        input: The topic it reads from.
        labels: The topic of labels, or None. Needed by features of the label kinds.
        dead_letters: Where input goes that cannot become a decision.
        control: Where it is said what is switched off; a compacted topic that pipelines may share.
        shadow: Where the scores of challengers go, and those of events that the model did not score when they came.
        routes: Where decisions go.
        lists: Lists that features look values up in.
        features: The features.
        rules: The rules.
        model: The model, or None for rules alone.
        reasons: What the model's inputs mean to people; those not named have a reason that follows from the feature.
        policy: How scores and hits become an outcome.
        monitor: From where on what is seen of it is an alarm.
        retention: How long what is kept of it is kept.
        max_keys: How many keys each history may hold before the least recently seen are forgotten; None: any number.
        description: What it is for.
    """

    name: str
    event: Event
    input: Topic
    labels: Topic | None = None
    dead_letters: Topic = Topic(name="fraud-dead-letters", partitions=1)
    control: Topic = DEFAULT_CONTROL
    shadow: Topic = DEFAULT_SHADOW
    routes: tuple[Route, ...] = DEFAULT_ROUTES
    lists: tuple[ValueList, ...] = ()
    features: tuple[Feature, ...] = ()
    rules: tuple[Rule, ...] = ()
    model: ModelRef | None = None
    reasons: tuple[Reason, ...] = ()
    policy: Policy = Policy()
    monitor: Limits = DEFAULT_LIMITS
    retention: Retention = KEEP_ALL
    max_keys: int | None = None
    description: str = ""

    @property
    def json_routes(self) -> tuple[Route, ...]:
        """The routes that sinks, proofs and all else of ours read; those in another format are for others."""
        return tuple(route for route in self.routes if route.format is Format.JSON)

    def topics_to_create(self) -> list[tuple[str, int]]:
        """Every topic the pipeline reads or writes, with its number of partitions."""
        named = [self.input, self.labels, *self.routes, self.dead_letters, self.control]
        named.append(self.shadow if self.model is not None else None)
        partitions = {
            topic.topic if isinstance(topic, Route) else topic.name: topic.partitions
            for topic in named
            if topic is not None
        }
        return list(partitions.items())

    def compacted_topics(self) -> list[str]:
        """Those of them that keep the newest record of each key for ever, and need no other."""
        return [self.control.name]
