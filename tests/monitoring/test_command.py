"""`fraudstream monitor`: on files, on the topics of a real broker, and its metrics."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from msgspec.structs import replace

from fraudstream.define.write import to_yaml
from fraudstream.monitoring.metrics import Board
from fraudstream.monitoring.watch import Watch
from fraudstream.pipelines import find_plan
from fraudstream.settings import Settings
from runner.small import START_MS, label, score_here
from runner.workbench import Workbench
from telemetry.scraped import Scraped, get, serving

from . import drifting
from .decided import decide, keep_model, payments, watched_plan
from .test_watch import PERIODS

Run = Callable[..., subprocess.CompletedProcess[str]]
COUNT = 400


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the pipeline, its model, decisions as usual and others with amounts three times as large."""
    plan = watched_plan()
    (tmp_path / "small.yaml").write_text(to_yaml(plan.pipeline))
    usual = decide(plan, payments(COUNT))
    keep_model(plan, usual, tmp_path / "models")
    (tmp_path / "usual.jsonl").write_bytes(b"\n".join(usual))
    (tmp_path / "moved.jsonl").write_bytes(b"\n".join(decide(plan, payments(COUNT, factor=3))))
    (tmp_path / "labels.jsonl").write_bytes(b"\n".join(label(number, True, START_MS + 10**9) for number in range(50)))
    return tmp_path


def test_a_file_of_decisions_is_shown_on_one_screen_and_an_alarm_is_the_exit_code(
    fraudstream: Run, project: Path
) -> None:
    well = fraudstream("monitor", "small.yaml", "--decisions", "usual.jsonl", "--labels", "labels.jsonl")
    assert well.returncode == 0, well.stdout + well.stderr
    assert "400 decisions" in well.stdout and "no alarm" in well.stdout and "50 frauds" in well.stdout
    assert "0 of 400 decisions logged other features" in well.stdout
    assert len(well.stdout.splitlines()) < 20
    moved = fraudstream("monitor", "small.yaml", "--decisions", "moved.jsonl")
    assert moved.returncode == 1
    assert "ALARM     amount is distributed otherwise" in moved.stdout
    machine = fraudstream("monitor", "small.yaml", "--decisions", "moved.jsonl", "--json", "--no-skew")
    document = json.loads(machine.stdout)
    assert machine.returncode == 1 and document["skewed"] is None
    assert {"psi", "out_of_range"} <= {alarm["limit"] for alarm in document["alarms"]}
    tolerant = watched_plan(replace(watched_plan().pipeline.monitor, psi=99, ks=1, out_of_range=1, alert_ratio=99))
    (project / "small.yaml").write_text(to_yaml(tolerant.pipeline))
    assert fraudstream("monitor", "small.yaml", "--decisions", "moved.jsonl").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("retail", "--labels", "l.jsonl"), "--labels goes with --decisions"),
        (("retail", "--metrics-port", "0"), "Add --watch"),
        (("retail", "--decisions", "gone.jsonl"), "gone.jsonl cannot be read"),
        (("account-transfers",), "carries every decision as an envelope"),
    ],
)
def test_a_mistake_is_answered_with_one_paragraph(arguments: tuple[str, ...], said: str, fraudstream: Run) -> None:
    done = fraudstream("monitor", *arguments)
    assert done.returncode == 2 and said in done.stderr, done.stderr


def test_metrics_are_those_of_the_newest_report(project: Path) -> None:
    plan = watched_plan()
    registry = keep_model(plan, decide(plan, payments(COUNT)), project / "models")
    watch = Watch(plan, registry, PERIODS, 10**6, None)
    board = Board(SimpleNamespace(moved_at_s=time.monotonic(), unready=lambda: None))  # type: ignore[arg-type]
    with serving(board, "monitor", pipeline="small") as port:
        assert get(port, "/readyz").status == 503
        watch.add((project / "moved.jsonl").read_bytes().splitlines(), [], np.empty(0, np.int64))
        board.show(watch.report())
        assert get(port, "/readyz").status == 200
        seen = Scraped(port)
    assert seen.of("watched_decisions", pipeline="small") == 400
    assert seen.of("alarms", limit="psi") == 2
    assert (seen.of("drift_psi", input="amount") or 0) > 0.25
    assert seen.of("skew_checked") is None
    seen.assert_sound()
    seen.assert_documented("The monitor", of_process={"pipeline"})


@pytest.mark.kafka
def test_topics_are_watched_as_decisions_and_labels_come(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """Decisions of a real scorer: none differs from what the log gives; labels that come are seen in the next look."""
    bench = Workbench(kafka_settings, watched_plan().pipeline, tmp_path, unique_id)
    values = payments(COUNT)
    bench.produce(bench.pipeline.input.name, values, [json.loads(each)["card"].encode() for each in values])
    score_here(bench)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FRAUDSTREAM_")}
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("fraudstream")), "monitor", str(bench.file), "--watch", "--every", "1s",
         "--json", "-b", bench.settings.bootstrap_servers],
        cwd=tmp_path, env=clean, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and bench.pipeline.labels is not None
    first = json.loads(process.stdout.readline())
    assert first["measured"]["traffic"]["decisions"] == COUNT
    assert first["measured"]["traffic"]["degraded"] == COUNT  # there is no model
    assert (first["skewed"]["checked"], first["skewed"]["differing"]) == (COUNT, 0)
    bench.produce(bench.pipeline.labels.name, [label(number, True, 1) for number in range(9)])
    while json.loads(process.stdout.readline())["measured"]["quality"]["labelled"] < 9:
        pass
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 1  # decisions without the model are an alarm


def test_retraining_makes_a_champion_keeps_it_and_tells_what_it_did(fraudstream: Run, tmp_path: Path) -> None:
    """The first version is the champion; the same history gives it again; every step is told in order."""
    some = drifting.payments(12, None, 300)
    some.history(find_plan("terminal-payments", environ={}), tmp_path)
    command = ("retrain", "terminal-payments", "--data", "events.jsonl", "--truth", "truth.parquet")
    first, again = (fraudstream(*command, "--label-delay", "1d", "--json") for _ in range(2))
    assert first.returncode == 0 and again.returncode == 0, first.stderr + again.stderr
    ends = [json.loads(each.stdout) for each in (first, again)]
    assert [each["step"] for each in ends] == ["promoted", "kept"]
    assert ends[0]["version"] == ends[1]["version"] == ends[1]["champion"]
    told = fraudstream("retrain", "terminal-payments", "--history").stdout.splitlines()
    assert [line.split()[1] for line in told] == ["began", "trained", "promoted", "began", "trained", "kept"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("account-transfers",), "declares no model"),
        (("terminal-payments", "--test-share", "1"), "between 0 and 1"),
        (("terminal-payments", "--every", "soon"), "--every: 'soon' is not a duration"),
        (("terminal-payments", "--data", "gone.csv"), "gone.csv is not there"),
    ],
)
def test_a_mistake_in_retraining_is_answered_with_one_paragraph(
    arguments: tuple[str, ...], said: str, fraudstream: Run
) -> None:
    done = fraudstream("retrain", *arguments)
    assert done.returncode == 2 and said in done.stderr, done.stderr
