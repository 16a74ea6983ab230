"""A model of what the commit loop depends on: a broker with logs, transactions and a group, its clients, an engine.

It is small enough to run tens of thousands of schedules, and keeps the rules that matter: transactions of an epoch,
fencing by `init`, offsets that are committed with the records or not at all, a static member that is replaced, requests
that are lost or arrive late. A process that died (`Process.dead`) cannot reach the broker any more.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

from fraudstream.errors import FencedError
from fraudstream.kafka.clientstats import ClientStatistics
from fraudstream.kafka.partition import TopicPartition
from fraudstream.kafka.transactions import TransactionAborted, TransactionInDoubt
from fraudstream.runner.checkpoint import Restored
from fraudstream.runner.intake import Place, Portion

INPUT = "events"


class Death(BaseException):
    """The process is gone: nothing may catch it but the schedule."""


class Decided(NamedTuple):
    """An output record: whose decision, its place in processing order, and how many of its partition came before."""

    partition: int
    offset: int
    sequence: int
    count: int


@dataclass
class Transaction:
    """What a transactional id has open."""

    records: list[Decided] = field(default_factory=list)
    offsets: dict[int, tuple[int, str]] = field(default_factory=dict)


class Broker:
    """The logs, the transactional ids, the group, and what is late on its way.

    Args:
        partitions: Of the input.
    """

    def __init__(self, partitions: int) -> None:
        self.ends = [0] * partitions
        self.visible: list[Decided] = []
        self.committed: dict[int, tuple[int, str]] = {}
        self.epochs: dict[str, int] = {}
        self.open: dict[str, Transaction] = {}
        self.member: object = None
        self.late: list[tuple[str, int]] = []

    def init(self, name: str) -> int:
        """A new epoch; what was open is aborted."""
        self.open.pop(name, None)
        self.epochs[name] = self.epochs.get(name, 0) + 1
        return self.epochs[name]

    def end(self, name: str, epoch: int) -> bool:
        """EndTxn with commit; whether the epoch was the current one. Ends whatever the id has open."""
        if self.epochs[name] != epoch:
            return False
        transaction = self.open.pop(name, None)
        if transaction:
            self.visible += transaction.records
            self.committed |= transaction.offsets
        return True

    def deliver_late(self) -> None:
        """What was delayed arrives."""
        for name, epoch in self.late:
            self.end(name, epoch)
        self.late = []


@dataclass
class Process:
    """One life of a scorer.

    Attributes:
        broker: What it talks to.
        dice: What happens to it.
        risk: How often a call fails.
        disk: Snapshots, which outlive it.
        guard: Whether doubt is reported, as `kafka/doubt.py` does.
    """

    broker: Broker
    dice: random.Random
    risk: float
    disk: list[tuple[dict[int, int], int, dict[Place, int]]]
    guard: bool = True
    dead: bool = False

    def point(self, name: str) -> None:
        """A failpoint."""
        if not self.dead and self.dice.random() < self.risk / 3:
            self.dead = True
            raise Death(name)

    def unlucky(self) -> bool:
        """Whether this call fails."""
        return self.dice.random() < self.risk

    def alive(self) -> None:
        """Nothing reaches the broker from beyond."""
        if self.dead:
            raise Death


class ModelProducer:
    """Has the methods and endings of `AlternatingProducer`."""

    statistics: ClassVar[list[ClientStatistics]] = []

    def __init__(self, process: Process) -> None:
        self._process = process
        self._epochs: dict[str, int] = {}
        self._turn = 0

    def open(self) -> None:
        self._process.alive()
        for name in ("scorer-0", "scorer-1"):
            self._epochs[name] = self._process.broker.init(name)
            self._process.point("init")

    rebuild = open

    def begin(self) -> None:
        self._turn = 1 - self._turn
        self._process.point("after-begin")

    def send(self, _: str, values: list[Decided], __: object, *, headers: object) -> None:
        process, name = self._process, self._name
        process.alive()
        if process.broker.epochs[name] != self._epochs[name]:
            return  # found out at the commit
        process.broker.open.setdefault(name, Transaction()).records += values
        if process.unlucky():
            raise TransactionInDoubt("a record was refused")

    def commit(self, offsets: list[Any], member: object) -> None:
        process, broker, name = self._process, self._process.broker, self._name
        process.alive()
        process.point("before-offsets")
        if broker.epochs[name] != self._epochs[name]:
            raise FencedError("Another process took over the transactional id.", "")
        if broker.member is not member or process.unlucky():
            broker.open.pop(name, None)
            raise TransactionAborted("offsets were refused")
        transaction = broker.open.setdefault(name, Transaction())
        transaction.offsets |= {place.partition: (place.offset, place.metadata) for place in offsets}
        process.point("after-offsets")
        fate = process.dice.random() / max(process.risk, 1e-9)
        if fate < 1:  # the request is lost: the broker will abort
            if process.dice.random() < 0.5:
                broker.late.append((name, self._epochs[name]))
            raise TransactionInDoubt("no answer")
        broker.end(name, self._epochs[name])
        if fate < 2:  # done, and the answer is lost
            raise TransactionInDoubt("no answer")
        if fate < 3:  # done by a retry; the first request is still on its way
            broker.late.append((name, self._epochs[name]))
            if process.guard:
                raise TransactionInDoubt("a connection was lost")
        process.point("after-commit")

    def close(self) -> None:
        """A clean end aborts what is open."""
        if not self._process.dead:
            for name, epoch in self._epochs.items():
                if self._process.broker.epochs[name] == epoch:
                    self._process.broker.open.pop(name, None)

    @property
    def _name(self) -> str:
        return f"scorer-{self._turn}"


class ModelConsumer:
    """Has the methods of `InputConsumer`, for one static member."""

    def __init__(self, process: Process, *, on_assigned: Callable[..., None], on_revoked: Callable[..., None]) -> None:
        self._process = process
        self._on_assigned, self._on_revoked = on_assigned, on_revoked
        self._at: dict[int, int] = {}
        self._joined = False
        self.statistics = ClientStatistics()

    def open(self) -> None:
        self._process.alive()
        self._process.broker.member = self

    def poll(self, _: int, __: float) -> list[tuple[int, int]]:
        process, broker = self._process, self._process.broker
        process.alive()
        if broker.member is not self:
            raise FencedError("Another process took the place.", "")
        if not self._joined or process.dice.random() < process.risk / 2:
            if self._joined:
                self._on_revoked([], process.dice.random() < 0.5)
            self._joined = True
            places = self.committed()
            self._on_assigned(places)
            self._at = {place.partition: max(0, place.offset) for place in places}
        fetched = []
        for partition, end in enumerate(broker.ends):
            count = min(process.dice.randrange(4), end - self._at[partition])
            fetched += [(partition, self._at[partition] + i) for i in range(count)]
            self._at[partition] += count
        if fetched:
            process.point("after-poll")
        return fetched

    def committed(self) -> list[Any]:
        self._process.alive()
        broker = self._process.broker
        return [
            TopicPartition(INPUT, partition, *broker.committed.get(partition, (-1001, "")))
            for partition in range(len(broker.ends))
        ]

    def rewind(self, places: list[Any]) -> None:
        self._at |= {place.partition: max(0, place.offset) for place in places}

    def lag(self) -> dict[Place, int | None]:
        return {(INPUT, p): end - self._at[p] for p, end in enumerate(self._process.broker.ends)} if self._at else {}

    def beginnings(self) -> dict[Place, int]:
        return {(INPUT, p): 0 for p in range(len(self._process.broker.ends))}

    def group_metadata(self) -> object:
        return self

    def check_place(self) -> None:
        if self._process.broker.member is not self:
            raise FencedError("Another process took the place.", "")

    def assignment(self) -> list[Any]:
        return self.committed()

    def pause(self, _: object) -> None:
        pass

    resume = pause

    def close(self) -> None:
        if not self._process.dead and self._joined and self._process.broker.member is self:
            self._on_revoked([], False)
            self._process.broker.member = None


class ModelIntake:
    """Lanes of offsets, handed out a few at a time."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._lanes: dict[Place, list[int]] = {}

    def assign(self, places: list[Place]) -> None:
        self._lanes = {place: [] for place in places}

    @property
    def held(self) -> int:
        return sum(map(len, self._lanes.values()))

    def waiting(self) -> dict[Place, int]:
        return {place: len(lane) for place, lane in self._lanes.items()}

    def waiting_below(self, stop_at: dict[Place, int]) -> bool:
        return any(lane and lane[0] < stop_at[place] for place, lane in self._lanes.items())

    def add(self, fetched: list[tuple[int, int]]) -> dict[Place, int]:
        ends: dict[Place, int] = {}
        for partition, offset in fetched:
            if (INPUT, partition) in self._lanes:
                self._lanes[INPUT, partition].append(offset)
                ends[INPUT, partition] = offset + 1
        return ends

    def frontier(self, _: object) -> None:
        return None

    def take(self, _: int, __: object = None, stop_at: dict[Place, int] | None = None) -> Portion | None:
        rows: list[tuple[int, int]] = []
        ends: dict[Place, int] = {}
        for place, lane in self._lanes.items():
            limit = stop_at[place] if stop_at else 2**60
            count = sum(offset < limit for offset in lane[: self._process.dice.randrange(1, 5)])
            rows += [(place[1], offset) for offset in lane[:count]]
            if count:
                ends[place] = lane[count - 1] + 1
                del lane[:count]
        return Portion(rows, [], [], ends) if rows else None  # type: ignore[arg-type]


