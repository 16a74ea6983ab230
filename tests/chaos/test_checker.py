"""The checker finds nothing wrong with the real loop, and catches every loop that was made wrong."""

from __future__ import annotations

import ast
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from checker import check
from invariants import Facts
from reading import read_all
from rescore import differences
from traffic import POISON

from fraudstream.engine.encode import Encoder
from fraudstream.engine.program import Program
from fraudstream.kafka.producer import BulkProducer
from fraudstream.kafka.transactions import TransactionAborted, TransactionInDoubt
from fraudstream.pipelines import find_plan
from fraudstream.runner import outputs
from fraudstream.runner.committer import Committer
from fraudstream.runner.loop import StreamLoop
from fraudstream.runner.outputs import Outputs
from fraudstream.settings import Settings
from runner.small import events, pipeline, scorer
from runner.workbench import Workbench

HERE = Path(__file__).parent
COUNT = 3_000
Breaks = Callable[[pytest.MonkeyPatch, StreamLoop, Settings], None]


def facts_of(bench: Workbench, **more: Any) -> Facts:
    """What the checker is told of a bench's pipeline."""
    scores, alerts = (route.topic for route in bench.pipeline.routes)
    return Facts(
        bench.settings.bootstrap_servers, f"fraudstream-{bench.pipeline.name}", bench.pipeline.input.name,
        scores, alerts, bench.pipeline.dead_letters.name, **more,
    )  # fmt: skip


