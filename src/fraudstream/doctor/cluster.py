"""Checks of the Kafka cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator

from fraudstream.doctor.finding import ASK_S, Finding, Subject, ok, warning
from fraudstream.errors import TopicError
from fraudstream.kafka.transactions import TransactionalProducer
from fraudstream.tokens.source import is_here

TRANSACTION_LOG = "transaction.state.log.replication.factor"
OFFSETS_LOG = "offsets.topic.replication.factor"
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
    try:
        kept = subject.inspector.broker_settings()
    except TopicError:
        return  # this user may not see it, and need not
    for name in (TRANSACTION_LOG, OFFSETS_LOG):
        copies = int(kept.get(name, _ENOUGH_COPIES))
        if copies < min(brokers, _ENOUGH_COPIES):
            yield warning(
                f"The brokers make {copies} cop{'y' if copies == 1 else 'ies'} of what {name} is about.",
                f"Set it to {min(brokers, _ENOUGH_COPIES)} before the first scorer runs; for a topic that exists, "
                "reassign its partitions with Kafka's `kafka-reassign-partitions.sh`.",
            )


def transactions(subject: Subject) -> Iterator[Finding]:
    """A transactional id with the scorers' prefix can be had; none of theirs is touched."""
    transactional_id = f"{subject.group or 'fraudstream'}-doctor"
    producer = TransactionalProducer(subject.settings, transactional_id)
    try:
        producer.open(timeout_s=ASK_S)
    finally:
        producer.close()
    yield ok(f"Transactions can be made as {transactional_id}.")
