"""Labels come late, once, in order, and say the truth."""

from __future__ import annotations

import numpy as np
import orjson
import polars as pl

from fraudstream.simulate.labels import NEVER, LabelQueue

DAY_MS = 86_400_000


def filled(label_all: bool = False, count: int = 2_000) -> LabelQueue:
    labels = LabelQueue(7 * DAY_MS, 1, "simulator", label_all=label_all)
    half = count // 2
    for first in (0, half):
        at_ms = np.arange(first, first + half, dtype=np.int64) * 1_000
        labels.add(pl.Series(np.arange(first, first + half)), at_ms, at_ms % 5_000 == 0)
    return labels


def test_a_label_waits_at_least_half_the_delay_and_on_average_the_delay() -> None:
    found = [orjson.loads(value) for value in filled().due(NEVER).values]
    waits = np.array([label["labelled_at"] - label["event_at"] for label in found])
    assert waits.min() >= 3.5 * DAY_MS
    assert 6.5 * DAY_MS < waits.mean() < 7.5 * DAY_MS


def test_only_fraud_is_labelled_unless_all_is_asked_for() -> None:
    fraud = [orjson.loads(value) for value in filled().due(NEVER).values]
    everything = [orjson.loads(value) for value in filled(label_all=True).due(NEVER).values]
    assert len(fraud) == 400
    assert {label["label"] for label in fraud} == {"fraud"}
    assert len(everything) == 2_000
    assert all((label["label"] == "fraud") == (label["event_id"] % 5 == 0) for label in everything)


def test_labels_are_given_out_once_each_in_the_order_of_their_times_and_not_before() -> None:
    labels, seen = filled(), []
    for now_ms in range(3 * DAY_MS, 40 * DAY_MS, DAY_MS // 2):
        due = [orjson.loads(value) for value in labels.due(now_ms).values]
        assert all(label["labelled_at"] <= now_ms for label in due)
        seen += due
    assert len(labels) == 0
    assert len({label["event_id"] for label in seen}) == len(seen) == 400
    assert [label["labelled_at"] for label in seen] == sorted(label["labelled_at"] for label in seen)


def test_a_label_has_exactly_its_fields_and_is_keyed_by_the_event() -> None:
    due = filled().due(NEVER)
    assert list(orjson.loads(due.values[0])) == ["event_id", "label", "event_at", "labelled_at", "source"]
    assert due.keys[0] == str(orjson.loads(due.values[0])["event_id"]).encode()