def on_the_third(breaking: Callable[[Committer, Any, Any], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the third transaction done in another way."""
    real, done = Committer._commit, [0]

    def commit(self: Committer, prepared: Any, metadata: Any) -> tuple[int, float]:
        done[0] += 1
        if done[0] == 3:
            breaking(self, prepared, metadata)
            return time.time_ns() // 1_000_000, 0.0
        return real(self, prepared, metadata)

    monkeypatch.setattr(Committer, "_commit", commit)


def offsets_outside(monkeypatch: pytest.MonkeyPatch, loop: StreamLoop, _: Settings) -> None:
    def breaking(self: Committer, prepared: Any, __: Any) -> None:
        loop._consumer._consumer.commit(offsets=prepared.offsets, asynchronous=False)
        raise TransactionAborted("after the offsets")

    on_the_third(breaking, monkeypatch)


def without_transactions(monkeypatch: pytest.MonkeyPatch, _: StreamLoop, settings: Settings) -> None:
    def breaking(self: Committer, prepared: Any, __: Any) -> None:
        for records in prepared.records:
            plainly(settings, records)
        raise TransactionInDoubt("before the offsets")

    on_the_third(breaking, monkeypatch)


def alerts_outside(monkeypatch: pytest.MonkeyPatch, _: StreamLoop, settings: Settings) -> None:
    def breaking(self: Committer, prepared: Any, __: Any) -> None:
        plainly(settings, prepared.records[1])
        raise TransactionInDoubt("before the rest")

    on_the_third(breaking, monkeypatch)


def plainly(settings: Settings, records: Any) -> None:
    producer = BulkProducer(settings)
    producer.send(records.topic, records.values, records.keys)
    producer.flush()


def swallowed(monkeypatch: pytest.MonkeyPatch, _: StreamLoop, __: Settings) -> None:
    on_the_third(lambda *_: None, monkeypatch)


def state_kept(monkeypatch: pytest.MonkeyPatch, _: StreamLoop, __: Settings) -> None:
    real = StreamLoop._recover

    def recover(self: StreamLoop, partitions: Any) -> Any:
        state = self._state
        start = real(self, partitions)
        if state.sequence:
            self._replay, self._state, self._state.sequence = None, state, self._committed_sequence
            committed = {(p.topic, p.partition): p.offset for p in partitions if p.offset >= 0}
            return start | committed
        return start

    def breaking(self: Committer, *_: Any) -> None:
        raise TransactionAborted("made up")

    monkeypatch.setattr(StreamLoop, "_recover", recover)
    on_the_third(breaking, monkeypatch)


def one_dropped(monkeypatch: pytest.MonkeyPatch, _: StreamLoop, __: Settings) -> None:
    real, dropped = Outputs.of, []

    def of(self: Outputs, *arguments: Any) -> Any:
        records = real(self, *arguments)
        if not dropped and records:
            dropped.append(records[0].values.pop())
            records[0].keys.pop()
        return records

    monkeypatch.setattr(Outputs, "of", of)


def wall_clock(monkeypatch: pytest.MonkeyPatch, _: StreamLoop, __: Settings) -> None:
    real = Encoder.encode

    def encode(self: Encoder, *arguments: Any) -> Any:
        values, keys = real(self, *arguments)
        return [
            each.replace(b'"card_count":', b'"card_count":%d' % (1 + time.time_ns() // 1_000 % 9)) for each in values
        ], keys

    monkeypatch.setattr(Encoder, "encode", encode)


def out_of_order(monkeypatch: pytest.MonkeyPatch, _: StreamLoop, __: Settings) -> None:
    real = Outputs.of

    def of(self: Outputs, *arguments: Any) -> Any:
        records = real(self, *arguments)
        for each in records:
            each.values.reverse()
            each.keys.reverse()
        return records

    monkeypatch.setattr(Outputs, "of", of)


def letters_cut(monkeypatch: pytest.MonkeyPatch, _: StreamLoop, __: Settings) -> None:
    real = outputs.dead_letter
    monkeypatch.setattr(outputs, "dead_letter", lambda *given: real(*given[:6], (given[6] or b"x")[:-1], *given[7:]))


def another_model(monkeypatch: pytest.MonkeyPatch, _: StreamLoop, __: Settings) -> None:
    real = Program.versions
    monkeypatch.setattr(
        Program, "versions", lambda self, **given: real(self, **given) | {"rules": str(time.time_ns() // 10_000_000)}
    )


def scored(bench: Workbench, monkeypatch: pytest.MonkeyPatch, breaks: Breaks | None) -> list[str]:
    """Scores a topic in many transactions, by a loop made wrong or the real one; returns what the checker finds."""
    values, keys = events(COUNT)
    mixed: list[bytes | None] = [*values, *(value for _, value in POISON)]
    bench.produce(bench.pipeline.input.name, mixed, [*keys, *(b"c1" for _ in POISON)])
    monkeypatch.setattr("fraudstream.runner.loop.MAX_ROWS", 200)
    loop = scorer(bench)
    if breaks:
        breaks(monkeypatch, loop, bench.settings)
    loop.run(until_caught_up=True)
    planted = tuple((kind, None if value is None else hashlib.sha256(value).hexdigest()) for kind, value in POISON)
    facts = facts_of(bench, planted=planted, snapshot=str(newest_snapshot(bench)))
    found = list(check(facts)["violations"])
    return found + differences(find_plan(bench.file), facts, partial(read_all, facts.bootstrap))


def newest_snapshot(bench: Workbench) -> Path:
    """What the scorer left at its end."""
    (folder,) = (bench.folder / ".fraudstream" / "state").iterdir()
    return max(folder.glob("*.snapshot"))


@pytest.mark.kafka
def test_nothing_is_wrong_with_the_real_loop(
    kafka_settings: Settings, tmp_path: Path, unique_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also as a program of its own, which ends with 0; and with 1 where a fault that was asked for did not happen."""
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    assert scored(bench, monkeypatch, None) == []
    facts = facts_of(bench, at_least={"records": COUNT, "restarts": 1})
    assert [each.split(":")[0] for each in check(facts)["violations"]] == ["I9"] * 6 + ["I13"]
    (tmp_path / "facts.json").write_text(json.dumps(asdict(facts)))
    run = subprocess.run(
        [sys.executable, str(HERE / "checker.py"), "check", str(tmp_path / "facts.json")],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert json.loads(run.stdout)["violations"][-1] == "I13: restarts was seen 0 times, not 1"


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("breaks", "caught"),
    [
        (offsets_outside, "I1"),
        (without_transactions, "I1"),
        (swallowed, "I1"),
        (one_dropped, "I1"),
        (state_kept, "I3"),
        (wall_clock, "I3"),
        (wall_clock, "I7"),
        (alerts_outside, "I5"),
        (out_of_order, "I2"),
        (letters_cut, "I9"),
        (another_model, "I7"),
    ],
)
def test_a_loop_made_wrong_is_caught(
    kafka_settings: Settings,
    tmp_path: Path,
    unique_id: str,
    monkeypatch: pytest.MonkeyPatch,
    breaks: Breaks,
    caught: str,
) -> None:
    """Offsets outside the transaction, no transaction, an alert outside it, an error swallowed, a record dropped, state
    kept after an abort, a wall clock in a feature, records out of order, a dead letter cut, versions that change: each
    is caught by the invariant that is about it."""
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    found = scored(bench, monkeypatch, breaks)
    assert caught in {each.split(":")[0] for each in found}, found


def test_the_checker_imports_nothing_of_the_scorer() -> None:
    allowed = {"confluent_kafka", "invariants", "kept", "reading", *sys.stdlib_module_names}
    for name in ("checker.py", "invariants.py", "kept.py", "reading.py"):
        for node in ast.walk(ast.parse((HERE / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= allowed
            elif isinstance(node, ast.ImportFrom):
                assert node.module and node.module.split(".")[0] in allowed
