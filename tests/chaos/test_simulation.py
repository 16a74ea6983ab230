"""The commit loop on a model broker: thousands of schedules hold the invariants, and a loop made wrong breaks them."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from model import ModelCheckpoints, ModelProducer

from fraudstream.kafka.transactions import TransactionAborted, TransactionInDoubt
from fraudstream.runner.checkpoint import Restored
from fraudstream.runner.loop import StreamLoop
from simulate import simulate

SCHEDULES = int(os.environ.get("FRAUDSTREAM_TEST_SCHEDULES", "10000"))


def test_every_schedule_holds_the_invariants() -> None:
    """Deaths at every point, zombies, lost answers, late requests, refused offsets: all of it happened."""
    first = random.randrange(2**40)
    failures, seen = simulate(range(first, first + SCHEDULES))
    assert failures == {}, f"replay with: python tests/chaos/simulate.py --seed {next(iter(failures))}"
    for what in ("deaths", "fenced", "late", "ends"):
        assert seen[what] > SCHEDULES / 10, seen


def test_a_schedule_is_the_same_every_time() -> None:
    assert simulate(range(77, 97)) == simulate(range(77, 97))


def test_without_the_guard_a_late_end_is_found() -> None:
    """The same failing seed is found again."""
    failures, _ = simulate(range(2_000), guard=False, stop_after=1)
    (seed,) = failures
    assert simulate(range(seed, seed + 1), guard=False)[0] == failures


def kept_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """After doubt only the input goes back, not the state."""
    real = StreamLoop._recover

    def recover(self: Any, partitions: Any) -> Any:
        state = self._state
        start = real(self, partitions)
        if state.sequence:
            self._state = state
            self._replay = None
            start = {(place.topic, place.partition): max(0, place.offset) for place in partitions}
        return start

    monkeypatch.setattr(StreamLoop, "_recover", recover)


def newest_snapshot_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot is taken although it is beyond what was committed."""
    real = ModelCheckpoints.newest

    def newest(self: Any, _: Any) -> Restored:
        return real(self, {place: 2**60 for entry in self._process.disk for place in entry[2]})

    monkeypatch.setattr(ModelCheckpoints, "newest", newest)


def swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed transaction is passed over."""
    real = ModelProducer.commit

    def commit(self: Any, *arguments: Any) -> None:
        try:
            real(self, *arguments)
        except (TransactionAborted, TransactionInDoubt):
            return

    monkeypatch.setattr(ModelProducer, "commit", commit)


def sent_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """After doubt the portion is sent again without asking what was committed."""
    real = ModelProducer.commit

    def commit(self: Any, offsets: Any, member: Any) -> None:
        try:
            real(self, offsets, member)
        except TransactionInDoubt:
            records = self._process.broker.visible[-1:]
            self.rebuild()
            self._process.broker.open.setdefault(self._name, _transaction()).records.extend(records)
            real(self, offsets, member)

    monkeypatch.setattr(ModelProducer, "commit", commit)


def _transaction() -> Any:
    from model import Transaction

    return Transaction()


@pytest.mark.parametrize("breaks", [kept_state, newest_snapshot_always, swallowed, sent_twice])
def test_a_loop_made_wrong_is_found(monkeypatch: pytest.MonkeyPatch, breaks: Any) -> None:
    breaks(monkeypatch)
    failures, _ = simulate(range(1_000), stop_after=1)
    assert failures
