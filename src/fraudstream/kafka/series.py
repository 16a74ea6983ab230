"""What clients of Kafka tell of themselves and of the topics they read, as metrics."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from fraudstream.kafka.clientstats import ClientStatistics
from fraudstream.telemetry.series import Labels, Series, counter, gauge

Place = tuple[str, int]


def lag_series(lags: Mapping[Place, int]) -> Series:
    """How many records of each partition are still to be processed."""
    by_place: dict[Labels, float] = {(topic, str(partition)): lag for (topic, partition), lag in lags.items()}
    return gauge("consumer_lag_records", "Records not yet processed.", by_place, "topic", "partition")


def kafka_series(clients: Mapping[str, Sequence[ClientStatistics]]) -> Iterable[Series]:
    """What Kafka clients tell of themselves, by `consumer` and `producer`."""
    rtt: dict[str, float] = {}
    for one in clients.get("producer", ()):  # a consumer's round trips last as long as the broker waits for records
        for broker, seconds in one.rtt_s.items():
            rtt[broker] = max(seconds, rtt.get(broker, 0.0))
    if "producer" in clients:
        yield gauge("kafka_broker_rtt_seconds", "99th percentile of the producers' round trips.", rtt, "broker")
    received = {client: sum(one.received_bytes for one in each) for client, each in clients.items()}
    yield counter("kafka_received_bytes_total", "Bytes from the brokers.", received, "client")
    sent = {client: sum(one.sent_bytes for one in each) for client, each in clients.items()}
    yield counter("kafka_sent_bytes_total", "Bytes to the brokers.", sent, "client")
    waiting = {client: sum(one.waiting for one in each) for client, each in clients.items()}
    yield gauge("kafka_queued_messages", "Messages in the clients' queues.", waiting, "client")
    now_s = time.monotonic()
    unstable = {
        (topic, str(partition)): found
        for one in clients.get("consumer", ())
        for (topic, partition), found in one.unstable.items()
    }
    records: dict[Labels, float] = {place: found.records for place, found in unstable.items()}
    yield gauge("open_transaction_records", "Offsets behind an open transaction.", records, "topic", "partition")
    ages: dict[Labels, float] = {place: now_s - found.since_s for place, found in unstable.items()}
    yield gauge("open_transaction_age_seconds", "How long it is open, at least.", ages, "topic", "partition")
