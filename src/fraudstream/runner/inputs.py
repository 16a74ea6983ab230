"""What a plan reads, and whether one process has to read all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fraudstream.errors import UsageError
from fraudstream.kafka.consumer import InputConsumer
from fraudstream.kafka.partition import TopicPartition
from fraudstream.plan.plan import Plan


class ConsumerFactory(Protocol):
    """Builds the input's consumer around the loop's handlers."""

    def __call__(  # noqa: D102 - the class says it
        self,
        *,
        on_assigned: Callable[[list[TopicPartition]], None],
        on_revoked: Callable[[list[TopicPartition], bool], None],
    ) -> InputConsumer: ...


def not_alone(plan: Plan) -> UsageError:
    """The refusal of a second scorer where one process has to own all partitions."""
    return UsageError(
        f"Another scorer of {plan.pipeline.name} shares the input topic, and this looks across partitions: "
        f"{', '.join(features_beyond_key(plan))}.",
        "Run one scorer (it owns all partitions), or run the pipeline on Flink.",
    )


def features_beyond_key(plan: Plan) -> list[str]:
    """What rests on all partitions: features whose key does not hold the topic's key, and a let-through sample."""
    key = plan.pipeline.event.key
    features = [
        feature.name
        for log in plan.logs
        for feature in log.features
        # Labels name events by id: they come on any partition of their topic, whatever the events' key.
        if key is None or key not in log.by or feature.reads_labels
    ]
    # The bound in money is one for all partitions.
    return features if plan.pipeline.policy.let_through is None else [*features, "policy.let_through"]


def input_topics(plan: Plan) -> list[str]:
    """The topics a plan reads."""
    labels = plan.pipeline.labels
    return [plan.pipeline.input.name, *([labels.name] if labels is not None and plan.label_retention_ms else [])]
