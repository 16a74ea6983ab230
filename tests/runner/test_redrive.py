"""Dead letters are sent through again: each once, as they came, and those alone that are meant."""

from __future__ import annotations

import json
import signal
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess, run
from typing import Any

import msgspec
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from fraudstream.engine.deadletter import dead_letter
from fraudstream.engine.reject import Reject, RejectClass
from fraudstream.kafka import tail
from fraudstream.kafka.resend import Again, Resender
from fraudstream.pipelines import find_plan
from fraudstream.runner.redrive import Chosen, Redriven, redrive
from fraudstream.settings import Settings
from fraudstream.sinks.records import parsers

from .small import START_MS, events, pipeline, score_here
from .workbench import Workbench

pytestmark = pytest.mark.kafka


def renamed(number: int, **members: Any) -> bytes:
    """An event of a writer that calls the card otherwise."""
    document = {"id": f"r{number}", "at": START_MS + number, "pan": f"c{number}", "shop": "s", "amount": 5} | members
    return json.dumps(document).encode()


def with_alias(bench: Workbench) -> None:
    """The fix: the card is found by its other name."""
    event = bench.pipeline.event
    fields = tuple(
        msgspec.structs.replace(each, aliases=("pan",)) if each.name == "card" else each for each in event.fields
    )
    bench.change(event=msgspec.structs.replace(event, fields=fields))


def drive(bench: Workbench, *, send: bool = True, **chosen: Any) -> Redriven:
    return redrive(find_plan(bench.file), bench.settings, Chosen(**chosen), send=send)


def test_after_a_fix_dead_letters_are_decided_once(
    kafka_settings: Settings, tmp_path: Path, unique_id: str, command: Callable[..., CompletedProcess[str]]
) -> None:
    bench = Workbench(kafka_settings, pipeline(partitions=2), tmp_path, unique_id)
    topic = bench.pipeline.input.name
    good, keys = events(20)
    bench.produce(topic, good, keys)
    bench.produce(topic, [renamed(number) for number in range(6)], [b"c%d" % number for number in range(6)])
    bench.produce(topic, [b"{", None], [b"k", b"k"])
    score_here(bench)
    assert Counter(each["class"] for each in bench.dead_letters()) == {"missing_field": 6, "not_json": 1, "empty": 1}
    with_alias(bench)

    shown = command("redrive", str(bench.file), "-b", kafka_settings.bootstrap_servers, "--class", "missing_field")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines()[1].split() == ["missing_field", "6", "0", "6"]
    shown = command("redrive", str(bench.file), "-b", kafka_settings.bootstrap_servers, "--json")
    assert json.loads(shown.stdout) == {
        "chosen": {"missing_field": 6, "not_json": 1, "empty": 1}, "before": {}, "gone": {}, "gone_from": [],
        "erased": {}, "ready": {"missing_field": 6, "not_json": 1, "empty": 1}, "sent": 0,
    }  # fmt: skip
    assert bench.count(topic) == 28, "nothing was sent"

    letters = bench.dead_letters()
    first = next(each for each in letters if each["class"] == "missing_field")
    place = (first["input"]["topic"], first["input"]["partition"], first["input"]["offset"])
    assert drive(bench, inputs=frozenset([place])).sent == 1
    found = drive(bench, classes=frozenset(["missing_field"]))
    assert (found.before["missing_field"], found.ready["missing_field"], found.sent) == (1, 5, 5)
    assert drive(bench, classes=frozenset(["missing_field"])).sent == 0
    score_here(bench)
    again = [each for each in bench.decisions() if each["event"]["id"].startswith("r")]
    assert Counter(each["event"]["id"] for each in again) == Counter(f"r{number}" for number in range(6))

    sent = {(each.partition(), each.offset()): each for each in bench.read(topic) if each.headers()}
    by_input = {(each["input"]["partition"], each["input"]["offset"]): each for each in letters}
    originals = {(each.partition(), each.offset()): each for each in bench.read(topic) if not each.headers()}
    for each in again:
        record = sent[each["decision"]["input"]["partition"], each["decision"]["input"]["offset"]]
        headers = dict(record.headers())
        _, partition, offset = headers["fraudstream-input"].decode().split("/")
        original = originals[int(partition), int(offset)]
        assert (record.value(), record.key(), record.timestamp(), record.partition()) == (
            original.value(), original.key(), original.timestamp(), original.partition(),
        )  # fmt: skip
        assert headers["fraudstream-class"] == b"missing_field"
        assert by_input[int(partition), int(offset)]["class"] == "missing_field"
    notes = [each for each in bench.read(bench.pipeline.dead_letters.name) if each.value().startswith(b'{"redriven"')]
    assert {
        (note["as"]["partition"], note["as"]["offset"]) for note in map(msgspec.json.decode, map(_value, notes))
    } == set(sent)
    assert _rows(bench) == 8, "the store keeps the letters, and takes no note for one"


def _value(message: Any) -> bytes:
    return bytes(message.value())


