"""What the processes around a scorer tell of themselves is what they did, and what docs/metrics.md lists."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from proxy import Act, Proxy

from fraudstream.engine.alerts import alert_routes
from fraudstream.monitoring.measure import Periods
from fraudstream.monitoring.metrics import Board
from fraudstream.monitoring.watch import Sources, Watch
from fraudstream.pipelines import find_plan
from fraudstream.plan.plan import Plan
from fraudstream.settings import Settings, load_settings
from fraudstream.sinks.alerts import AlertTarget
from fraudstream.sinks.lake import LakeTarget
from fraudstream.sinks.load import load_sinks
from fraudstream.sinks.loop import Pace, SinkLoop
from fraudstream.sinks.store import StoreTarget
from fraudstream.testing.behaviour import Behaviour
from notify.alerts import alert
from notify.test_notifier import HOOK, Desk
from runner.small import pipeline
from runner.workbench import Workbench
from servers import receiver
from sinks.keeping import decided, made
from sinks.test_splunk import TOKEN, Collector

from .scraped import Scraped, get, serving, until

pytestmark = pytest.mark.kafka
COUNT = 300


@contextmanager
def at_work(loop: Any, command: str, **labels: str) -> Iterator[int]:
    """A loop at work in this process, with its metrics served; yields the port."""
    thread = threading.Thread(target=loop.run)
    with serving(loop, command, **labels) as port:
        thread.start()
        try:
            yield port
        finally:
            loop.stop()
            thread.join()


def kept(bench: Workbench, target: Any, **labels: str) -> Scraped:
    """The metrics of a sink that has written what there is and knows that there is no more."""
    loop = SinkLoop(bench.settings, target.topics, target, Pace(100, 0.1))
    with at_work(loop, "sink", **labels) as port:

        def done() -> bool:
            seen = Scraped(port)
            return (
                bool(seen.of("kafka_received_bytes_total")) and seen.of("consumer_lag_records", topic=bench.scores) == 0
            )

        until(lambda: sum(loop.progress.by_topic.values()) == COUNT and done())
        assert get(port, "/readyz") == get(port, "/healthz") == (200, "ok\n")
        return Scraped(port)


def test_what_the_store_and_the_lake_have_taken(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> None:
    bench = Workbench(kafka_settings, pipeline(partitions=1), tmp_path, unique_id)
    bench.produce(bench.scores, decided(COUNT, bench.pipeline.input.name))
    plan, here = find_plan(bench.file), load_settings(environ={}, folder=tmp_path)
    lake = LakeTarget(bench.settings, plan)
    for name, target in (("store", StoreTarget(made(here), plan)), ("lake", lake)):
        seen = kept(bench, target, pipeline="small", sink=name)
        assert seen.of("sink_records_total", topic=bench.scores, sink=name) == COUNT
        assert seen.of("sink_rows_total", table="decisions") == COUNT
        assert seen.of("sink_write_duration_seconds_count") == seen.of("sink_writes_total") == 3
        seen.assert_sound()
        seen.assert_documented("Sinks", "Sinks into the store and the lake", of_process={"pipeline", "sink"})


def test_a_sink_whose_system_is_away_is_alive_and_not_ready(
    kafka_settings: Settings,
    tmp_path: Path,
    unique_id: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Workbench(kafka_settings, pipeline(partitions=1), tmp_path, unique_id)
    (route,) = alert_routes(bench.pipeline)
    bench.produce(route.topic, [alert(number, topic=bench.pipeline.input.name) for number in range(5)])
    monkeypatch.setenv("TOKEN", TOKEN)
    with receiver() as server:
        collector = Collector(server)
        declared = tmp_path / "sinks.yaml"
        declared.write_text(
            f'sinks: {{splunk: {{kind: splunk, url: "http://127.0.0.1:{server.port}", token: "${{TOKEN}}"}}}}'
        )
        store = made(load_settings(environ={}, folder=tmp_path))
        target = AlertTarget(load_sinks(declared)["splunk"], store, bench.pipeline, "splunk", tmp_path / "refused")
        collector.behave(Behaviour.REFUSES)
        loop = SinkLoop(bench.settings, [route.topic], target, Pace(100, 0.1))
        with at_work(loop, "sink", pipeline="small", sink="splunk") as port:
            until(lambda: Scraped(port).of("sink_interruptions_total") not in (None, 0.0))
            assert get(port, "/readyz").status == 503 and "503" in get(port, "/readyz").text
            assert get(port, "/healthz").status == 200
            collector.behave(Behaviour.TAKES)
            until(lambda: Scraped(port).of("sink_alerts_total", result="delivered") == 5)
            until(lambda: get(port, "/readyz").status == 200)
            seen = Scraped(port)
    seen.assert_sound()
    assert caplog.text.index("Trying again in") < caplog.text.index("It is back: 5 records written, going on.")
    seen.assert_documented("Sinks", "Sinks into other systems", of_process={"pipeline", "sink"})


class Watching:
    """`monitor --watch`, as its command runs it."""

    def __init__(self, settings: Settings, plan: Plan) -> None:
        self._sources, self._stopping = Sources(settings, plan, None, 100), False
        self._watch = Watch(plan, None, Periods(86_400_000, 86_400_000, 86_400_000), 100, None)
        self._board = Board(self._sources)
        self.unready, self.series, self.stuck_after_s = self._board.unready, self._board.series, 60.0

    @property
    def moved_at_s(self) -> float:
        return self._board.moved_at_s

    def stop(self) -> None:
        self._stopping = True

    def run(self) -> None:
        while not self._stopping:
            self._sources.feed(self._watch, 0.1)
            self._board.show(self._watch.report())


@pytest.mark.parametrize("command", ["sink", "monitor"])
def test_what_is_cut_off_from_kafka_is_not_ready_until_it_is_back(
    broker: str, kafka_settings: Settings, tmp_path: Path, unique_id: str, command: str
) -> None:
    """All that is known of its lag then is how it was."""
    bench = Workbench(kafka_settings, pipeline(partitions=1), tmp_path, unique_id)
    bench.produce(bench.scores, decided(COUNT, bench.pipeline.input.name))
    proxy = Proxy(broker)
    try:
        settings = load_settings({"bootstrap_servers": proxy.address}, environ={}, folder=tmp_path)
        plan = find_plan(bench.file)
        target = StoreTarget(made(load_settings(environ={}, folder=tmp_path)), plan)
        loops: dict[str, Callable[[], Any]] = {
            "sink": lambda: SinkLoop(settings, target.topics, target, Pace(100, 0.1)),
            "monitor": lambda: Watching(settings, plan),
        }
        with at_work(loops[command](), command, pipeline="small") as port:
            until(lambda: get(port, "/readyz").status == 200)
            proxy.rule = lambda _: Act.DROP
            until(lambda: get(port, "/readyz") == (503, "no Kafka broker can be reached\n"))
            assert Scraped(port).of("ready") == 0
            assert get(port, "/healthz").status == 200
            proxy.rule = lambda _: Act.PASS
            until(lambda: get(port, "/readyz").status == 200)
    finally:
        proxy.close()


def test_what_a_notifier_told_and_put_off(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> None:
    with receiver() as server, receiver() as broken:
        broken.behave(Behaviour.REFUSES)
        desk = Desk(kafka_settings, tmp_path, unique_id, server)
        desk.environ["AWAY"] = f"http://127.0.0.1:{broken.port}/"
        repeats = HOOK.replace("retry:", "repeats: {by: [key], after: 1h}, retry:")
        desk.declare(f"cases: {repeats}\n  away: {HOOK.replace('HOOK', 'AWAY')}")
        desk.alert(0, 1, 2)
        desk.bench.produce(desk.topic, [b"[1]"])
        with at_work(desk.notifier(), "notify", notifier="small") as port:
            until(lambda: Scraped(port).of("notifications_total", channel="away", result="put_off") not in (None, 0.0))
            until(lambda: Scraped(port).of("notifications_total", channel="cases", result="sent") == 1)
            until(lambda: Scraped(port).of("outbox_notifications", channel="away", state="waiting") not in (None, 0.0))
            until(lambda: Scraped(port).of("consumer_lag_records") == 0)
            assert get(port, "/readyz") == (200, "ok\n")
            seen = Scraped(port)
    assert (seen.of("notifier_alerts_total"), seen.of("notifier_foreign_records_total")) == (3, 1)
    assert seen.of("notifier_channel_alerts_total", channel="cases", result="told") == 1
    assert seen.of("notifier_channel_alerts_total", channel="cases", result="suppressed") == 2
    assert seen.of("notifier_channel_alerts_total", channel="away", result="told") == 3
    assert seen.of("outbox_oldest_timestamp_seconds", channel="away", state="waiting") is not None
    seen.assert_sound()
    seen.assert_documented("The notifier", of_process={"notifier"})


def test_traffic_is_served_where_the_command_line_says(
    kafka_settings: Settings, tmp_path: Path, new_topic: Callable[..., str]
) -> None:
    """The whole way of `--metrics-port`: a process of its own, the address it says, and an end that is a normal one."""
    topic = new_topic("traffic")
    process = subprocess.Popen(
        [sys.executable, "-m", "fraudstream", "simulate", "retail", "--topic", topic, "--labels-topic", "none",
         "--rate", "500", "--customers", "500", "--metrics-port", "0", "-b", kafka_settings.bootstrap_servers],
        cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if not name.startswith("FRAUDSTREAM_")},
    )  # fmt: skip
    assert process.stderr is not None
    line = next(line for line in process.stderr if line.startswith("metrics"))
    found = re.fullmatch(r"metrics and health at http://127\.0\.0\.1:(\d+)/metrics\n", line)
    assert found is not None, line
    port = int(found[1])
    until(lambda: (Scraped(port).of("sent_events_total", topic=topic) or 0) > 100)
    seen = Scraped(port)
    assert seen.of("process_info", command="simulate") == 1 and get(port, "/readyz").status == 200
    seen.assert_sound()
    seen.assert_documented("Traffic", of_process={"topic"})
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
