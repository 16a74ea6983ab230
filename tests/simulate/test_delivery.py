"""Delivery hands on everything once, on time, with labels among the events, and stops when asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import orjson
import pytest

from fraudstream.simulate.delivery import Delivery, Pace, prefetch
from fraudstream.simulate.labels import LabelQueue
from fraudstream.simulate.stream import Chunk, generate

START_MS = 1_767_225_600_000


def chunks(**options: object) -> Iterator[Chunk]:
    return generate("retail", start_at_ms=START_MS, customers=500, terminals=50, **options)


def test_paced_events_go_out_when_their_time_comes() -> None:
    sent: list[tuple[float, int]] = []
    pace = Pace(speed_up=10.0)

    def emit(chunk: Chunk, part: slice) -> None:
        sent.extend((time.monotonic(), int(at)) for at in chunk.event_at_ms[part])

    done = Delivery(emit, pace=pace).run(chunks(rate_per_s=200.0, duration_ms=8_000, chunk_events=100))
    wall_s = np.array([at - sent[0][0] for at, _ in sent])
    event_s = np.array([at - sent[0][1] for _, at in sent]) / 1_000
    assert done.events == len(sent) == 1_600
    late_s = wall_s - event_s / 10
    assert np.quantile(late_s, 0.9) < 0.1
    assert late_s.min() > -0.02


def test_a_label_follows_its_event_in_the_order_of_time() -> None:
    log: list[tuple[str, int]] = []

    def emit(chunk: Chunk, part: slice) -> None:
        log.extend(("event", int(at)) for at in chunk.event_at_ms[part])

    def emit_labels(values: list[bytes], keys: list[bytes]) -> None:
        log.extend(("label", orjson.loads(value)["labelled_at"]) for value in values)

    labels = LabelQueue(3_600_000, 1, "simulator")
    done = Delivery(emit, emit_labels, labels).run(chunks(events=5_000, chunk_events=200, fraud={"bursts": 0.1}))
    assert done.labels == sum(kind == "label" for kind, _ in log) > 100
    assert done.labels + done.labels_not_due == done.fraud
    newest = 0
    for kind, at in log:
        if kind == "event":
            newest = at
        else:
            assert at <= newest


def test_stopping_ends_soon_and_what_was_handed_on_is_whole() -> None:
    stop = threading.Event()
    seen: list[bytes] = []

    def emit(chunk: Chunk, part: slice) -> None:
        seen.extend(chunk.values[part])

    threading.Timer(0.3, stop.set).start()
    begun = time.monotonic()
    done = Delivery(emit, pace=Pace(), stop=stop).run(chunks(rate_per_s=500.0, chunk_events=50))
    assert time.monotonic() - begun < 3
    assert done.stopped
    assert done.events == len(seen) == len(set(seen))


def test_what_goes_wrong_while_making_batches_ahead_is_raised_where_they_are_used() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    taken = []
    with pytest.raises(ValueError, match="broken"):
        taken.extend(prefetch(broken(), threading.Event()))