def _rows(bench: Workbench) -> int:
    name = bench.pipeline.dead_letters.name
    read = parsers(bench.pipeline)[name]
    rows = [read(name, each.partition(), each.offset(), each.key(), each.value()) for each in bench.read(name)]
    return sum(row.table == "dead_letters" for row in rows)


def test_an_attempt_that_died_is_as_if_it_had_not_been(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """Killed between the records and their notes: nobody sees the records, and the next attempt sends them."""
    bench = Workbench(kafka_settings, pipeline(partitions=1), tmp_path, unique_id)
    topic = bench.pipeline.input.name
    bench.produce(topic, [renamed(0)])
    score_here(bench)
    with_alias(bench)
    dying = Resender(kafka_settings, f"fraudstream-{bench.pipeline.name}.redrive")

    def dies(spots: object) -> list[bytes]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dying.send([Again(topic, 0, START_MS, None, renamed(0), [])], bench.pipeline.dead_letters.name, dies)
    assert drive(bench).sent == 1
    assert drive(bench).sent == 0
    score_here(bench)
    assert [each["event"]["id"] for each in bench.decisions()] == ["r0"]


def test_what_is_too_long_for_its_letter_comes_from_the_input_while_it_is_there(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    bench = Workbench(kafka_settings, pipeline(partitions=1), tmp_path, unique_id)
    topic = bench.pipeline.input.name
    long = [renamed(number, pad="x" * 70_000) for number in range(2)]
    bench.produce(topic, [long[0], renamed(2), long[1]])
    score_here(bench)
    with_alias(bench)
    event = bench.pipeline.event
    bench.change(event=msgspec.structs.replace(event, max_bytes=100_000))
    admin = AdminClient({"bootstrap.servers": kafka_settings.bootstrap_servers})
    for future in admin.delete_records([TopicPartition(topic, 0, 1)]).values():
        future.result()
    found = drive(bench)
    assert (found.gone, found.gone_from) == ({"too_large": 1}, [(topic, 0, 0)])
    assert found.sent == 2
    assert sorted(_value(each) for each in bench.read(topic) if each.headers()) == sorted([renamed(2), long[1]])


DIES = """
import os, signal, sys
from pathlib import Path
from fraudstream.engine.deadletter import dead_letter
from fraudstream.engine.reject import Reject, RejectClass
from fraudstream.kafka.resend import Resender
from fraudstream.pipelines import find_plan
from fraudstream.runner import redrive
from fraudstream.settings import load_settings

_, file, broker, where = sys.argv
sends, send = [], Resender.send

def dies(self, records, topic, notes):
    def noted(spots):
        if where == "within" and len(sends) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return notes(spots)
    sends.append(len(records))
    found = send(self, records, topic, noted)
    if where == "between" and len(sends) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return found

Resender.send = dies
redrive.AT_ONCE = 50
settings = load_settings({"bootstrap_servers": broker}, environ={}, folder=Path(file).parent)
redrive.redrive(find_plan(file), settings, redrive.Chosen(), send=True)
"""


@pytest.mark.parametrize(("where", "sent"), [("between", 100), ("within", 50)])
def test_killed_on_the_way_nothing_is_sent_twice_or_left_out(
    kafka_settings: Settings, tmp_path: Path, unique_id: str, where: str, sent: int
) -> None:
    """SIGKILL between the second transaction and the third, or in the second before its commit."""
    bench = Workbench(kafka_settings, pipeline(partitions=2), tmp_path, unique_id)
    topic = bench.pipeline.input.name
    bench.produce(topic, [renamed(number) for number in range(170)], [b"c%d" % number for number in range(170)])
    score_here(bench)
    done = run([sys.executable, "-c", DIES, str(bench.file), kafka_settings.bootstrap_servers, where], timeout=60)
    assert done.returncode == -signal.SIGKILL
    found = drive(bench)
    assert (found.before.total(), found.sent) == (sent, 170 - sent)
    again = [dict(each.headers())["fraudstream-input"] for each in bench.read(topic) if each.headers()]
    assert len(again) == len(set(again)) == 170


def test_of_the_letters_no_more_are_held_than_are_sent_at_once(
    kafka_settings: Settings, tmp_path: Path, unique_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, and however long: 80 MB of them here."""
    monkeypatch.setattr(tail, "_AT_ONCE", 50)  # what the reader holds besides
    bench = Workbench(kafka_settings, pipeline(partitions=1), tmp_path, unique_id)
    topic, name = bench.pipeline.input.name, bench.pipeline.name
    reject = Reject(0, RejectClass.NOT_JSON, "it is not")
    letters = [dead_letter(reject, topic, 0, offset, 0, None, b"x" * 30_000, name) for offset in range(2_000)]
    bench.produce(bench.pipeline.dead_letters.name, letters)
    tracemalloc.start()
    try:
        assert drive(bench, send=False).ready == {"not_json": 2_000}
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < sum(map(len, letters)) * 0.75, "of all, and of what they hold, it would be twice that"
