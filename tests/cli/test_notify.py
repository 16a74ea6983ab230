"""`fraudstream notify`: checking the channels and trying one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from fraudstream.testing.behaviour import Behaviour
from servers import mailbox, receiver

Run = Callable[..., subprocess.CompletedProcess[str]]
SECRET = "a-secret-of-24-bytes-or-more"
HOOK = "channels: {cases: {kind: webhook, url: '${URL}', secret: '${SECRET}', allow_private: true, timeout: 1s}}\n"


def test_check_shows_every_problem_and_exits_1(command: Run, tmp_path: Path) -> None:
    (tmp_path / "notify.yaml").write_text(HOOK)
    wrong = command("notify", "check", env={"SECRET": SECRET})
    assert (wrong.returncode, wrong.stderr) == (1, "")
    assert "channels.cases.url: the environment variable URL is not set." in wrong.stdout
    machine = command("notify", "check", "--json", env={"SECRET": SECRET})
    assert [each["path"] for each in json.loads(machine.stdout)["problems"]] == ["channels.cases.url"]
    right = command("notify", "check", "notify.yaml", env={"SECRET": SECRET, "URL": "http://localhost/x"})
    assert (right.returncode, right.stdout) == (0, "notify.yaml is ok: cases\n")


def test_check_finds_rules_that_no_pipeline_has(command: Run, tmp_path: Path) -> None:
    (tmp_path / "notify.yaml").write_text("channels: {a: {url: '${URL}', when: {rules: NO_SUCH}}}\n")
    found = command("notify", "check", "--pipeline", "retail", env={"URL": "json://localhost"})
    assert found.returncode == 1
    assert "there is no rule 'NO_SUCH'" in found.stdout


def test_a_trial_goes_through_a_webhook_or_says_why_not(fraudstream: Run, command: Run, tmp_path: Path) -> None:
    (tmp_path / "notify.yaml").write_text(HOOK)
    with receiver() as server:
        env = {"SECRET": SECRET, "URL": f"http://127.0.0.1:{server.port}/t0ken"}
        well = fraudstream("notify", "test", "cases", env=env)
        assert well.returncode == 0, well.stderr
        (request,) = server.requests
        assert request.headers["idempotency-key"] in well.stdout
        assert json.loads(request.body)["title"].startswith("Trial: ")
        server.behave(Behaviour.REFUSES)
        refused = command("notify", "test", "cases", env=env)
        assert refused.returncode == 1
        assert "cases did not take it: http://127.0.0.1" in refused.stdout
        assert "answered 503" in refused.stdout
    shown = well.stdout + refused.stdout + refused.stderr
    assert "t0ken" not in shown
    assert SECRET not in shown
    unknown = command("notify", "test", "case", env=env)
    assert unknown.returncode == 2
    assert "has no channel 'case'" in unknown.stderr


def test_a_trial_goes_by_mail(command: Run, tmp_path: Path) -> None:
    (tmp_path / "notify.yaml").write_text("channels: {desk: {url: '${URL}'}}\n")
    with mailbox() as server:
        url = f"mailto://127.0.0.1:{server.port}?from=fraud@example.org&to=desk@example.org"
        assert command("notify", "test", "desk", env={"URL": url}).returncode == 0
        (letter,) = server.letters
    assert b"Subject: Trial: LOW trial: TRIAL_ONLY" in letter
