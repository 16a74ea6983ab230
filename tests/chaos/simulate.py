"""The real commit loop on a model broker: thousands of schedules of faults, each replayed by its seed.

    python tests/chaos/simulate.py --schedules 20000
    python tests/chaos/simulate.py --seed 1234

Run are `StreamLoop` and what a `Committer` does in a transaction; the broker, its clients and the engine are those of
`model.py`. Time does not pass, and the transaction in flight ends when the dice say so, between any two steps.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from model import (  # noqa: E402
    INPUT,
    Broker,
    Death,
    ModelCheckpoints,
    ModelConsumer,
    ModelIntake,
    ModelProducer,
    ModelProgram,
    Process,
    empty_state,
)

from fraudstream import failpoints  # noqa: E402
from fraudstream.errors import FraudstreamError  # noqa: E402
from fraudstream.kafka.transactions import TransactionAborted, TransactionInDoubt  # noqa: E402
from fraudstream.runner import loop as looping  # noqa: E402
from fraudstream.runner import pace as pacing  # noqa: E402
from fraudstream.runner.committer import LOST_S, Committed, Committer  # noqa: E402

STEPS = 60


class Pending:
    """A transaction on another thread, as the loop sees it: it runs when it is waited for, or a little sooner."""

    def __init__(self, process: Process, task: Callable[[], Any]) -> None:
        self._process, self._task = process, task
        self._ended: tuple[Any, BaseException | None] | None = None

    def done(self) -> bool:
        if self._ended is None and self._process.dice.random() < 0.4:
            self._run()
        return self._ended is not None

    def result(self) -> Any:
        self._run()
        assert self._ended is not None
        value, error = self._ended
        if error is not None:
            raise error
        return value

    def _run(self) -> None:
        if self._ended is None:
            try:
                self._ended = self._task(), None
            except Death:
                raise
            except BaseException as error:
                self._ended = None, error


class DiceCommitter(Committer):
    """A committer whose thread is the dice: `_commit` is the real one."""

    def __init__(self, producer: Any, process: Process) -> None:
        self._producer, self._process = producer, process
        self._future: Any = None
        self.last = None

    def submit(self, prepared: Any, group_metadata: Any) -> None:
        assert self._future is None, "the transaction before is not settled"
        self.last = prepared
        self._future = Pending(self._process, partial(self._commit, prepared, group_metadata))

    def wait(self, timeout_s: float) -> None:
        pass  # time passes by the dice

    def settle(self, within_s: float = LOST_S) -> Committed | None:
        if self._future is None:
            return None
        future, self._future = self._future, None
        answered = future.result()
        prepared, self.last = self.last, None
        return Committed(prepared, *answered)

    def close(self) -> None:
        pass


@cache
def plan() -> Any:
    """A plan for the loop to be made with; the model's engine does not look at it."""
    from fraudstream.plan.compile import plan_of
    from runner.small import pipeline

    return plan_of(pipeline())


def scorer(process: Process) -> Any:
    """A real loop in a modelled world."""
    made = looping.StreamLoop(
        plan(), ModelProgram(process), partial(ModelConsumer, process), ModelProducer(process),
        ModelCheckpoints(process), ModelIntake(process), input_partitions=len(process.broker.ends),
    )  # type: ignore[arg-type]  # fmt: skip
    made._committer.close()
    made._committer = DiceCommitter(made._producer, process)
    made._outputs = SimpleNamespace(
        of=lambda decided, *_: [SimpleNamespace(topic="out", values=decided, keys=None, headers={})]
    )
    made._observed.committed = lambda *_: None
    made._state = empty_state()
    made._plan = SimpleNamespace(pipeline=SimpleNamespace(input=SimpleNamespace(name=INPUT)), logs=())
    return made


def step(made: Any) -> None:
    """One step, as `StreamLoop.run` does it."""
    try:
        made._step()
    except (TransactionAborted, TransactionInDoubt) as reason:
        made._rewind(reason)


def end(made: Any) -> None:
    """A graceful end, as `StreamLoop.run` does it."""
    try:
        made._note(made._committer.settle())
        made._save(wait=True)
    except (TransactionAborted, TransactionInDoubt):
        pass
    made._closing = True
    made._consumer.close()
    made._producer.close()


