"""`fraudstream sink to`: from a real topic into systems, and nothing is lost when it is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fraudstream.settings import Settings
from fraudstream.testing.behaviour import Behaviour
from notify.alerts import alert
from runner.small import pipeline
from runner.workbench import Workbench, kill
from servers import receiver, syslog

from .test_cef import Logged
from .test_elasticsearch import KEY, Node
from .test_splunk import TOKEN, Collector

pytestmark = pytest.mark.kafka
Run = Callable[..., subprocess.CompletedProcess[str]]
ENVIRON = {"TOKEN": TOKEN, "KEY": KEY}
FILE = """
sinks:
  splunk: {{kind: splunk, url: "http://127.0.0.1:{splunk}", token: "${{TOKEN}}"}}
  elastic: {{kind: elasticsearch, url: "http://127.0.0.1:{elastic}", api_key: "${{KEY}}"}}
  syslog: {{kind: cef, url: "tcp://127.0.0.1:{syslog}"}}
"""
SINKS = ("splunk", "elastic", "syslog")


def start(bench: Workbench, sink: str, *arguments: str) -> subprocess.Popen[str]:
    """A sink in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FRAUDSTREAM_")}
    return subprocess.Popen(
        [sys.executable, "-m", "fraudstream", "sink", "to", sink, str(bench.file), "--json",
         "-b", bench.settings.bootstrap_servers, *arguments],
        cwd=bench.folder, env=clean | ENVIRON, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def caught_up(bench: Workbench, *sinks: str) -> dict[str, dict[str, int]]:
    """Runs sinks until they have delivered what there is; returns what each says it did."""
    processes = {sink: start(bench, sink, "--until-caught-up") for sink in sinks}
    said = {sink: process.communicate(timeout=60) for sink, process in processes.items()}
    return {sink: json.loads(output)["summary"] for sink, (output, errors) in said.items() if not errors}


def test_killed_while_it_delivers_nothing_is_lost(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> None:
    """kill -9 when the systems have got the alerts and have not answered; the next run delivers all of them, the one
    after it only what is new."""
    bench = Workbench(kafka_settings, pipeline(partitions=1), tmp_path, unique_id)
    topic, input_topic = bench.pipeline.routes[1].topic, bench.pipeline.input.name
    with receiver() as for_splunk, receiver() as for_elastic, syslog() as for_syslog:
        stages = {"splunk": Collector(for_splunk), "elastic": Node(for_elastic), "syslog": Logged(for_syslog)}
        ports = {name: stage.server.port for name, stage in stages.items()}
        (tmp_path / "sinks.yaml").write_text(FILE.format(**ports))
        bench.produce(topic, [b"[1]", alert(99, topic="elsewhere"), *(alert(n, topic=input_topic) for n in range(20))])
        for stage in stages.values():
            stage.behave(Behaviour.SILENT)
        processes = [start(bench, sink) for sink in SINKS]
        bench.wait_for(lambda: all(stage.server.heard for stage in stages.values()))
        for process in processes:
            kill(process)
        for stage in stages.values():
            assert stage.arrived() == []
            stage.behave(Behaviour.TAKES)
        expected = {"delivered": 20, "refused": 0, "others": 1, "interruptions": 0}
        assert caught_up(bench, *SINKS) == dict.fromkeys(SINKS, expected)
        bench.produce(topic, [alert(n, topic=input_topic) for n in range(20, 25)])
        expected = {"delivered": 5, "refused": 0, "others": 0, "interruptions": 0}
        assert caught_up(bench, "syslog") == {"syslog": expected}
        for sink, stage in stages.items():
            count = 25 if sink == "syslog" else 20
            texts = stage.arrived()
            assert [sum(f"{input_topic}-0-{n}" + end in text for text in texts for end in (' act', '","')) > 0
                    for n in range(count)] == [True] * count  # fmt: skip
            assert len(texts) == count


def test_check_says_every_problem(fraudstream: Run, tmp_path: Path) -> None:
    (tmp_path / "sinks.yaml").write_text(FILE.format(splunk=1, elastic=2, syslog=3))
    wrong = fraudstream("sink", "check", env={"TOKEN": TOKEN})
    assert wrong.returncode == 1
    assert "sinks.elastic.api_key: the environment variable KEY is not set." in wrong.stdout
    right = fraudstream("sink", "check", env=ENVIRON)
    assert (right.returncode, right.stdout) == (0, "sinks.yaml is ok: splunk, elastic, syslog\n")
    unknown = fraudstream("sink", "to", "splnk", "retail", env=ENVIRON)
    assert unknown.returncode == 2
    assert "no sink 'splnk'" in unknown.stderr
