"""`fraudstream notify PIPELINE`: from a real topic to real servers, through failures and kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fraudstream.errors import StoreUnreachable
from fraudstream.notify.load import load_notifications
from fraudstream.notify.notifier import Notifier, Summary
from fraudstream.settings import Settings, load_settings
from fraudstream.store.engine import connect
from fraudstream.store.migrate import upgrade
from fraudstream.testing.behaviour import Behaviour
from runner.small import pipeline
from runner.workbench import Workbench
from servers import Answer, Receiver, mailbox, receiver

from .alerts import alert, told

if TYPE_CHECKING:
    from postgres import PostgresServer

Run = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.kafka
SECRET = "a-secret-of-24-bytes-or-more"
HOOK = "{kind: webhook, url: '${HOOK}', secret: '${SECRET}', allow_private: true, timeout: 1s, retry: {first: 200ms}}"


class Desk:
    """A pipeline's alerts on a real topic, a webhook's receiver, and notifiers between them."""

    def __init__(self, kafka_settings: Settings, folder: Path, prefix: str, server: Receiver) -> None:
        self.bench = Workbench(kafka_settings, pipeline(partitions=1), folder, prefix)
        self.topic = self.bench.pipeline.routes[1].topic
        self.server = server
        self.file = folder / "notify.yaml"
        self.environ = {"HOOK": f"http://127.0.0.1:{server.port}/", "SECRET": SECRET}
        self.declare(f"cases: {HOOK}")
        self.notes: list[str] = []

    def declare(self, channels: str) -> None:
        self.file.write_text(f"channels:\n  {channels}\n")

    def alert(self, *numbers: int, **parts: object) -> None:
        topic = self.bench.pipeline.input.name
        self.bench.produce(self.topic, [alert(number, topic=topic, **parts) for number in numbers])

    def notifier(self, *, from_beginning: bool = True, **environ: str) -> Notifier:
        settings = load_settings(
            {"bootstrap_servers": self.bench.settings.bootstrap_servers}, environ=environ, folder=self.bench.folder
        )
        return Notifier(
            settings, [self.bench.pipeline], load_notifications(self.file, self.environ), name="notify-test",
            from_beginning=from_beginning, keep_ms=10**9, note=self.notes.append,
        )  # fmt: skip

    def tell(self, **options: bool) -> Summary:
        return self.notifier(**options).run(until_caught_up=True)

    def told(self) -> list[int]:
        """The numbers of the alerts that were told, in order."""
        return [int(each.rsplit("-", 1)[1]) for each in told([request.body for request in self.server.requests])]

    def start(self) -> subprocess.Popen[str]:
        """A notifier in a process of its own."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("FRAUDSTREAM_")}
        return subprocess.Popen(
            [sys.executable, "-m", "fraudstream", "notify", str(self.bench.file), "--from-beginning",
             "-b", self.bench.settings.bootstrap_servers],
            cwd=self.bench.folder, env=clean | self.environ, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip


@pytest.fixture
def desk(kafka_settings: Settings, tmp_path: Path, unique_id: str) -> Iterator[Desk]:
    with receiver() as server:
        yield Desk(kafka_settings, tmp_path, unique_id, server)


def test_every_alert_is_told_once_by_every_channel_that_wants_it(desk: Desk) -> None:
    """What is another pipeline's, and what no scorer wrote, is not; a later run goes on where the first one ended."""
    with mailbox() as letters:
        desk.environ["MAIL"] = f"mailto://127.0.0.1:{letters.port}?from=fraud@example.org&to=desk@example.org"
        desk.declare(f"cases: {HOOK}\n  desk: {{url: '${{MAIL}}', when: {{risk_level: CRITICAL}}}}")
        desk.alert(0, 1)
        desk.bench.produce(desk.topic, [b"[1]", alert(7, topic="elsewhere")])
        desk.alert(2, risk_level="CRITICAL")
        first = desk.tell()
        desk.alert(3)
        second = desk.tell()
    assert (first.alerts, first.others, first.told, first.failed) == (3, 1, 4, 0)
    assert (second.alerts, second.told, second.sent) == (1, 1, 1)
    assert sorted(desk.told()) == [0, 1, 2, 3]
    (letter,) = letters.letters
    assert b"CRITICAL" in letter


def test_the_first_start_begins_now_and_later_ones_where_it_was(desk: Desk) -> None:
    desk.alert(0)
    assert desk.tell(from_beginning=False).alerts == 0
    desk.alert(1)
    assert desk.tell(from_beginning=False).alerts == 1
    assert desk.told() == [1]


def test_a_silent_channel_holds_up_no_other(desk: Desk) -> None:
    with receiver() as silent:
        silent.behave(Behaviour.SILENT)
        desk.environ["SILENT"] = f"http://127.0.0.1:{silent.port}/"
        desk.declare(f"cases: {HOOK}\n  deaf: {HOOK.replace('HOOK', 'SILENT')}")
        desk.alert(0)
        notifier = desk.notifier()
        running = threading.Thread(target=notifier.run)
        running.start()
        began = time.monotonic()
        while not desk.server.requests:
            assert time.monotonic() - began < 20
            time.sleep(0.02)
        desk.alert(1)
        began = time.monotonic()
        while len(desk.server.requests) < 2:
            assert time.monotonic() - began < 5
            time.sleep(0.02)
        while not desk.notes:
            time.sleep(0.02)
        notifier.stop()
        running.join(20)
    assert desk.told() == [0, 1]
    assert "deaf: " in desk.notes[0] and "within 1 s" in desk.notes[0]


def test_killed_between_sending_and_recording_it_sends_the_same_again(desk: Desk) -> None:
    """kill -9 when the receiver has everything and has not answered: the same notification comes once more, and only
    that one; a receiver that knows the key drops it."""
    process = desk.start()

    def kill_the_first(_: object) -> Answer:
        if not desk.server.requests:
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        return Answer()

    desk.server.answer = kill_the_first
    desk.alert(0)
    assert process.wait(60) == -signal.SIGKILL
    desk.alert(1)
    again = desk.start()
    desk.bench.wait_for(lambda: len(desk.server.requests) >= 3)
    again.send_signal(signal.SIGTERM)
    output, _ = again.communicate(timeout=20)
    assert again.returncode == 0, output
    keys = [request.headers["idempotency-key"] for request in desk.server.requests]
    assert sorted(desk.told()) == [0, 0, 1]
    assert len(set(keys)) == 2
    bodies = {request.headers["idempotency-key"]: request.body for request in desk.server.requests}
    assert all(bodies[request.headers["idempotency-key"]] == request.body for request in desk.server.requests)


def test_what_fails_is_seen_and_can_be_sent_again(desk: Desk, command: Run) -> None:
    desk.server.behave(Behaviour.REFUSES)
    desk.declare(f"cases: {HOOK.replace('retry: {', 'retry: {attempts: 1, ')}")
    desk.alert(0)
    assert desk.tell().failed == 1
    assert "It has failed; see `fraudstream notify failed`." in desk.notes[0]
    seen = command("notify", "failed", "--json")
    assert seen.returncode == 1
    (failure,) = json.loads(seen.stdout)["notifications"]
    assert (failure["channel"], failure["attempts"]) == ("cases", 1)
    assert failure["title"] == f"HIGH {desk.bench.pipeline.name}: HIGH"
    assert "answered 503" in failure["last_error"]
    assert command("notify", "resend", failure["notification_id"]).stdout == "1 notifications will be sent again\n"
    desk.server.behave(Behaviour.TAKES)
    assert desk.tell().sent == 1
    assert [request.headers["idempotency-key"] for request in desk.server.requests] == [failure["notification_id"]]
    assert command("notify", "failed").stdout == "no notification has failed\n"


def test_what_waits_for_a_channel_that_is_gone_is_seen_to_have_failed(desk: Desk, command: Run) -> None:
    """As where it was given another name; declared again, it gets what is sent again."""
    desk.server.behave(Behaviour.REFUSES)
    desk.declare(f"cases: {HOOK.replace('200ms', '1m')}")
    desk.alert(0)
    assert desk.tell().put_off == 1
    desk.server.behave(Behaviour.TAKES)
    desk.declare(f"desk: {HOOK}")
    assert desk.tell().sent == 0
    assert "cases: 1 notifications waited for it, and there is no such channel any more." in desk.notes[-1]
    seen = command("notify", "failed", "--json")
    (failure,) = json.loads(seen.stdout)["notifications"]
    assert (seen.returncode, failure["channel"]) == (1, "cases")
    desk.declare(f"cases: {HOOK}")
    command("notify", "resend", "--all")
    assert desk.tell().sent == 1
    assert desk.told() == [0]


def test_a_store_that_is_away_when_the_outbox_is_tidied_ends_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier = desk.notifier()
    tidied = []

    def away(*_: object) -> None:
        tidied.append(time.monotonic())
        raise StoreUnreachable("The store failed.")

    monkeypatch.setattr(notifier._outbox, "forget", away)
    monkeypatch.setattr("fraudstream.notify.notifier._TIDY_AGAIN_S", 0.0)
    desk.alert(0)
    assert notifier.run(until_caught_up=True).sent == 1
    assert len(tidied) > 1


def test_nothing_is_sent_again_by_a_slip(command: Run) -> None:
    assert "Nothing is named" in command("notify", "resend").stderr
    assert "No notification that failed is called no-such" in command("notify", "resend", "no-such").stderr


def test_the_store_may_go_away_and_come_back(desk: Desk, postgres: PostgresServer, unique_id: str) -> None:
    """Killed and started again while alerts come: each is told, in its order."""
    url = postgres.create(unique_id)
    upgrade(connect(load_settings(environ={"FRAUDSTREAM_STORE_URL": url}, folder=desk.bench.folder)))
    notifier = desk.notifier(FRAUDSTREAM_STORE_URL=url)
    running = threading.Thread(target=notifier.run)
    running.start()
    desk.alert(0)
    desk.bench.wait_for(lambda: desk.told() == [0])
    postgres.kill()
    desk.alert(1)
    desk.bench.wait_for(lambda: any("failed" in note for note in desk.notes))
    postgres.start()
    desk.bench.wait_for(lambda: 1 in desk.told())
    notifier.stop()
    running.join(20)
    assert set(desk.told()) == {0, 1}
