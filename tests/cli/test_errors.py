"""Every command of `fraudstream --help`: help, wrong arguments, no broker, wrong names, unreadable files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from fraudstream.cli.main import app

Run = Callable[..., CompletedProcess[str]]
COMMANDS = [name for name in app.info.cls.table if name]  # type: ignore[union-attr, attr-defined]
NOBODY = ("-b", "127.0.0.1:1")
EVENTS = '{"transaction_id": "1", "user_id": "u", "amount": 1, "timestamp": "2026-01-01T00:00:00Z"}\n'


def assert_one_paragraph(run: CompletedProcess[str], code: int, *words: str) -> None:
    """A clear error of one paragraph on stderr, behind notes at most, and nothing else."""
    assert run.returncode == code, (run.stdout, run.stderr)
    errors = [line for line in run.stderr.splitlines() if not line.startswith("note: ")]
    assert len(errors) == 1, run.stderr
    assert errors[0].startswith("error: ")
    assert "bug in fraudstream" not in errors[0]
    assert "Traceback" not in run.stderr + run.stdout
    for word in words:
        assert word in errors[0], errors[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_it_does(fraudstream: Run, name: str) -> None:
    """Exit code 0, the usage, and the options with their meaning."""
    shown = fraudstream(name, "--help")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith(f"Usage: fraudstream {name}")
    assert shown.stderr == ""
    undescribed = re.findall(r"^  (--[\w-]+(?: \S+)?)$", shown.stdout, re.MULTILINE)
    assert all(len(option) > 20 for option in undescribed), "an option has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_is_named(fraudstream: Run, name: str) -> None:
    """And where its options are described."""
    assert_one_paragraph(fraudstream(name, "--no-such-option"), 2, "--no-such-option", f"fraudstream {name} --help")


@pytest.mark.parametrize(
    "arguments",
    [
        ("check",),
        ("explain",),
        ("diff", "retail"),
        ("run",),
        ("alerts",),
        ("produce",),
        ("produce", "x.csv"),
        ("train",),
    ],
)
def test_a_missing_argument_is_named(fraudstream: Run, arguments: tuple[str, ...]) -> None:
    """And where the arguments are described."""
    assert_one_paragraph(fraudstream(*arguments), 2, "Missing", f"fraudstream {arguments[0]} --help")


@pytest.mark.parametrize(
    "arguments",
    [
        ("topics", "list"),
        ("topics", "create", "retail"),
        ("topics", "create", "a", "b", "-p", "3"),
        ("run", "retail"),
        ("alerts", "retail"),
        ("simulate", "retail", "--events", "5"),
        ("produce", "events.jsonl", "--topic", "x"),
    ],
)
def test_no_broker(fraudstream: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Exit code 3; where it was looked for, and how to start one."""
    (tmp_path / "events.jsonl").write_text(EVENTS)
    assert_one_paragraph(fraudstream(*arguments, *NOBODY), 3, "127.0.0.1:1", "fraudstream kafka start")


@pytest.mark.parametrize("name", ["check", "explain", "run", "alerts", "train"])
@pytest.mark.parametrize("pipeline", ["retial", "nowhere.yaml", "folder.yaml", "binary.yaml", "empty.yaml"])
def test_a_pipeline_that_cannot_be_read(fraudstream: Run, tmp_path: Path, name: str, pipeline: str) -> None:
    """A wrong name, a missing file, a folder, bytes that are no text, nothing."""
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "binary.yaml").write_bytes(b"\x00\xff\xfe")
    (tmp_path / "empty.yaml").write_bytes(b"")
    more = ("--data", "events.jsonl") if name == "train" else ()
    (tmp_path / "events.jsonl").write_text(EVENTS)
    run = fraudstream(name, pipeline, *more)
    assert run.returncode in (1, 2), run.stderr
    shown = run.stdout + run.stderr
    assert pipeline in shown
    assert "Traceback" not in shown
    assert "bug in fraudstream" not in shown


