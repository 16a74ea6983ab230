"""Live traffic for a row: the same events at a steady rate, sent every two milliseconds.

python -m bench.peers.traffic BOOTSTRAP TOPIC HISTORY BEGIN RATE SECONDS
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from confluent_kafka import Producer

from bench.peers.field import events

TICK_S = 0.002


def main() -> None:
    """Sends rate × seconds events, those from BEGIN on; prints how late the last one left, in milliseconds."""
    bootstrap, topic, history, *numbers = sys.argv[1:]
    begin, rate, seconds = (int(number) for number in numbers)
    total = rate * seconds
    records = [
        {"key": key, "value": value}
        for keys, values in events(Path(history), begin, begin + total)
        for key, value in zip(keys, values, strict=True)
    ]
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "compression.type": "lz4", "acks": "all"})
    producer.list_topics(topic, timeout=10)
    began, sent = time.monotonic(), 0
    while sent < total:
        due = min(total, int((time.monotonic() - began) * rate))
        if due > sent:
            producer.produce_batch(topic, records[sent:due])
            sent = due
        producer.poll(0)
        time.sleep(TICK_S)
    late_ms = (time.monotonic() - began - seconds) * 1_000
    producer.flush(30)
    print(round(late_ms))


if __name__ == "__main__":
    main()
