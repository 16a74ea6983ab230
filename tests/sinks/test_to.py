"""`fraudstream sink to`: from a real topic into systems, and nothing is lost when it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
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


def start(bench: Workbench, sink: str) -> subprocess.Popen[str]:
    """A sink in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FRAUDSTREAM_")}
    return subprocess.Popen(
        [sys.executable, "-m", "fraudstream", "sink", "to", sink, str(bench.file),
         "-b", bench.settings.bootstrap_servers],
        cwd=bench.folder, env=clean | ENVIRON, text=True,
    )  # fmt: skip


@pytest.fixture
def caught_up(command: Run, kafka_settings: Settings) -> Iterator[Callable[..., dict[str, int]]]:
    """Runs a sink until it has delivered what there is; returns what it says it did."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(sink: str) -> dict[str, int]:
        arguments = ("--until-caught-up", "--json", "-b", kafka_settings.bootstrap_servers)
        done = command("sink", "to", sink, "pipeline.yaml", *arguments, env=ENVIRON)
        assert done.returncode == 0, done.stderr
        summary: dict[str, int] = json.loads(done.stdout)["summary"]
        return summary

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_killed_while_it_delivers_nothing_is_lost(
    kafka_settings: Settings, tmp_path: Path, unique_id: str, caught_up: Callable[[str], dict[str, int]]
) -> None:
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
        assert {sink: caught_up(sink) for sink in SINKS} == dict.fromkeys(SINKS, expected)
        bench.produce(topic, [alert(n, topic=input_topic) for n in range(20, 25)])
        expected = {"delivered": 5, "refused": 0, "others": 0, "interruptions": 0}
        assert caught_up("syslog") == expected
        for sink, stage in stages.items():
            count = 25 if sink == "syslog" else 20
            texts = stage.arrived()
            assert [sum(f"{input_topic}-0-{n}" + end in text for text in texts for end in (' act', '","')) > 0
                    for n in range(count)] == [True] * count  # fmt: skip
            assert len(texts) == count


def test_check_says_every_problem(command: Run, tmp_path: Path) -> None:
    (tmp_path / "sinks.yaml").write_text(FILE.format(splunk=1, elastic=2, syslog=3))
    wrong = command("sink", "check", env={"TOKEN": TOKEN})
    assert wrong.returncode == 1
    assert "sinks.elastic.api_key: the environment variable KEY is not set." in wrong.stdout
    right = command("sink", "check", env=ENVIRON)
    assert (right.returncode, right.stdout) == (0, "sinks.yaml is ok: splunk, elastic, syslog\n")
    unknown = command("sink", "to", "splnk", "retail")
    assert unknown.returncode == 2
    assert "no sink 'splnk'. There are: splunk, elastic, syslog." in unknown.stderr


def test_a_sink_needs_no_secret_of_another(command: Run, tmp_path: Path) -> None:
    """So each may run where only its own are."""
    (tmp_path / "sinks.yaml").write_text(FILE.format(splunk=1, elastic=2, syslog=3))
    own = command("sink", "to", "elastic", "retail", "-b", "127.0.0.1:1", env={"TOKEN": TOKEN})
    assert own.returncode == 2 and "KEY is not set" in own.stderr
    others = command("sink", "to", "syslog", "retail", "-b", "127.0.0.1:1")
    assert "is not set" not in others.stderr and "127.0.0.1:1" in others.stderr
