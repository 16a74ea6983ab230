"""`check`, `explain` and `diff` from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fraudstream.pipelines import SHIPPED


def fraudstream(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fraudstream.cli.main", *arguments]
    script = "import sys; from fraudstream.cli.main import main; sys.argv[0] = 'fraudstream'; main()"
    command[1:3] = ["-c", script]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        timeout=60,
        env={**os.environ, "NO_COLOR": "1"},
    )


def test_check_says_ok_in_a_line_and_its_versions(tmp_path: Path) -> None:
    """Exit code 0."""
    done = fraudstream("check", "terminal-payments", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("terminal-payments is ok: 5 fields, 42 features over 2 keys, 3 rules, a model of 14")
    shown = json.loads(fraudstream("check", "terminal-payments", "--json", folder=tmp_path).stdout)
    assert (shown["ok"], shown["name"]) == (True, "terminal-payments")
    assert shown["versions"]["pipeline"] in done.stdout


def test_check_shows_every_problem_with_its_place(tmp_path: Path) -> None:
    """Exit code 1; as JSON with path, line, what was found and advice."""
    text = (SHIPPED / "retail.yaml").read_text().replace("{count: , by: user_id", "{cuont: , by: user_id")
    (tmp_path / "mine.yaml").write_text(text.replace("high: 0.6", "high: x") + "polcy: {}\n")
    done = fraudstream("check", "mine.yaml", folder=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "mine.yaml has 2 problems:" in done.stdout
    assert "Did you mean 'count'?" in done.stdout
    shown = json.loads(fraudstream("check", "mine.yaml", "--json", folder=tmp_path).stdout)
    assert not shown["ok"]
    assert [problem["path"] for problem in shown["problems"]] == ["features.user_count_30d.cuont", "polcy"]
    assert all(problem["line"] and problem["found"] and problem["advice"] for problem in shown["problems"])


def test_explain_prints_the_plan(tmp_path: Path) -> None:
    """For people, and as JSON."""
    done = fraudstream("explain", "account-transfers", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "MULE_FAN_IN          block (score 0.85)" in done.stdout
    shown = json.loads(fraudstream("explain", "account-transfers", "--json", folder=tmp_path).stdout)
    assert shown["needs_one_process"] == ["target_round_count_24h", "target_round_sources_24h"]


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (("> 220", "> 250"), 0, "is used as it is"),
        (
            ("by: CUSTOMER_ID, over: 30d, delay", "by: CUSTOMER_ID, over: 60d, delay"),
            1,
            "keeps events for 67d instead of 37d",
        ),
    ],
)
def test_diff_exits_by_what_becomes_of_state(tmp_path: Path, change: tuple[str, str], code: int, words: str) -> None:
    """0 where it is used, 1 where it must be rebuilt; the reason is given."""
    (tmp_path / "new.yaml").write_text((SHIPPED / "terminal-payments.yaml").read_text().replace(*change))
    done = fraudstream("diff", "terminal-payments", "new.yaml", folder=tmp_path)
    assert (done.returncode, done.stderr) == (code, "")
    assert words in done.stdout
    shown = json.loads(fraudstream("diff", "terminal-payments", "new.yaml", "--json", folder=tmp_path).stdout)
    assert shown["state"]["compatible"] is (code == 0)
    assert shown["decisions"]


@pytest.mark.parametrize("command", ["explain", "check", "diff"])
def test_a_pipeline_that_is_not_there_is_one_paragraph(tmp_path: Path, command: str) -> None:
    """Exit code 2 for a name, and no stack trace."""
    done = fraudstream(command, *["retial"] * (2 if command == "diff" else 1), folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: There is no pipeline 'retial'. Did you mean 'retail'?")
    assert "Traceback" not in done.stderr
    help_text = fraudstream(command, "--help", folder=tmp_path)
    assert help_text.returncode == 0
    assert "--json" in help_text.stdout