class ModelProgram:
    """An engine whose only feature is how many events of the partition came before."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def learn(self, state: Any, rows: list[tuple[int, int]], _: object) -> list[Decided]:
        decided = []
        for partition, offset in rows:
            decided.append(Decided(partition, offset, state.sequence, state.counts.get(partition, 0)))
            state.counts[partition] = state.counts.get(partition, 0) + 1
            state.sequence += 1
        return decided

    def decide(
        self, state: Any, rows: list[tuple[int, int]], labels: object, _: int, __: object, ___: object
    ) -> list[Decided]:
        decided = self.learn(state, rows, labels)
        self._process.point("after-state")
        return decided


class ModelCheckpoints:
    """Snapshots on a disk that outlives the process; some saves come too late."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def save(self, state: Any, positions: dict[Place, int], *, wait: bool = False) -> bool:
        self._process.point("mid-snapshot")
        taken = wait or self._process.dice.random() < 0.3
        if taken:
            self._process.disk.append((dict(state.counts), state.sequence, dict(positions)))
            del self._process.disk[:-3]
        return taken

    def newest(self, committed: dict[Place, int]) -> Restored:
        self._process.point("restore")
        for counts, sequence, positions in reversed(self._process.disk):
            if all(offset <= committed.get(place, 0) for place, offset in positions.items()):
                return Restored(empty_state(counts, sequence), dict(positions), None)
        return Restored(empty_state(), {}, None)

    def close(self) -> None:
        pass


def empty_state(counts: dict[int, int] | None = None, sequence: int = 0) -> Any:
    """A state of the model's engine."""
    return SimpleNamespace(counts=dict(counts or {}), sequence=sequence)
