"""What erasing does to token keys, what it refuses before anything is changed, and what it says it cannot know."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import update

from fraudstream.define.write import to_yaml
from fraudstream.kafka.tail import Record
from fraudstream.settings import load_settings
from fraudstream.store.audit import noted_anchors, verify
from fraudstream.store.bulk import insert_rows
from fraudstream.store.engine import Store
from fraudstream.store.tables import decisions, labels
from fraudstream.tokens.keyfile import make_keys, read_keys
from fraudstream.tokens.keys import TokenKeys
from fraudstream.tokens.secret import Secret
from fraudstream.tokens.source import MADE_HERE
from runner.small import START_MS, pipeline

from .keeping import decided, made, rows, target_of

Run = Callable[..., subprocess.CompletedProcess[str]]
CARD = "4111111111111111"
NOWHERE = ("-b", "127.0.0.1:1")
NOTHING = {"pipelines": [], "keys": [], "letters": 0}


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / ".fraudstream" / MADE_HERE
    make_keys(path)
    return path


def filled(folder: Path, pipeline_file: Path, key: str) -> Store:
    """A store with one decision of this key, and one of another."""
    store = made(load_settings(environ={}, folder=folder))
    of_both = [
        Record("fraud-scores", 0, n, START_MS, name.encode(), value)
        for n, (name, value) in enumerate(zip((key, "c9"), decided(2, "events"), strict=True))
    ]
    target_of(pipeline_file, store).write(of_both)
    return store


def guarded_file(folder: Path) -> Path:
    """A pipeline whose cards are sensitive."""
    small = pipeline()
    fields = tuple(msgspec.structs.replace(each, sensitive=each.name == "card") for each in small.event.fields)
    path = folder / "guarded.yaml"
    guarded = msgspec.structs.replace(small, event=msgspec.structs.replace(small.event, fields=fields))
    path.write_text(to_yaml(guarded), encoding="utf-8")
    return path


def keys_of_decisions(store: Store) -> list[str | None]:
    return [row["key"] for row in rows(store, decisions, decisions.c.sequence)]


@pytest.mark.parametrize("subject", ["", " ", "    ", "c9", "411"])
def test_what_stands_in_texts_of_everybody_is_no_subject(
    tmp_path: Path, pipeline_file: Path, command: Run, subject: str
) -> None:
    store = filled(tmp_path, pipeline_file, "c411")
    done = command("erase", subject)
    assert isinstance(done.returncode, int) and done.returncode != 0
    assert keys_of_decisions(store) == ["c411", "c9"]


def test_keys_forget_nothing_until_all_pipelines_are_named(
    tmp_path: Path, pipeline_file: Path, command: Run, key_file: Path
) -> None:
    """The tokens are still needed to find the person in a lake; nothing is lost when the pipelines are named then."""
    before = read_keys(key_file, "the test")
    store = filled(tmp_path, pipeline_file, before.token(CARD.encode()))
    other = tmp_path / "other.yaml"
    other.write_text(pipeline_file.read_text().replace("small", "other"))
    for missing in ((), (str(other),)):
        first = command("erase", CARD, *missing)
        assert first.returncode == 1 and "the token keys still know the subject" in first.stderr
        assert "what else there is of small: the store has decisions of it" in first.stderr
    assert keys_of_decisions(store) == [None, "c9"]
    assert read_keys(key_file, "the test").token(CARD.encode()) == before.token(CARD.encode())
    second = command("erase", CARD, str(pipeline_file), "--json", *NOWHERE)
    assert second.returncode == 0, second.stderr
    said = json.loads(second.stdout)
    assert said["forgotten"] == {"keys": before.held, "letters": 0}
    assert (said["unknown"], said["left"]) == (NOTHING, {})
    assert read_keys(key_file, "the test").token(CARD.encode()) != before.token(CARD.encode())
    with store.begin(read_only=True) as connection:
        assert not verify(connection, noted_anchors(store.anchors, store.name)).findings


def test_a_subject_that_is_a_token_is_erased_and_its_value_asked_for(
    tmp_path: Path, pipeline_file: Path, command: Run, key_file: Path
) -> None:
    before = read_keys(key_file, "the test")
    store = filled(tmp_path, pipeline_file, before.token(CARD.encode()))
    done = command("erase", before.token(CARD.encode()), str(pipeline_file))
    assert done.returncode == 0 and "give the value that it stands for" in done.stderr
    assert keys_of_decisions(store) == [None, "c9"]
    assert read_keys(key_file, "the test").token(CARD.encode()) == before.token(CARD.encode())


def test_tokens_of_a_key_that_is_not_held_are_told(tmp_path: Path, pipeline_file: Path, command: Run) -> None:
    """With the wrong key file, or none, nobody may take the person for erased."""
    lost = TokenKeys("lost", {"lost": Secret.of(bytes(32))})
    store = filled(tmp_path, pipeline_file, lost.token(CARD.encode()))
    done = command("erase", CARD)
    assert done.returncode == 1 and "tokens of the key lost, which is not held" in done.stderr
    make_keys(tmp_path / ".fraudstream" / MADE_HERE)
    done = command("erase", CARD, str(pipeline_file), "--json")
    assert (done.returncode, json.loads(done.stdout)["unknown"]) == (1, NOTHING | {"keys": ["lost"]})
    with store.begin() as connection:
        connection.execute(update(decisions).values(key="tok_of_mine"))
    assert command("erase", CARD, str(pipeline_file)).returncode == 0


def test_what_fails_does_so_before_anything_is_changed(
    tmp_path: Path, pipeline_file: Path, fraudstream: Run, command: Run, key_file: Path
) -> None:
    """No key file where one is needed; no broker where dead letters are; a key file that is none."""
    token = read_keys(key_file, "the test").token(CARD.encode())
    store, guarded = filled(tmp_path, pipeline_file, token), str(guarded_file(tmp_path))
    before = key_file.read_bytes()
    away = fraudstream("erase", CARD, guarded, *NOWHERE)
    assert away.returncode == 3 and "127.0.0.1:1" in away.stderr, away.stderr
    assert keys_of_decisions(store) == [token, "c9"]
    for path, found in (("/proc/version", "is not TOML"), ("/nowhere/keys.toml", "cannot be read: No such file")):
        wrong = command("erase", CARD, guarded, "--set", f"token_keys_file={path}")
        assert wrong.returncode != 0 and found in str(wrong), wrong
    assert key_file.read_bytes() == before
    key_file.unlink()
    missing = command("erase", CARD, guarded)
    assert missing.returncode != 0 and "there is no key file" in str(missing)
    assert not key_file.exists()
    assert keys_of_decisions(store) == [token, "c9"]


def test_labels_go_of_all_events_that_name_the_subject_not_only_of_those_it_is_the_key_of(
    tmp_path: Path, pipeline_file: Path, command: Run
) -> None:
    store = filled(tmp_path, pipeline_file, "c0")
    with store.begin() as connection:
        connection.execute(update(decisions).where(decisions.c.key == "c0").values(event={"email": "ada@example.org"}))
        insert_rows(connection, labels, [("small", "labels", 0, n, f"e{n}", "fraud", START_MS) for n in range(2)])
        insert_rows(connection, labels, [("small", "labels", 0, 2, "ada@example.org", "fraud", START_MS)])
    done = command("erase", "ada@example.org", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["erased"]["labels"] == 2, done.stdout
    assert [row["event_id"] for row in rows(store, labels)] == ["e1"]


@pytest.mark.parametrize("written", ["Zo\\u00EB\\/77", "Zo\\u00eb/77", "Zo\u00eb\\/77", "Zo\u00eb/77"])
def test_a_name_is_found_as_other_libraries_write_json(
    tmp_path: Path, pipeline_file: Path, command: Run, written: str
) -> None:
    store = filled(tmp_path, pipeline_file, "c0")
    with store.begin() as connection:
        connection.exec_driver_sql("UPDATE decisions SET event = ?", (f'{{"name":"{written}"}}',))
    done = command("erase", "Zo\u00eb/77", "--json")
    assert (done.returncode, json.loads(done.stdout)["erased"]["decisions"]) == (0, 2)
    assert [row["event"] for row in rows(store, decisions)] == [{}, {}]


def test_an_erasure_that_was_killed_is_done_by_the_same_command_and_two_at_once_do_both(
    tmp_path: Path, pipeline_file: Path, fraudstream: Run, key_file: Path
) -> None:
    """Killed before the last step, it has the tokens still; those who erase at once lose nothing of each other's."""
    before, other = read_keys(key_file, "the test"), "378282246310005"
    store = filled(tmp_path, pipeline_file, before.token(CARD.encode()))
    killed = (
        "import os, signal, sys; from fraudstream.cli.main import main; from fraudstream.tokens import keyfile\n"
        "keyfile.change_keys = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"sys.argv = ['fraudstream', 'erase', '{CARD}', '{pipeline_file}']; main()"
    )
    done = subprocess.run([sys.executable, "-c", killed], cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL
    assert keys_of_decisions(store) == [None, "c9"]
    target_of(pipeline_file, store).write(
        [Record("fraud-scores", 0, 9, START_MS, before.token(CARD.encode()).encode(), decided(3, "events")[2])]
    )
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda card: fraudstream("erase", card, str(pipeline_file)), (CARD, other)))
    assert [each.returncode for each in both] == [0, 0], both
    assert keys_of_decisions(store) == [None, "c9", None]
    after = read_keys(key_file, "the test")
    for card in (CARD, other):
        assert after.token(card.encode()) != before.token(card.encode())
    assert after.token(b"another") == before.token(b"another")
