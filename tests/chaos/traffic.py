"""Events, duplicates, late ones and poison at a steady rate, from a seed; what was planted is kept."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from typing import Any

from confluent_kafka import Producer

START_MS = 1_767_225_600_000
STEP_MS = 500
POISON_ONE_IN = 50
CARDS = [f"c{i}" for i in range(40)]


def event(**members: Any) -> bytes:
    """An event; None leaves a member out."""
    document = {"id": "p", "at": START_MS, "card": "c0", "shop": "s0", "amount": 1.5} | members
    return json.dumps({name: value for name, value in document.items() if value is not None}).encode()


GOOD = event()
POISON: list[tuple[str, bytes | None]] = [
    ("empty", None),
    ("empty", b""),
    ("not_json", GOOD[:-9]),
    ("not_json", b"\xef\xbb\xbf" + GOOD),
    ("not_json", GOOD.replace(b"1.5", b"NaN")),
    ("not_json", GOOD.replace(b"1.5", b"Infinity")),
    ("not_json", GOOD.replace(b"1.5", b"-Infinity")),
    ("not_json", b"\x00\x00\x00\x00\x2a" + GOOD),  # a schema registry's id in front
    ("not_json", GOOD.replace(b'"c0"', b'"c\x000"')),
    ("not_object", b"[" + GOOD + b"]"),
    ("wrong_type", event(card=5)),
    ("wrong_type", event(amount=True)),
    ("missing_field", event(id=None)),
    ("out_of_range", GOOD.replace(b"1.5", b"1e400")),
    ("out_of_range", GOOD.replace(b"1.5", b"9" * 30)),
    ("duplicate_key", GOOD[:-1] + b', "amount": 2}'),
    ("too_deep", GOOD[:-1] + b', "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"),
    ("not_utf8", GOOD.replace(b"c0", b"c\xff")),
    ("not_utf8", GOOD.replace(b"c0", b"\\ud800")),
    ("future_time", event(at=9_214_646_400_000)),
]
LARGE = ("too_large", event(pad="x" * 990_000))


class Traffic:
    """Sends to the input topic on a thread of its own, from `start` to `stop`.

    Args:
        bootstrap: The cluster.
        topic: The input.
        seed: Of what is sent (not of when).
        rate: Records a second.
    """

    def __init__(self, bootstrap: str, topic: str, seed: int, rate: int) -> None:
        self._topic = topic
        self._rate = rate
        self._dice = random.Random(seed)
        self._recent: list[tuple[bytes, bytes]] = []
        self._stop = threading.Event()
        self._flowing = threading.Event()
        self._flowing.set()
        self._idle = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._failed: list[str] = []
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "linger.ms": 2,
                "message.timeout.ms": 300_000,
                "message.max.bytes": 1_100_000,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
                "on_delivery": self._delivered,
            }
        )
        self.sent = 0
        self.planted: list[tuple[str, str | None]] = []

    def start(self) -> None:
        """Begins to send."""
        self._thread.start()

    def stop(self) -> None:
        """Ends sending; returns when all is stored.

        Raises:
            RuntimeError: A record was not stored.
        """
        self._stop.set()
        self._thread.join()
        left = self._producer.flush(120)
        if left or self._failed:
            raise RuntimeError(f"{left} records were not sent, {len(self._failed)} failed: {self._failed[:3]}")

    def pause(self) -> None:
        """Sends nothing more for now; returns when all that was sent is stored."""
        self._idle.clear()
        self._flowing.clear()
        self._idle.wait(10)
        if self._producer.flush(120):
            raise RuntimeError("not all records could be sent")

    def resume(self) -> None:
        """Goes on, with what has not been sent meanwhile first."""
        self._flowing.set()

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stop.wait(0.01):
            if not self._flowing.is_set():
                self._idle.set()
                continue
            due = min(int((time.monotonic() - began) * self._rate) - self.sent, 500)
            for _ in range(due):
                self._send()
            self._producer.poll(0)

    def _send(self) -> None:
        dice, number = self._dice, self.sent
        self.sent += 1
        card = dice.choice(CARDS)
        key, value = card.encode(), None
        if number % POISON_ONE_IN == POISON_ONE_IN - 1:
            kind, value = LARGE if dice.random() < 0.01 else dice.choice(POISON)
            self.planted.append((kind, None if value is None else hashlib.sha256(value).hexdigest()))
        elif self._recent and dice.random() < 0.01:
            key, value = dice.choice(self._recent)  # a duplicate
        else:
            # Most in order, some minutes out of order, a few later than the window, one in a while of the year 1970.
            now = START_MS + 7_200_000 + number * STEP_MS
            at = dice.choices((now, now - dice.randrange(600_000), now - 7_200_000, 0), (948, 45, 5, 2))[0]
            amount = dice.randrange(1, 100_000) / 100
            value = event(id=f"e{number}", at=at, card=card, shop=f"s{dice.randrange(5)}", amount=amount)
            self._recent = [*self._recent[-20:], (key, value)]
        self._producer.produce(self._topic, value, key)

    def _delivered(self, error: object, _: object) -> None:
        if error is not None:
            self._failed.append(str(error))
