"""The page on notifications says what the program does."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from project import ROOT

from fraudstream.notify.channels.apprise import AppriseChannel
from fraudstream.notify.channels.webhook import Webhook, sign
from fraudstream.notify.claims import LEASE_BEYOND_TIMEOUT_MS
from fraudstream.notify.declaration import DEFAULT_TIMEOUT_MS, Grouping, Repeats, Retry, Template
from fraudstream.notify.load import KEYS, load_notifications
from fraudstream.notify.template import FIELDS
from fraudstream.notify.trial import trial_message
from fraudstream.outbound import MOST_REPLY_BYTES
from fraudstream.units import format_duration

PAGE = (ROOT / "docs" / "notifications.md").read_text(encoding="utf-8")
FENCES = dict(re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[::-1])
ROWS = re.findall(r"^\| (`[^|]+`) \| ([^|]*?) ?\|", PAGE, re.MULTILINE)


def test_the_example_has_no_problem(tmp_path: Path, command: Callable[..., Any]) -> None:
    """Not for the pipeline of the command beside it either, though a condition names another one."""
    (tmp_path / "notify.yaml").write_text(FENCES["yaml"])
    (tmp_path / "cases.url").write_text("https://cases.example.org/hooks/fraud\n")
    (tmp_path / "cases.secret").write_text("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3\n")
    environ = {"DESK_URL": "mailto://localhost?from=a@b.ch&to=c@d.ch"}
    pipelines = re.findall(r"^fraudstream notify ([\w-]+) +# tell", PAGE, re.MULTILINE)
    done = command("notify", "check", "--pipeline", *pipelines, env=environ)
    assert (done.returncode, done.stdout) == (0, "notify.yaml is ok: desk, cases\n")
    declared = load_notifications(tmp_path / "notify.yaml", environ)
    assert list(declared.channels) == ["desk", "cases"]
    assert declared.channels["desk"].template.title == Template().title


def test_every_key_and_default_is_listed() -> None:
    listed = {name: default for names, default in ROWS for name in re.findall(r"`([\w.]+)`", names)}
    heads = {name.partition(".")[0] for name in listed}
    assert {*KEYS, *AppriseChannel.keys, *Webhook.keys} <= heads
    retry = Retry()
    assert listed["retry.attempts"] == f"`{retry.attempts}`"
    assert listed["retry.first"] == f"`{format_duration(retry.first_ms)}`"
    assert listed["retry.longest"] == f"`{format_duration(retry.longest_ms)}`"
    assert listed["timeout"] == f"`{format_duration(DEFAULT_TIMEOUT_MS)}`"
    assert listed["group.by"] == f"`{', '.join(Grouping().by)}`"
    assert listed["repeats.by"] == f"`{', '.join(Repeats(after_ms=1).by)}`"
    assert listed["template.most_lines"] == f"`{Template().most_lines}`"
    assert LEASE_BEYOND_TIMEOUT_MS == 3_000 and "`timeout` and 3 seconds" in PAGE
    assert MOST_REPLY_BYTES == 2**20 and "1 MB of an answer" in PAGE


def test_every_field_is_listed_as_the_program_says_it() -> None:
    listed = re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE.partition("Fields of templates:")[2], re.MULTILINE)
    assert dict(listed[: len(FIELDS)]) == FIELDS


def test_attempts_last_as_long_as_is_said() -> None:
    from fraudstream.notify.timing import next_attempt_ms

    hours = sum(next_attempt_ms(Retry(), each, None) for each in range(1, Retry().attempts)) / 3_600_000
    assert 22 < hours < 26
    assert "for about a day unless" in PAGE


def test_the_receiver_to_try_with_knows_what_is_ours(tmp_path: Path, command: Callable[..., Any]) -> None:
    check, receiver = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert receiver.count("8099") == 1
    (tmp_path / "receiver.py").write_text(check + receiver.replace("8099", str(port)))
    (tmp_path / "cases.secret").write_text("a-secret-of-24-bytes-or-more\n")
    (tmp_path / "cases.url").write_text(f"http://localhost:{port}/\n")
    channel = "{kind: webhook, url_file: cases.url, secret_file: cases.secret, allow_private: true}"
    (tmp_path / "notify.yaml").write_text(f"channels: {{cases: {channel}}}\n")
    process = subprocess.Popen([sys.executable, "receiver.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        deadline = time.monotonic() + 20
        while (done := command("notify", "test", "cases")).returncode and time.monotonic() < deadline:
            time.sleep(0.1)
        assert done.returncode == 0, done.stdout
        assert process.stdout.readline().startswith('from us {"type":"fraud.alerts"')
        (tmp_path / "cases.secret").write_text("another-secret-of-24-bytes-or-more\n")
        declared = load_notifications(tmp_path / "notify.yaml").channels["cases"]
        (tmp_path / "cases.secret").write_text("a-secret-of-24-bytes-or-more\n")
        declared.sender.send(trial_message(declared), 10.0)
        assert process.stdout.readline().startswith("not from us {")
    finally:
        process.kill()
        process.wait()


def test_a_receiver_can_copy_the_check() -> None:
    names: dict[str, Any] = {}
    exec(FENCES["python"], names)  # the page's own text
    secret, body = b"s" * 24, b'{"id": 1}'
    headers = {"webhook-id": "x", "webhook-timestamp": "12", "webhook-signature": sign(secret, "x", 12, body)}
    assert names["is_ours"](secret, headers, body)
    assert not names["is_ours"](b"t" * 24, headers, body)
    assert not names["is_ours"](secret, headers, body + b" ")
    assert not names["is_ours"](secret, headers | {"webhook-timestamp": "13"}, body)
