"""`fraudstream alerts`: what it shows, when it ends, and that it leaves no trace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fraudstream.cli.alerts import readable, sentences
from fraudstream.define.pipeline import Form, Route, Selection
from fraudstream.kafka.tail import Record, TopicTail
from fraudstream.settings import Settings
from runner.small import event, pipeline, score_here
from runner.workbench import Workbench

Run = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.kafka


@pytest.fixture
def bench(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> Workbench:
    """A pipeline with three alerts among six decisions."""
    made = Workbench(kafka_settings, pipeline(partitions=1), tmp_path, unique_id)
    amounts = [1, 1234.5, 2, 900, 3, 99999.99]
    made.produce(made.pipeline.input.name, [event(i, card="c1", amount=a) for i, a in enumerate(amounts)])
    score_here(made)
    return made


def test_lines_for_people_and_records_for_machines(fraudstream: Run, bench: Workbench) -> None:
    """Level, action, key, amount as money, reasons, id; with --json the record's own bytes; --limit ends it."""
    common = ("alerts", str(bench.file), "--from-beginning", "-b", bench.settings.bootstrap_servers)
    shown = fraudstream(*common, "--limit", "3")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    topic = bench.pipeline.input.name
    assert [line.split()[1:] for line in lines] == [
        ["CRITICAL", "BLOCK", "c1", amount, "HIGH", f"{topic}-0-{offset}"]
        for amount, offset in (("1,234.50", 1), ("900.00", 3), ("99,999.99", 5))
    ]
    explained = fraudstream(*common, "--why", "--limit", "1")
    assert explained.stdout.splitlines() == [lines[0], "    It is so that amount >= 900."]
    machine = fraudstream(*common, "--json", "--limit", "2")
    assert machine.stderr == ""
    records = [message.value().decode() for message in bench.read(bench.pipeline.routes[1].topic)]
    assert machine.stdout.splitlines() == records[:2]
    assert json.loads(records[0])["amount"] == 1234.5


def test_reasons_are_told_from_any_form_and_nothing_strange_reaches_the_terminal() -> None:
    reasons = [{"sentence": "Large.", "contribution": None}, {"sentence": "A\x1b[2J", "contribution": -1.234}]
    told = ["Large.", "A\ufffd[2J (-1.23)"]
    alert = {"alert_id": "t-0-1", "explanation": {"reasons": reasons}}
    assert sentences(json.dumps(alert).encode()) == sentences(json.dumps({"decision": alert}).encode()) == told
    for value in (
        b"",
        b"[1]",
        b"{}",
        b'{"explanation": {"reasons": [{"sentence": 1, "contribution": "x"}]}}',
        b"[" * 9999,
    ):
        assert sentences(value) == []


def test_alerts_of_another_pipeline_on_the_same_topic_are_left_out(fraudstream: Run, bench: Workbench) -> None:
    """An alert of another input is not shown, in either form of output; what is no alert is still named."""
    topic = bench.pipeline.routes[1].topic
    (first, *_) = [message.value() for message in bench.read(topic)]
    other = first.replace(f'"{bench.pipeline.input.name}-'.encode(), b'"elsewhere-')
    assert other != first
    bench.produce(topic, [other, b"[1]"])
    common = ("alerts", str(bench.file), "--from-beginning", "-b", bench.settings.bootstrap_servers, "--limit", "4")
    shown = fraudstream(*common).stdout
    assert "elsewhere" not in shown
    assert "not an alert" in shown
    assert "elsewhere" not in fraudstream(*common, "--json").stdout


def test_it_follows_from_now_and_ctrl_c_ends_it_well(bench: Workbench) -> None:
    """What was there before is not shown; what comes is; exit code 0; no offsets are committed."""
    program = Path(sys.executable).with_name("fraudstream")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FRAUDSTREAM_")}
    process = subprocess.Popen(
        [str(program), "alerts", str(bench.file), "-b", bench.settings.bootstrap_servers],
        cwd=bench.folder, env=clean, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    assert "stop with Ctrl-C" in process.stderr.readline()
    bench.produce(bench.pipeline.input.name, [event(9, card="c2", amount=950)])
    score_here(bench)
    line = process.stdout.readline()
    assert line.split()[3:5] == ["c2", "950.00"]
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert process.stdout.read() == ""
    assert process.stderr.read() == ""
    assert not bench.admin.committed_offsets("fraudstream-tail", [bench.pipeline.routes[1].topic])


def test_a_timeout_ends_it_well(fraudstream: Run, bench: Workbench) -> None:
    """Exit code 0, with nothing shown."""
    asked = time.monotonic()
    run = fraudstream("alerts", str(bench.file), "--timeout", "500ms", "-b", bench.settings.bootstrap_servers)
    assert (run.returncode, run.stdout) == (0, "")
    assert time.monotonic() - asked < 20


def test_the_tail_ends_where_the_topic_ended(bench: Workbench) -> None:
    """`to_end` gives what was there, all of it, and not what comes later; an empty topic gives nothing."""
    tail = TopicTail(bench.settings, [bench.scores], from_beginning=True)
    bench.produce(bench.pipeline.input.name, [event(9)])
    score_here(bench)
    assert [record.offset for record in tail.to_end(20)] == [0, 1, 2, 3, 4, 5]
    tail.close()
    empty = TopicTail(bench.settings, [bench.pipeline.dead_letters.name], from_beginning=True)
    assert list(empty.to_end(20)) == []
    empty.close()


def test_every_form_of_route_is_readable(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> None:
    """Alerts on a flagged route in flat or envelope form show the same; text that commands a terminal does not."""
    flagged = [Route(topic=form.value, carries=Selection.FLAGGED, form=form, partitions=1) for form in Form]
    made = msgspec.structs.replace(pipeline(partitions=1), routes=tuple(flagged))
    bench = Workbench(kafka_settings, made, tmp_path, unique_id)
    bench.produce(bench.pipeline.input.name, [event(0, card="c\x1b[2J1", amount=1234.5)])
    score_here(bench)
    lines = []
    for route in bench.pipeline.routes:
        (message,) = bench.read(route.topic)
        lines.append(readable(bench.pipeline, Record(route.topic, 0, 0, 0, message.key(), message.value())))
    assert len({line.split(maxsplit=1)[1] for line in lines}) == 1, lines
    assert "c�[2J1" in lines[0]
    assert "1,234.50" in lines[0]
    stranger = Record("t", 2, 7, 0, None, b"[1]")
    assert readable(bench.pipeline, stranger) == "not an alert: t-2-7"
