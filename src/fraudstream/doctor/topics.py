"""Checks of a pipeline's topics: whether they are there, how they are kept, and what this user may do with them."""

from __future__ import annotations

from collections.abc import Iterator

from fraudstream.doctor.finding import Finding, Level, Subject, error, ok, warning
from fraudstream.errors import TopicError
from fraudstream.kafka.admin import RETENTION
from fraudstream.plan.plan import Plan
from fraudstream.runner.inputs import input_topics
from fraudstream.units import format_duration, parse_duration

_ROOM_BYTES = 16_384
"""What a decision adds to its event in an output record, about, and more than any of the shipped pipelines' does."""
_ONE_COPY = 1


def existence(subject: Subject) -> Iterator[Finding]:
    """Every topic is there, with the partitions that the pipeline declares."""
    plan = _plan(subject)
    there = subject.admin.topics()
    wanted = plan.pipeline.topics_to_create()
    missing = [name for name, _ in wanted if name not in there]
    if missing:
        user = subject.settings.sasl_username
        yield error(
            f"These topics of {plan.pipeline.name} do not exist{f', or {user} may not see them' if user else ''}: "
            f"{', '.join(missing)}.",
            f"Run `fraudstream topics create {plan.pipeline.name}`.",
        )
    for name, partitions in wanted:
        if name in there and there[name].partitions != partitions:
            yield warning(
                f"{name} has {there[name].partitions} partitions, and the pipeline declares {partitions}.",
                "A key's partition depends on the number, so change the declaration, not a topic that holds records.",
            )
    if not missing:
        yield ok(f"The {len(wanted)} topics of {plan.pipeline.name} exist.")


def keeping(subject: Subject) -> Iterator[Finding]:
    """Topics are cleaned up as they have to be, kept as long as features look back, copied, and take large records."""
    plan = _plan(subject)
    there = subject.admin.topics()
    names = [name for name, _ in plan.pipeline.topics_to_create() if name in there]
    try:
        settings = subject.inspector.topic_settings(names)
    except TopicError:
        yield Finding(Level.SKIPPED, "Not looked at: this user may not see how topics are kept (DESCRIBE_CONFIGS).")
        return
    brokers = len(subject.inspector.cluster().brokers)
    found = [
        finding
        for name in names
        for finding in (
            *_cleaned(plan, name, settings[name]),
            *_kept(plan, name, settings[name]),
            *copied(name, there[name].replicas, settings[name], brokers),
            *_large(plan, name, settings[name]),
        )
    ]
    yield from found
    if not found:
        yield ok("Clean-up, retention, copies and sizes of records are as they have to be.")


def _cleaned(plan: Plan, name: str, settings: dict[str, str]) -> Iterator[Finding]:
    policy = settings.get("cleanup.policy", "delete")
    compacted = "compact" in policy
    if name in plan.pipeline.compacted_topics() and not compacted:
        yield error(
            f"{name} is not compacted (cleanup.policy is {policy}): what is switched off would be forgotten.",
            f"Set cleanup.policy=compact on {name} with Kafka's `kafka-configs.sh --alter`.",
        )
    elif compacted and name not in plan.pipeline.compacted_topics():
        yield error(
            f"{name} is compacted (cleanup.policy is {policy}): of each key all but the newest record will be deleted.",
            f"Set cleanup.policy=delete on {name} with Kafka's `kafka-configs.sh --alter`.",
        )


def _kept(plan: Plan, name: str, settings: dict[str, str]) -> Iterator[Finding]:
    """As long as declared, and inputs as long as features look back: state is rebuilt from them without a snapshot."""
    longest_ms = max((log.retention_ms for log in plan.logs), default=0)
    kept_ms = int(settings.get(RETENTION, -1))
    declared = dict(plan.pipeline.retention.topics).get(name)
    if declared is not None and kept_ms != parse_duration(declared):
        shown = "for ever" if kept_ms < 0 else f"for {format_duration(kept_ms)}"
        yield warning(
            f"{name} keeps records {shown}, and the pipeline's `retention` says {declared}.",
            f"Run `fraudstream topics retain {plan.pipeline.name}`.",
        )
    if name in input_topics(plan) and 0 <= kept_ms < longest_ms:
        yield warning(
            f"{name} keeps records for {format_duration(kept_ms)}, and features look back "
            f"{format_duration(longest_ms)}: without a snapshot, state could not be rebuilt.",
            f"Set retention.ms={longest_ms} or more on {name} with Kafka's `kafka-configs.sh --alter`; keep snapshots.",
        )


def copied(name: str, replicas: int, settings: dict[str, str], brokers: int) -> Iterator[Finding]:
    """Whether a topic is lost with one broker, or takes no records at all."""
    in_sync = int(settings.get("min.insync.replicas", 1))
    if in_sync > replicas:
        yield error(
            f"{name} has {replicas} copies and takes records only where {in_sync} are in sync: it takes none.",
            f"Set min.insync.replicas of {name} below its number of copies.",
        )
    elif replicas == _ONE_COPY and brokers > 1:
        yield warning(
            f"{name} has one copy on {brokers} brokers: it is lost with its broker.",
            "Give it three with Kafka's `kafka-reassign-partitions.sh`; `fraudstream topics create` takes --replicas.",
        )
    elif replicas > 2 and in_sync < 2:
        yield warning(
            f"{name} takes records that one broker alone has (min.insync.replicas is {in_sync}).",
            f"Set min.insync.replicas=2 on {name} with Kafka's `kafka-configs.sh --alter`.",
        )


def _large(plan: Plan, name: str, settings: dict[str, str]) -> Iterator[Finding]:
    written = {route.topic for route in plan.pipeline.routes}
    largest, allowed = plan.pipeline.event.max_bytes + _ROOM_BYTES, int(settings.get("max.message.bytes", 2**31))
    if name in written and largest > allowed:
        yield warning(
            f"{name} takes records of {allowed:,} bytes; a decision on the largest event may have {largest:,}.",
            f"Set max.message.bytes={largest} on {name}, or a smaller `event.max_bytes`: a scorer would stop there.",
        )


def rights(subject: Subject) -> Iterator[Finding]:
    """This user may read the inputs and write the outputs."""
    plan = _plan(subject)
    pipeline = plan.pipeline
    needed = dict.fromkeys(input_topics(plan), "read") | {pipeline.control.name: "read"}
    needed |= dict.fromkeys((*(route.topic for route in pipeline.routes), pipeline.dead_letters.name), "write")
    there = subject.admin.topics()
    allowed = subject.inspector.allowed([name for name in needed if name in there])
    refused = [
        f"{right.upper()} on {name}" for name, right in needed.items() if right not in allowed.get(name, {right})
    ]
    if refused:
        yield error(
            f"The user {subject.settings.sasl_username!r} lacks {', '.join(refused)}.",
            "Ask for these rights; docs/settings.md lists all that a scorer needs.",
        )
    else:
        yield ok("This user may read the inputs and write the outputs.")


def _plan(subject: Subject) -> Plan:
    assert subject.plan is not None, "only asked of a pipeline"
    return subject.plan
