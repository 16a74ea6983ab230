"""Checks of the Kafka cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from fraudstream.doctor.finding import ASK_S, Finding, Level, Subject, ok, warning
from fraudstream.errors import TopicError
from fraudstream.kafka.transactions import TransactionalProducer
from fraudstream.tokens.source import is_here

LOGS = {
    "__transaction_state": "transaction.state.log.replication.factor",
    "__consumer_offsets": "offsets.topic.replication.factor",
}
"""Kafka's own topics of transactions and offsets, and the brokers' settings that say how many copies they get."""
_ENOUGH_COPIES = 3


def cluster(subject: Subject) -> Iterator[Finding]:
    """Brokers answer, and keep what exactly-once rests on in more than one place."""
    began = time.monotonic()
    found = subject.inspector.cluster()
    took_ms = (time.monotonic() - began) * 1_000
    brokers = len(found.brokers)
    text = (
        f"{brokers} broker{'s' if brokers != 1 else ''} of {found.id} at {', '.join(found.brokers)}, {took_ms:.0f} ms"
    )
    if subject.settings.security_protocol in ("PLAINTEXT", "SASL_PLAINTEXT") and not is_here(",".join(found.brokers)):
        yield warning(
            f"{text}: transactions travel unencrypted ({subject.settings.security_protocol}).",
            "Set security_protocol to SSL or SASL_SSL, and tls_ca_file.",
        )
    else:
        yield ok(f"{text}.")
    there = subject.admin.topics(internal=True)
    copies = {name: there[name].replicas for name in LOGS if name in there}
    try:
        kept = subject.inspector.broker_settings()
    except TopicError:
        kept = {}  # this user may not see it, and need not
    # Before the first scorer runs there is no such topic yet, only what it will be made with.
    copies |= {name: int(kept[key]) for name, key in LOGS.items() if name not in copies and key in kept}
    yield from thin(brokers, copies)


def thin(brokers: int, copies: Mapping[str, int]) -> Iterator[Finding]:
    """Which of Kafka's own topics, by their copies, would be lost with fewer brokers than need be."""
    enough = min(brokers, _ENOUGH_COPIES)
    for name, found in copies.items():
        if found < enough:
            yield warning(
                f"{name}, on which exactly-once rests, has {found} of {enough} copies it should have.",
                f"Set {LOGS[name]}={enough} before a first scorer runs; later, give the topic more copies with Kafka's "
                "`kafka-reassign-partitions.sh`.",
            )


def transactions(subject: Subject) -> Iterator[Finding]:
    """A transactional id with the scorers' prefix can be had; none of theirs is touched."""
    transactional_id = f"{subject.group or 'fraudstream'}-doctor"
    producer = TransactionalProducer(subject.settings, transactional_id)
    try:
        producer.open(timeout_s=ASK_S)
    except TopicError:
        if subject.plan is not None:
            raise
        yield Finding(Level.SKIPPED, f"Not looked at: this user may not be {transactional_id}. Name a pipeline.")
        return
    finally:
        producer.close()
    yield ok(f"Transactions can be made as {transactional_id}.")
