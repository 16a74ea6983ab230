"""`fraudstream status` on a real broker and store: what it shows is so, and what is away costs seconds only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fraudstream.define.decision import ModelRef
from fraudstream.pipelines import find_plan
from fraudstream.runner.switches import turn
from fraudstream.settings import Settings, load_settings
from fraudstream.sinks.loop import SinkLoop
from fraudstream.sinks.store import PACE, StoreTarget
from fraudstream.status.line import Line, Seen
from fraudstream.status.overview import LIMIT_S, PipelineStatus, look
from fraudstream.store.cases import open_case
from fraudstream.store.engine import connect
from fraudstream.store.migrate import upgrade
from fraudstream.store.tables import notifications
from runner import small, tiny_model
from runner.workbench import Workbench

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bench(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> Workbench:
    pipeline = small.pipeline(model=ModelRef(features=tiny_model.FEATURES))
    return Workbench(kafka_settings, pipeline, tmp_path, unique_id)


def settings_of(bench: Workbench, **environ: str) -> Settings:
    flags = {"bootstrap_servers": bench.settings.bootstrap_servers}
    return load_settings(flags, environ=environ, folder=bench.folder)


def figures(status: PipelineStatus) -> dict[str, Any]:
    """The figures of each line; none is in trouble."""
    (found,) = look([status])
    assert {name: seen.text for name, seen in found.lines.items() if "trouble" in seen.figures} == {}
    return {name: seen.figures for name, seen in found.lines.items()}


@pytest.mark.kafka
@pytest.mark.slow
def test_every_line_shows_what_is_so_and_follows_what_happens(bench: Workbench, command: Command) -> None:
    settings = settings_of(bench)
    status = PipelineStatus(settings, find_plan(bench.file))
    champion, challenger = tiny_model.add(bench, 0.001), tiny_model.add(bench, 0.002)
    values, keys = small.events(200)
    bench.produce(bench.pipeline.input.name, [*values, b"no JSON", b"[]", b"{"], [*keys, b"a", b"b", b"c"])
    found = figures(status)
    assert found["scoring"] == {"members": (), "state": "none", "lag_records": 203, "records_per_second": 0}
    assert found["decisions"] == {
        "last_decision_at": None, "alerts_today": 0, "dead_letters_today": {}, "complete": True
    }  # fmt: skip
    assert found["state"] == {"snapshots": {}}

    small.score_here(bench)
    turn(settings, bench.pipeline, "HIGH", off=True, by="test", reason="test")
    alerts = bench.count(bench.pipeline.routes[1].topic)
    assert alerts > 5
    store = connect(settings)
    upgrade(store)
    target = StoreTarget(store, find_plan(bench.file))
    SinkLoop(settings, target.topics, target, PACE).run(until_caught_up=True)
    (alert, *_) = [json.loads(message.value()) for message in bench.read(bench.pipeline.routes[1].topic)]
    open_case(store, bench.pipeline.name, alert["alert_id"])
    with store.begin() as connection:
        text = {"belongs_to": "", "risk_level": "HIGH"}
        numbers = dict.fromkeys(("alerts", "repeats", "attempts", "created_at", "due_at"), 1)
        row = {"notification_id": "n", "notifier": "x", "channel": "y", "state": "failed", **text, **numbers}
        connection.execute(notifications.insert().values(row))
    found = figures(status)
    assert found["scoring"]["lag_records"] == 0
    assert found["scoring"]["records_per_second"] > 0
    assert found["decisions"]["alerts_today"] == alerts
    assert found["decisions"]["dead_letters_today"] == {"not_json": 2, "not_object": 1}
    assert abs(found["decisions"]["last_decision_at"] / 1_000 - time.time()) < 60
    assert found["model"] == {"champion": champion, "challengers": (challenger,)}
    assert found["switches"] == {"off": ["HIGH"]}
    assert list(found["state"]["snapshots"]) == [f"fraudstream-{bench.pipeline.name}-0"]
    assert found["sinks"] == {"lag_records": {f"store-{bench.pipeline.name}": 0}}
    assert found["outbox"] == {"waiting": 0, "failed": 1}
    assert found["cases"] == {"open": 1, "working": 0}
    assert found["drift"]["decisions"] == 200

    done = command("status", str(bench.file), "-b", bench.settings.bootstrap_servers)
    assert done.returncode == 0
    head, *lines = done.stdout.splitlines()
    assert head.startswith(f"{bench.pipeline.name}  20")
    assert [line.split()[0] for line in lines] == list(found)
    assert not any("?" in line for line in lines), lines


@pytest.mark.kafka
@pytest.mark.slow
def test_watching_shows_again_until_stopped(bench: Workbench) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FRAUDSTREAM_")}
    options = ("--watch", "--every", "100ms", "--json", "-b", bench.settings.bootstrap_servers)
    process = subprocess.Popen(
        [sys.executable, "-m", "fraudstream", "status", str(bench.file), *options],
        cwd=bench.folder, env=clean, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    shown = [json.loads(process.stdout.readline()) for _ in range(3)]
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert all(list(each["pipelines"]) == [bench.pipeline.name] for each in shown)
    assert shown[0]["at"] <= shown[2]["at"]


def test_what_is_away_is_shown_so_in_its_line_after_seconds(command: Command, tmp_path: Path) -> None:
    (tmp_path / "store.url").write_text("postgresql://u:hidden@127.0.0.1:1/x")
    began = time.monotonic()
    done = command("status", "retail", "-b", "127.0.0.1:1", "--set", "store_url_file=store.url")
    assert time.monotonic() - began < LIMIT_S + 3
    assert done.returncode == 0
    lines = dict(line.strip().split(maxsplit=1) for line in done.stdout.splitlines()[1:])
    for name in ("scoring", "decisions", "switches", "drift"):
        assert "127.0.0.1:1" in lines[name] or "no answer" in lines[name], lines[name]
    for name in ("sinks", "outbox", "cases"):
        assert lines[name].startswith("? The store postgresql://127.0.0.1:1/x failed"), lines[name]
    assert "no snapshot here" in lines["state"]
    assert "none: the rules decide alone" in lines["model"]
    assert "hidden" not in done.stdout


def test_a_question_that_hangs_is_not_asked_again_beside_itself() -> None:
    asked, ending = [], threading.Event()

    def hangs() -> Seen:
        asked.append(1)
        ending.wait()
        return Seen("there", {})

    line = Line("slow", hangs)
    for _ in range(2):
        line.ask()
        assert "no answer" in line.read(time.monotonic() + 0.01).text
    ending.set()
    line.ask()
    assert line.read(time.monotonic() + 5).text == "there"
    assert asked == [1]


@pytest.mark.kafka
def test_scorers_of_another_group_are_found_by_its_name(bench: Workbench, command: Command) -> None:
    bench.produce(bench.pipeline.input.name, *small.events(9))
    group = f"{bench.pipeline.name}-eu"
    small.score_here(bench, group=group, instance="b")
    at = ("status", str(bench.file), "-b", bench.settings.bootstrap_servers)
    (found,) = json.loads(command(*at, "--group", group, "--json").stdout)["pipelines"].values()
    assert (found["scoring"]["state"], found["scoring"]["lag_records"]) == ("empty", 0)
    assert list(found["state"]["snapshots"]) == [f"{group}-b"]
    (found,) = json.loads(command(*at, "--json").stdout)["pipelines"].values()
    assert (found["scoring"]["state"], found["scoring"]["lag_records"]) == ("none", 9)
    refused = command(*at, "retail", "--group", group)
    assert refused.returncode == 2
    assert "one pipeline's, and 2 are named" in refused.stderr


@pytest.mark.kafka
def test_without_a_name_the_pipelines_that_have_run_are_shown(broker: str, bench: Workbench, command: Command) -> None:
    folder = bench.folder / "pipelines"
    folder.mkdir()
    name = msgspec.structs.replace(bench.pipeline, model=None).name
    (folder / f"{name}.yaml").write_text(bench.file.read_text())
    assert name not in command("status", "-b", broker).stdout
    bench.produce(bench.pipeline.input.name, *small.events(5))
    small.score_here(bench)
    assert name in command("status", "-b", broker).stdout
