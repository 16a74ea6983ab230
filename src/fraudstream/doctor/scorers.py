"""Checks of what scorers leave on Kafka: their group, what it has not read, and transactions that nobody ends."""

from __future__ import annotations

import time
from collections.abc import Iterator

from fraudstream.doctor.finding import Finding, Subject, error, ok, warning
from fraudstream.kafka.tail import Place
from fraudstream.runner.inputs import features_beyond_key, input_topics

_HANGING_MS = 60_000
"""A scorer's transactions last seconds, and the broker ends those of a dead one after ten."""


def group(subject: Subject) -> Iterator[Finding]:
    """Somebody reads the input, nothing of it was deleted unread, and no two scorers share what one has to own."""
    assert subject.plan is not None and subject.group is not None
    plan, name = subject.plan, subject.group
    topics = input_topics(plan)
    found = subject.inspector.group(name)
    committed = {place: at.offset for place, at in subject.admin.committed_offsets(name, topics).items()}
    ends, begins = subject.admin.end_offsets(topics), subject.admin.beginning_offsets(topics)
    lost = sum(max(0, begins[place] - offset) for place, offset in committed.items() if place in begins)
    if lost:
        yield error(
            f"{lost:,} records of {', '.join(topics)} were deleted before {name} read them.",
            "Lengthen retention.ms of these topics, and run enough scorers; what is gone has no decision.",
        )
    if len(found.members) > 1 and (beyond := features_beyond_key(plan)):
        yield error(
            f"{len(found.members)} scorers share the group {name} ({'; '.join(found.members)}), and this looks across "
            f"partitions: {', '.join(beyond)}.",
            "Run one.",
        )
    lag = sum(end - max(committed.get(place, 0), begins[place]) for place, end in ends.items())
    if not found.members and lag:
        yield warning(
            f"About {lag:,} records wait in {', '.join(topics)}, and no scorer is in the group {name}.",
            f"Start one with `fraudstream run {plan.pipeline.name}`.",
        )
    else:
        members = f"{len(found.members)} scorer{'s' if len(found.members) != 1 else ''}"
        yield ok(f"{members} in the group {name} ({found.state}); {lag:,} records to read.")


def hanging(subject: Subject) -> Iterator[Finding]:
    """No transaction is open on the pipeline's topics for longer than a scorer keeps one."""
    assert subject.plan is not None
    there = subject.admin.topics()
    topics = [name for name, _ in subject.plan.pipeline.topics_to_create() if name in there]
    ends, stable = subject.admin.end_offsets(topics), subject.inspector.stable_ends(topics)
    found = [finding for place, at in stable.items() if at < ends[place] for finding in _open(subject, place, at)]
    yield from found
    if not found:
        yield ok("No transaction hangs on the pipeline's topics.")


def _open(subject: Subject, place: Place, offset: int) -> Iterator[Finding]:
    written_at_ms = subject.inspector.written_at_ms(place, offset)
    age_ms = 0 if written_at_ms is None else time.time_ns() // 1_000_000 - written_at_ms
    if age_ms > _HANGING_MS:
        topic, partition = place
        yield error(
            f"A transaction on {topic}, partition {partition}, is open since offset {offset}, written "
            f"{age_ms // 1_000:,} s ago: nobody sees what comes behind it.",
            "Find whose it is with Kafka's `kafka-transactions.sh find-hanging`, and end it with `… abort`; see "
            "docs/delivery.md first where it is a scorer's.",
        )
