"""`--log-format json`: whatever happens, each line of stderr is one JSON object that says where and what."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from project import ROOT

from fraudstream.settings import Settings
from fraudstream.telemetry import logs
from runner.small import EVENT, events, pipeline
from runner.workbench import Workbench

from .scraped import until

CARD = "4539578763621486"
POISON = [f'{{"id": "x", "at": 1, "card": "{CARD}", "shop": 5, "amount": 1}}'.encode(), b"no", b"no"]


def start(bench: Workbench, name: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A scorer whose stderr goes to a file of its own."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("FRAUDSTREAM_")}
    return subprocess.Popen(
        [sys.executable, "-m", "fraudstream", "run", str(bench.file), "-b", bench.settings.bootstrap_servers,
         "--instance", name, "--log-format", "json", *arguments],
        cwd=bench.folder, env=clean, stdout=subprocess.DEVNULL, stderr=(bench.folder / name).open("wb"),
    )  # fmt: skip


def lines(bench: Workbench, name: str) -> list[dict[str, Any]]:
    """What a scorer logged so far, whole lines; fails where one is no JSON object."""
    text = (bench.folder / name).read_text()
    found = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    assert all(isinstance(line, dict) for line in found)
    return found


def of_kind(bench: Workbench, name: str, kind: str) -> list[dict[str, Any]]:
    return [line for line in lines(bench, name) if line.get("kind") == kind]


@pytest.mark.kafka
def test_every_line_is_json_from_start_to_end(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> None:
    """A start, poison, a second scorer and the rebalance it causes, the end of both."""
    fields = tuple(msgspec.structs.replace(each, sensitive=each.name == "card") for each in EVENT.fields)
    declared = msgspec.structs.replace(pipeline(), event=msgspec.structs.replace(EVENT, fields=fields))
    bench = Workbench(kafka_settings, declared, tmp_path, unique_id)
    values, keys = events(200)
    bench.produce(bench.pipeline.input.name, [*values, *POISON], [*keys, *[CARD.encode()] * len(POISON)])
    first = start(bench, "a")
    until(lambda: bool((tmp_path / "a").exists() and of_kind(bench, "a", "dead_letters")), 60)
    second = start(bench, "b", "--metrics-port", "0")
    until(lambda: bool(of_kind(bench, "b", "ready") and len(of_kind(bench, "a", "assigned")) == 2), 60)
    for process in (first, second):
        process.send_signal(signal.SIGTERM)
    assert [process.wait(30) for process in (first, second)] == [0, 0]

    told = lines(bench, "a")
    for line in (*told, *lines(bench, "b")):
        assert {"ts", "level", "logger", "event", "command", "pipeline", "instance"} <= line.keys()
        assert (line["command"], line["pipeline"]) == ("run", bench.pipeline.name)
    assert {line["instance"] for line in told} == {"a"}
    kinds = [line.get("kind") for line in told]
    assert kinds.index("assigned") < kinds.index("ready") < kinds.index("dead_letters") < kinds.index("revoked")
    assert {"note", "statistics", "snapshot"} <= set(kinds)
    letters = {line["class"]: line for line in of_kind(bench, "a", "dead_letters")}
    assert letters["not_json"]["count"] == 2 and letters["wrong_type"]["count"] == 1
    places = [(each["input"]["partition"], each["input"]["offset"]) for each in bench.dead_letters()]
    for line in letters.values():
        assert line["topic"] == bench.pipeline.input.name and (line["partition"], line["offset"]) in places
    owned = of_kind(bench, "a", "assigned")[0]["partitions"]
    assert [each["partition"] for each in owned] == [0, 1, 2]
    assert CARD not in (tmp_path / "a").read_text() + (tmp_path / "b").read_text()


@pytest.mark.kafka
def test_what_is_wrong_is_a_line_too(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> None:
    bench = Workbench(kafka_settings, pipeline(), tmp_path, unique_id)
    bench.change(control=msgspec.structs.replace(bench.pipeline.control, name="gone"))
    assert start(bench, "a").wait(60) == 3
    (line,) = lines(bench, "a")
    assert (line["level"], line["kind"]) == ("error", "error") and "gone" in line["event"]


def test_a_thread_that_ends_with_a_trace_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(logs, "_json", None)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    try:
        logs.begin_json()
        thread = threading.Thread(target=lambda: 1 / 0, name="odd")
        thread.start()
        thread.join()
        (text,) = capsys.readouterr().err.splitlines()
    finally:
        logging.captureWarnings(False)
        logging.getLogger("fraudstream").setLevel(logging.NOTSET)
    line = json.loads(text)
    assert line["level"] == "critical" and "the thread odd ended" in line["event"]
    assert "ZeroDivisionError" in line["exception"]


def test_the_page_lists_every_kind_of_line() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    kinds = set(re.findall(r'(?:extra=|about = )\{\s*"kind": "(\w+)"', source)) | {"lost", "revoked", "error"}
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    section = page.partition("\n| kind | ")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == kinds