@pytest.mark.parametrize("command", [("train", "retail", "--data"), ("produce", "--topic", "x", *NOBODY)])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("history.parquet", None),
        ("history.parquet", b"PAR1"),
        ("history.csv", b"\x00\xff"),
        ("history.jsonl", b""),
        ("history.jsonl", b"\x00\xff"),
        ("history.jsonl", b"{"),
        ("history.txt", b"a"),
    ],
)
def test_a_history_that_cannot_be_read(
    fraudstream: Run, tmp_path: Path, command: tuple[str, ...], name: str, content: bytes | None
) -> None:
    """For `train` and `produce`: missing, empty, of another kind than its name says, cut off."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    run = fraudstream(*command, name)
    # A file whose lines are read as they are sent meets the missing broker first.
    assert_one_paragraph(run, 3 if run.returncode == 3 and command[0] == "produce" else 2)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_without_permission(fraudstream: Run, tmp_path: Path) -> None:
    """It is said who is refused what."""
    (tmp_path / "mine.yaml").write_text("name: x")
    (tmp_path / "mine.yaml").chmod(0)
    assert_one_paragraph(fraudstream("run", "mine.yaml"), 2, "mine.yaml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "retail", "--set", "nonsense"), ["--set nonsense", "NAME=VALUE"]),
        (("run", "retail", "--config", "nowhere.toml"), ["nowhere.toml"]),
        (("alerts", "retail", "--timeout", "soon"), ["--timeout", "soon"]),
        (("simulate", "nobody"), ["nobody"]),
        (("simulate", "retail", "--rate", "-1"), ["--rate"]),
        (("simulate", "retail", "--fraud", "nonsense=1"), ["nonsense"]),
        (("simulate", "retail", "--to", "out.xlsx", "--events", "3"), ["out.xlsx"]),
        (("simulate", "retail", "--to", "no/such/folder/x.jsonl", "--events", "3"), ["no/such/folder"]),
        (("produce", "events.jsonl", "--topic", "x", "--key", "nope"), ["nope"]),
        (("produce", "events.jsonl", "--topic", "x", "--speed-up", "0"), ["--speed-up"]),
        (("simulate", "retail", "--customers", "0", "--to", "x.jsonl"), ["0 customers", "at least 100"]),
        (("simulate", "retail", "--events", "3", "--to", "x.jsonl", "--truth", "./x.jsonl"), ["--truth", "two files"]),
        (("simulate", "retail", "--events", "3", "--to", "x.jsonl", "--label-all"), ["--label-all"]),
        (("simulate", "retail", "--events", "3", "--label-all"), ["--labels-topic"]),
        (("simulate", "user-activity", "--events", "3", "--label-all"), ["no id"]),
        (("produce", "folder.csv", "--topic", "x"), ["folder.csv is a folder"]),
        (("run", "retail", "--group", "équipe"), ["--group 'équipe'", "letters"]),
        (("run", "retail", "--group", ""), ["--group ''"]),
        (("run", "retail", "--instance", "../0"), ["--instance '../0'"]),
        (("topics", "create", "a", "b"), ["--partitions"]),
        (("topics", "create", "a", "-p", "1", "--property", "x"), ["--property"]),
        (("diff", "retail", "retial"), ["retial"]),
    ],
)
def test_wrong_values_are_named(fraudstream: Run, tmp_path: Path, arguments: tuple[str, ...], words: list[str]) -> None:
    """Exit code 2, and the value with what is allowed."""
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "events.jsonl").write_text(EVENTS)
    assert_one_paragraph(fraudstream(*arguments, *(() if arguments[0] == "diff" else NOBODY)), 2, *words)


@pytest.mark.kafka
@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "pipeline.yaml"),
        ("alerts", "pipeline.yaml"),
        ("simulate", "retail", "--topic", "missing-topic", "--events", "3"),
        ("produce", "events.jsonl", "--topic", "missing-topic"),
    ],
)
def test_a_topic_that_is_not_there(
    fraudstream: Run, tmp_path: Path, broker: str, unique_id: str, arguments: tuple[str, ...]
) -> None:
    """Exit code 3; its name, and how to make it."""
    (tmp_path / "events.jsonl").write_text(EVENTS)
    (tmp_path / "pipeline.yaml").write_text(
        f"name: {unique_id}\n"
        "event: {key: user_id, fields: {user_id: string, amount: decimal(2)}, amount: amount}\n"
        f"input: {unique_id}-missing-topic\n"
        f"routes: [{{topic: {unique_id}-missing-topic-alerts, carries: flagged, form: alert}}]\n"
    )
    run = fraudstream(*arguments, "-b", broker)
    assert_one_paragraph(run, 3, "missing-topic", "fraudstream topics create")


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("more", "word"),
    [
        (("--property", "zork=1"), "zork"),
        (("--replicas", "30"), "30"),
        (("--property", "retention.ms=x"), "retention.ms"),
    ],
)
def test_a_topic_that_kafka_would_not_make(
    fraudstream: Run, broker: str, unique_id: str, more: tuple[str, ...], word: str
) -> None:
    """Exit code 3; what is wrong with it, and that trying again is of no use."""
    run = fraudstream("topics", "create", unique_id, "-p", "1", *more, "-b", broker)
    assert_one_paragraph(run, 3, unique_id, word, "trying again does not help")


def test_a_wrong_command_is_named(fraudstream: Run) -> None:
    """With the one that was meant; without any, help is shown."""
    assert_one_paragraph(fraudstream("rnu"), 2, "'rnu'", "Did you mean 'run'?")
    assert_one_paragraph(fraudstream("--no-such-option"), 2, "--no-such-option", "fraudstream --help")
    assert_one_paragraph(fraudstream("kafka", "strt"), 2, "strt", "fraudstream kafka --help")
    assert "Usage: fraudstream" in fraudstream().stdout + fraudstream().stderr
