"""Two scorers at once: the same name takes over, another name shares or is refused, and outputs stay exactly once."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fraudstream.errors import UsageError
from fraudstream.runner import start as starting
from fraudstream.runner.loop import StreamLoop
from fraudstream.settings import Settings

from .small import assert_once, events, pipeline, scorer
from .workbench import Workbench, kill

pytestmark = pytest.mark.kafka


@contextmanager
def traffic(bench: Workbench, pause_s: float = 0.03) -> Iterator[list[int]]:
    """Sends events in the background until the block ends; yields the number sent so far in a list."""
    sent, stop = [0], threading.Event()

    def send() -> None:
        while not stop.wait(pause_s):
            values, keys = events(20, begin=sent[0])
            bench.produce(bench.pipeline.input.name, values, keys)
            sent[0] += 20

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join()


class Running:
    """A scorer on a thread of this process; what it raised is in `error`."""

    def __init__(self, loop: StreamLoop) -> None:
        self.loop = loop
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.loop.run()
        except BaseException as error:
            self.error = error

    def stop(self) -> None:
        self.loop.stop()
        self.thread.join(30)
        assert not self.thread.is_alive()


def decided(bench: Workbench, more_than: int) -> None:
    """Waits until that many offsets are committed."""
    bench.wait_for(lambda: bench.committed_events() > more_than, 60)


def last_line(bench: Workbench) -> str:
    return (bench.folder / "scorer.log").read_text().splitlines()[-1]


def test_the_same_instance_takes_over_and_the_first_ends_with_4(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """One paragraph says who took the place; every event is decided once."""
    bench = Workbench(kafka_settings, pipeline(shops=True), tmp_path, unique_id)
    with traffic(bench) as sent:
        first = bench.start()
        decided(bench, 50)
        second = Running(scorer(bench))
        assert first.wait(60) == 4
        decided(bench, bench.committed_events() + 100)
    assert last_line(bench).startswith("error: Another process took")
    assert "Traceback" not in (tmp_path / "scorer.log").read_text()
    bench.wait_for(lambda: bench.committed_events() == sent[0])
    second.stop()
    assert second.error is None
    assert_once(bench)


def test_a_scorer_that_slept_gives_way_to_its_successor(
    kafka_settings: Settings, tmp_path: Path, unique_id: str
) -> None:
    """Stopped past its session with a transaction open, it finds its place taken and ends; the successor goes on."""
    bench = Workbench(kafka_settings, pipeline(shops=True), tmp_path, unique_id)
    with traffic(bench, 0.002) as sent:
        first = bench.start()
        decided(bench, 200)
        first.send_signal(signal.SIGSTOP)
        second = Running(scorer(bench))
        time.sleep(11)
        decided(bench, bench.committed_events() + 100)
        first.send_signal(signal.SIGCONT)
        assert first.wait(70) == 4, (tmp_path / "scorer.log").read_text()
        before = bench.committed_events()
        decided(bench, before + 100)
    bench.wait_for(lambda: bench.committed_events() == sent[0])
    second.stop()
    assert second.error is None, second.error
    assert_once(bench)


def test_a_scorer_that_slept_alone_goes_on(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> None:
    """Stopped past its session and its transaction's time, with nobody in its place: it rewinds and continues."""
    bench = Workbench(kafka_settings, pipeline(shops=True), tmp_path, unique_id)
    with traffic(bench, 0.002):
        first = bench.start()
        decided(bench, 200)
        first.send_signal(signal.SIGSTOP)
        time.sleep(12)
        before = bench.committed_events()
        first.send_signal(signal.SIGCONT)
        decided(bench, before + 100)
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0, (tmp_path / "scorer.log").read_text()
    scorer(bench).run(until_caught_up=True)
    assert_once(bench)


def test_another_instance_is_refused_and_the_first_goes_on(
    kafka_settings: Settings, tmp_path: Path, unique_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal names the features that look across partitions, and comes before the newcomer joins."""
    monkeypatch.setattr(starting, "SESSION_OVER_S", 1.0)
    bench = Workbench(kafka_settings, pipeline(shops=True), tmp_path, unique_id)
    with traffic(bench) as sent:
        first = Running(scorer(bench))
        decided(bench, 50)
        with pytest.raises(UsageError, match="shop_count, shop_frauds"):
            scorer(bench, instance="1")
        decided(bench, bench.committed_events() + 50)
    bench.wait_for(lambda: bench.committed_events() == sent[0])
    first.stop()
    assert first.error is None
    assert_once(bench)


def test_a_newcomer_that_joins_all_the_same_is_the_one_to_go(
    kafka_settings: Settings, tmp_path: Path, unique_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where both looked before either joined, the second is refused on its share, and the first takes all again."""
    bench = Workbench(kafka_settings, pipeline(shops=True), tmp_path, unique_id)
    with traffic(bench) as sent:
        first = Running(scorer(bench))
        decided(bench, 50)
        monkeypatch.setattr(starting, "require_alone", lambda *_: None)
        with pytest.raises(UsageError, match="shop_count, shop_frauds"):
            scorer(bench, instance="1").run()
        decided(bench, bench.committed_events() + 100)
    bench.wait_for(lambda: bench.committed_events() == sent[0])
    first.stop()
    assert first.error is None
    assert_once(bench)


def test_scorers_share_partitions_where_features_allow_it(
    kafka_settings: Settings, tmp_path: Path, unique_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Features by the topic's key alone: a second instance takes a share, is killed, and the first takes it back.

    Each rebuilds the state of its own partitions, and takes what the other decided for no loss.
    """
    bench = Workbench(kafka_settings, pipeline(partitions=4), tmp_path, unique_id)
    with traffic(bench) as sent:
        first = Running(scorer(bench))
        decided(bench, 50)
        second = bench.start("--instance", "1")
        bench.wait_for(lambda: 0 < len(first.loop._intake.waiting()) < 4)
        decided(bench, bench.committed_events() + 100)
        kill(second)
        bench.wait_for(lambda: len(first.loop._intake.waiting()) == 4)
        decided(bench, bench.committed_events() + 50)
    bench.wait_for(lambda: bench.committed_events() == sent[0])
    first.stop()
    assert first.error is None
    told = [*caplog.messages, (bench.folder / "scorer.log").read_text()]
    assert not any("no longer in the log" in each for each in told)
    decisions = bench.decisions()
    places = [(each["decision"]["input"]["partition"], each["decision"]["input"]["offset"]) for each in decisions]
    assert len(places) == len(set(places)) == bench.committed_events()
    for card in {each["event"]["card"] for each in decisions}:
        counts = sorted(
            (each["event"]["at"], each["decision"]["features"]["card_count"])
            for each in decisions
            if each["event"]["card"] == card
        )
        first_hour = [count for at, count in counts if at < counts[0][0] + 3_600_000]
        assert first_hour == list(range(1, len(first_hour) + 1))