class Schedule:
    """One world and what happens in it.

    Args:
        seed: Decides all of it.
        guard: Whether producers report doubt.
    """

    def __init__(self, seed: int, *, guard: bool = True) -> None:
        self.dice = random.Random(seed)
        self.broker = Broker(self.dice.randrange(1, 4))
        self.disk: list[Any] = []
        self.guard = guard
        self.seen: Counter[str] = Counter()
        self.before: list[Any] = []
        self.running: list[tuple[Process, Any]] = []

    def run(self) -> list[str]:
        """Runs it; what is wrong afterwards."""
        for _ in range(STEPS):
            self.happen()
        self.broker.deliver_late()
        self.calm()
        return self.wrong()

    def happen(self) -> None:
        """Some input, something late, and a step of a scorer; now and then a second one, or a zombie's step."""
        dice, broker = self.dice, self.broker
        for partition in range(len(broker.ends)):
            broker.ends[partition] += dice.choice((0, 0, 1, 3))
        if broker.late and dice.random() < 0.3:
            broker.deliver_late()
            self.seen["late"] += 1
        if not self.running or (len(self.running) < 2 and dice.random() < 0.02):
            self.seen["starts"] += 1
            self.begin(dice.choice((0.0, 0.02, 0.1, 0.3)))
            return
        # The last one started is at work; an older one is a zombie that wakes up now and then.
        chosen = self.running[0 if len(self.running) > 1 and dice.random() < 0.1 else -1]
        if dice.random() < 0.02:
            self.attempt(chosen, end)
            self.gone(chosen)
            self.seen["ends"] += 1
        else:
            self.attempt(chosen, step)

    def begin(self, risk: float) -> None:
        process = Process(self.broker, self.dice, risk, self.disk, guard=self.guard)
        failpoints.hit = process.point  # type: ignore[assignment]
        made = scorer(process)
        self.running.append((process, made))
        self.attempt(self.running[-1], lambda made: (made._producer.open(), made._consumer.open()))

    def attempt(self, who: tuple[Process, Any], what: Callable[[Any], Any]) -> None:
        """Does something in a process, which may die of it."""
        process, made = who
        failpoints.hit = process.point  # type: ignore[assignment]
        try:
            what(made)
        except Death:
            self.seen["deaths"] += 1
            self.gone(who)
        except FraudstreamError:
            self.seen["fenced"] += 1
            self.gone(who)

    def gone(self, who: tuple[Process, Any]) -> None:
        """The process does not act any more."""
        who[0].dead = True
        self.running = [each for each in self.running if each is not who]

    def calm(self) -> None:
        """No more faults: a last scorer catches up."""
        for who in list(self.running):
            self.gone(who)
        for _ in range(10):
            if not self.running:
                self.begin(0.0)
            for _ in range(400):
                if not self.running or self.done():
                    break
                self.attempt(self.running[-1], step)
        for who in list(self.running):
            self.attempt(who, end)

    def done(self) -> bool:
        """Whether everything is committed."""
        return all(self.broker.committed.get(p, (0, ""))[0] >= end for p, end in enumerate(self.broker.ends))

    def wrong(self) -> list[str]:
        """I1, I2, I3 and I6 of what is visible."""
        found, broker = [], self.broker
        if not self.done():
            found.append(f"I6: {broker.committed} of {broker.ends}")
        came = Counter((each.partition, each.offset) for each in broker.visible)
        expected = Counter((p, offset) for p, last in enumerate(broker.ends) for offset in range(last))
        if came != expected:
            found.append(f"I1: missing {list(expected - came)[:3]}, too many {list(came - expected)[:3]}")
        if [each for each in broker.visible if each.count != each.offset]:
            found.append("I3: a count is not what came before")
        if sorted(each.sequence for each in broker.visible) != list(range(sum(broker.ends))):
            found.append("I1: sequences have gaps or repetitions")
        at: dict[int, int] = {}
        for each in sorted(broker.visible, key=lambda each: each.sequence):
            if each.offset < at.get(each.partition, 0):
                found.append("I2: decided out of order")
                break
            at[each.partition] = each.offset
        return found


def simulate(seeds: range, *, guard: bool = True, stop_after: int = 5) -> tuple[dict[int, list[str]], Counter[str]]:
    """Runs schedules; what was wrong by seed, and what happened in all of them."""
    kept = failpoints.hit, looping.SNAPSHOT_S, pacing.LAG_S
    looping.SNAPSHOT_S = pacing.LAG_S = -1.0
    looping.LOGGER.disabled = True
    failures: dict[int, list[str]] = {}
    seen: Counter[str] = Counter()
    try:
        for seed in seeds:
            schedule = Schedule(seed, guard=guard)
            wrong = schedule.run()
            seen += schedule.seen
            seen["schedules"] += 1
            seen["records"] += len(schedule.broker.visible)
            if wrong:
                failures[seed] = wrong
                if len(failures) >= stop_after:
                    break
    finally:
        failpoints.hit, looping.SNAPSHOT_S, pacing.LAG_S = kept
        looping.LOGGER.disabled = False
    return failures, seen


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int)
    parser.add_argument("--seed", type=int, help="the first schedule; alone unless --schedules is given")
    parser.add_argument("--out", type=Path, help="result file of the orchestrator, which gets a section on this")
    given = parser.parse_args()
    first = random.randrange(2**40) if given.seed is None else given.seed
    count = given.schedules or (20_000 if given.seed is None else 1)
    began = time.monotonic()
    failures, seen = simulate(range(first, first + count))
    seconds = round(time.monotonic() - began)
    print(f"from seed {first}, {seconds} s: {dict(seen)}")
    if given.out is not None:
        content = json.loads(given.out.read_text(encoding="utf-8"))
        content["simulation"] = {
            "command": f"python tests/chaos/simulate.py --schedules {count} --seed {first}",
            **{name: seen[name] for name in ("schedules", "records", "deaths", "fenced")},
            "late_requests": seen["late"],
            "graceful_ends": seen["ends"],
            "seconds": seconds,
            "violations": len(failures),
        }
        given.out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    for seed, wrong in failures.items():
        print(f"seed {seed}: {'; '.join(wrong)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
