from __future__ import annotations

import json
import time
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from fraudstream import __version__

Run = Callable[..., CompletedProcess[str]]


def is_one_paragraph(text: str) -> bool:
    return text.startswith("error: ") and text.count("\n") == 1 and "Traceback" not in text


def test_help_lists_the_commands_quickly(fraudstream: Run) -> None:
    took = []
    for _ in range(3):
        began = time.monotonic()
        shown = fraudstream("--help")
        took.append(time.monotonic() - began)
        assert shown.returncode == 0
    assert "kafka" in shown.stdout
    assert "Create and list topics." in shown.stdout
    assert min(took) < 0.6, "the floor is 0.3 s on an idle machine"


def test_version(fraudstream: Run) -> None:
    assert fraudstream("--version").stdout == f"fraudstream {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("kafka", "nonsense"), ("kafka", "start", "--heap-mb", "x"), ("topics", "create")]
)
def test_wrong_arguments_end_with_2_and_a_sentence(fraudstream: Run, arguments: tuple[str, ...]) -> None:
    run = fraudstream(*arguments)
    assert run.returncode == 2
    assert run.stderr.startswith("error: ")
    assert len(run.stderr.splitlines()) == 1
    assert "Traceback" not in run.stderr


def test_no_broker_ends_with_3_and_says_address_origin_and_what_to_do(fraudstream: Run) -> None:
    run = fraudstream("topics", "list", env={"FRAUDSTREAM_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    assert run.returncode == 3
    assert is_one_paragraph(run.stderr), run.stderr
    for needed in ("127.0.0.1:1", "the environment variable FRAUDSTREAM_BOOTSTRAP_SERVERS", "fraudstream kafka start"):
        assert needed in run.stderr


def test_a_wrong_setting_ends_with_2_and_names_its_source(fraudstream: Run) -> None:
    run = fraudstream("topics", "list", "--set", "client_di=x")
    assert run.returncode == 2
    assert is_one_paragraph(run.stderr)
    assert "Did you mean client_id?" in run.stderr
    run = fraudstream("topics", "list", "--set", "kafka_properties=no.such.property=1", "-b", "127.0.0.1:1")
    assert run.returncode == 2
    assert "no.such.property" in run.stderr


@pytest.mark.kafka
def test_topics_are_created_once_listed_and_never_repartitioned(fraudstream: Run, broker: str, unique_id: str) -> None:
    create = ("topics", "create", unique_id, "--property", "retention.ms=-1", "-b", broker)
    made = fraudstream(*create, "-p", "3", "--json")
    assert json.loads(made.stdout) == {"created": [unique_id], "existing": []}
    again = fraudstream(*create, "-p", "3")
    assert (again.returncode, again.stdout) == (0, f"{unique_id}: is there already (3 partitions)\n")
    other = fraudstream(*create, "-p", "4")
    assert other.returncode == 3
    assert is_one_paragraph(other.stderr)
    assert "has 3 partitions, not 4" in other.stderr
    listed = json.loads(fraudstream("topics", "list", "--json", "-b", broker).stdout)
    assert {"name": unique_id, "partitions": 3, "replicas": 1, "offsets": 0} in listed
