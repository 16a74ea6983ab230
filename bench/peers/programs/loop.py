"""The common loop of tutorials: one message at a time, json, a scikit-learn model, a flush and a commit each.

    python loop.py BOOTSTRAP INPUT OUTPUT GROUP forest | logistic  commit | no-commit

Features come from the event alone; there is no history. `no-commit` is the kinder version: no synchronous commit after
each message (the client commits by itself every five seconds), and no flush.
"""

from __future__ import annotations

import json
import random
import sys
from datetime import datetime

from confluent_kafka import Consumer, Producer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

TRAINING_ROWS = 20_000


def trained(kind: str) -> RandomForestClassifier | LogisticRegression:
    """A model of amount, hour and weekday on made-up history, with the library's own defaults."""
    source = random.Random(1)
    rows = [[source.expovariate(1 / 50), source.randrange(24), source.randrange(7)] for _ in range(TRAINING_ROWS)]
    truth = [row[0] > 220 or source.random() < 0.002 for row in rows]
    model = RandomForestClassifier(random_state=1) if kind == "forest" else LogisticRegression(max_iter=1_000)
    return model.fit(rows, truth)


def main() -> None:
    """Runs until killed."""
    bootstrap, source, target, group, kind, commit = sys.argv[1:]
    model = trained(kind)
    synchronous = commit == "commit"
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": not synchronous,
        }
    )
    producer = Producer({"bootstrap.servers": bootstrap})
    consumer.subscribe([source])
    while True:
        message = consumer.poll(1.0)
        if message is None or message.error():
            continue
        event = json.loads(message.value())
        at = datetime.fromisoformat(event["TX_DATETIME"])
        probability = float(model.predict_proba([[event["TX_AMOUNT"], at.hour, at.weekday()]])[0][1])
        event["fraud_probability"] = probability
        event["is_fraud"] = probability >= 0.5
        producer.produce(target, key=message.key(), value=json.dumps(event).encode())
        if synchronous:
            producer.flush()
            consumer.commit(message=message, asynchronous=False)
        else:
            producer.poll(0)


if __name__ == "__main__":
    main()
