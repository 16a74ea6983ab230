"""The ceiling: poll → produce_batch of the same bytes, no work. Under live traffic it is the transactional ping.

    python ceiling.py BOOTSTRAP INPUT OUTPUT GROUP transactions | plain

The same client library with the same properties as fraudstream's own, offsets committed batch by batch.
"""

from __future__ import annotations

import signal
import sys

from confluent_kafka import Consumer, Producer, TopicPartition

from fraudstream.kafka.consumer import _FETCHING
from fraudstream.kafka.transactions import _SENDING

AT_MOST = 8_192


def main() -> None:
    """Runs until SIGTERM."""
    bootstrap, source, target, group, mode = sys.argv[1:]
    transactional = mode == "transactions"
    common = {"bootstrap.servers": bootstrap, "socket.nagle.disable": True}
    consumer = Consumer(common | _FETCHING | {"group.id": group, "enable.partition.eof": False})
    extra = {"transactional.id": group, "transaction.timeout.ms": 10_000} if transactional else {}
    producer = Producer(common | _SENDING | {"statistics.interval.ms": 0} | extra)
    if transactional:
        producer.init_transactions(30)
    consumer.subscribe([source])
    running = True

    def stop(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    while running:
        first = consumer.poll(0.1)
        if first is None or first.error():
            continue
        messages = [first, *consumer.consume(AT_MOST - 1, 0)]
        if transactional:
            producer.begin_transaction()
        records = [{"value": message.value(), "key": message.key()} for message in messages]
        while records:
            if producer.produce_batch(target, records) < len(records):
                producer.poll(0.01)
            records = [record for record in records if record.pop("_error", None) is not None]
        last: dict[int, int] = {}
        for message in messages:
            last[message.partition()] = message.offset() + 1
        offsets = [TopicPartition(source, partition, offset) for partition, offset in last.items()]
        if transactional:
            producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 10)
            producer.commit_transaction(10)
        else:
            producer.flush(10)
            consumer.commit(offsets=offsets, asynchronous=False)
    consumer.close()


if __name__ == "__main__":
    main()
