"""Rows go when they were kept long enough, and what names a person goes when it is asked for."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from fraudstream.define.retention import Retention
from fraudstream.kafka.tail import Record
from fraudstream.pipelines import find_plan
from fraudstream.settings import Settings, load_settings
from fraudstream.store.bulk import insert_rows
from fraudstream.store.erase import pattern_of, traces
from fraudstream.store.retention import prune
from fraudstream.store.tables import audit, cases, dead_letters, decisions, labels, notification_alerts, notifications
from fraudstream.tokens.keyfile import add_key, make_keys, read_keys
from runner.small import START_MS

from .keeping import decided, made, rows, target_of

DAY_MS = 86_400_000


def _of(numbers: range, decided_at_ms: int, key: bytes = b"c0") -> list[Record]:
    values = [json.loads(value) for value in decided(numbers.stop, "events")[numbers.start :]]
    for value in values:
        value["decision"]["decided_at"] = decided_at_ms
        value["event"]["card"] = key.decode()
    return [
        Record("fraud-scores", 0, offset, 0, key, json.dumps(value).encode())
        for offset, value in zip(numbers, values, strict=True)
    ]


def test_what_was_kept_long_enough_is_deleted_and_its_days_dropped(
    store_settings: Settings, pipeline_file: Path
) -> None:
    store = made(store_settings)
    target = target_of(pipeline_file, store)
    now_ms = 20_500 * DAY_MS
    target.write(_of(range(4), now_ms - 60 * DAY_MS) + _of(range(4, 6), now_ms - 29 * DAY_MS))
    assert prune(store, "another", Retention(decisions="30d"), now_ms) == {"decisions": 0}
    assert prune(store, "small", Retention(decisions="30d", alerts="1d"), now_ms) == {"decisions": 4, "alerts": 0}
    assert [row["sequence"] for row in rows(store, decisions, decisions.c.sequence)] == [4, 5]
    assert prune(store, "small", Retention(), now_ms) == {}
    assert [row["action"] for row in rows(store, audit)].count("pruned") == 3
    if store.is_postgresql:
        with store.begin() as connection:
            leaves = "SELECT count(*) FROM pg_partition_tree('decisions') WHERE isleaf"
            assert connection.exec_driver_sql(leaves).scalar_one() == 1


def test_a_closed_case_goes_when_it_was_kept_long_enough_and_an_open_one_never(store_settings: Settings) -> None:
    store = made(store_settings)
    with store.begin() as connection:
        for number, (pipeline, status, at) in enumerate(
            [("small", "closed", 0), ("small", "working", 0), ("small", "closed", DAY_MS), ("another", "closed", 0)]
        ):
            row = (number, pipeline, "events", 0, number, status, "ana", None, "a note", START_MS, START_MS + at)
            insert_rows(connection, cases, [row])
    assert prune(store, "small", Retention(cases="1d"), START_MS + DAY_MS + 1) == {"cases": 1}
    assert [row["case_id"] for row in rows(store, cases, cases.c.case_id)] == [1, 2, 3]


def test_what_no_scorer_wrote_is_as_old_as_its_record(store_settings: Settings, pipeline_file: Path) -> None:
    """Such a dead letter has no input record whose age could count."""
    store = made(store_settings)
    odd = Record("fraud-scores", 0, 0, START_MS, b"c0", b"odd")
    target_of(pipeline_file, store).write([odd, odd._replace(offset=1, timestamp_ms=START_MS + DAY_MS)])
    assert prune(store, "small", Retention(dead_letters="1d"), START_MS + DAY_MS + 1) == {"dead_letters": 1}
    assert [row["offset"] for row in rows(store, dead_letters)] == [1]


def test_notifications_that_are_done_with_are_deleted_with_what_they_tell(store_settings: Settings) -> None:
    store = made(store_settings)
    states = ("sent", "failed", "waiting", "sent", "sent")
    with store.begin() as connection:
        for number, state in enumerate(states):
            at = START_MS + (DAY_MS if number == 4 else 0)
            row = (f"n{number}", "desk", "mail", "d", state, "HIGH", 1, 0, 1, at, at, *(None,) * 5)
            insert_rows(connection, notifications, [row])
            document = json.dumps({"pipeline": "another" if number == 3 else "small"}, separators=(",", ":"))
            insert_rows(connection, notification_alerts, [(f"n{number}", 0, document)])
    assert prune(store, "small", Retention(notifications="1d"), START_MS + DAY_MS + 1) == {"notifications": 2}
    for table in (notifications, notification_alerts):
        assert [row["notification_id"] for row in rows(store, table, table.c.notification_id)] == ["n2", "n3", "n4"]


def test_a_person_erased_is_in_no_text_of_the_store(
    store_settings: Settings, pipeline_file: Path, fraudstream: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """Decisions stay without what names the person; labels and dead letters that do go; others are untouched."""
    subject = 'Jos\u00e9 "77%"'
    store = made(store_settings)
    target = target_of(pipeline_file, store)
    target.write(_of(range(3), START_MS, subject.encode()) + _of(range(3, 5), START_MS))
    letter = ("small", "letters", 0, 0, "events", 0, 9, "wrong_type", f"card: found {subject}", None, 1, None)
    with store.begin() as connection:
        insert_rows(connection, labels, [("small", "labels", 0, n, f"e{n}", "fraud", START_MS) for n in range(4)])
        insert_rows(connection, dead_letters, [letter, (*letter[:3], 1, *letter[4:8], "another", None, 1, None)])
    assert traces(store, [subject]) == {"decisions": 3, "dead_letters": 1}
    environ = {} if store_settings.store_url is None else {"FRAUDSTREAM_STORE_URL": store_settings.store_url.reveal()}
    done = fraudstream("erase", subject, "--json", env=environ)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["left"] == {}
    assert {name: count for name, count in said["erased"].items() if count} == {
        "decisions": 3, "labels": 3, "dead_letters": 1,
    }  # fmt: skip
    kept = rows(store, decisions, decisions.c.sequence)
    assert [(row["key"], row["event"] == {}, row["outcome"]) for row in kept] == [
        *[(None, True, "approve")] * 3,
        *[("c0", False, "approve")] * 2,
    ]
    assert subject not in str(rows(store, audit))
    assert rows(store, audit, audit.c.sequence)[-1]["action"] == "subject erased"


ALONE = {
    "4711": ["4711", '{"card":"4711"}', '{"card":4711,"x":1}', "of 4711.", r'{"note":"so:\n4711"}', "[1,4711]"],
    "customer-4711": ["customer-4711", '"customer-4711"', "customer-4711.", "a customer-4711, b"],
    'Jos\u00e9 "77%"': ['Jos\u00e9 "77%"', r'{"who":"Jos\u00e9 \"77%\""}', r'{"who":"Jos\u00E9 \"77%\""}'],
    "a.b+c@d.org": ["<a.b+c@d.org>", '"a.b+c@d.org"', r'{"a":"x\ta.b+c@d.org"}'],
}  # fmt: skip
IN_ANOTHER = {
    "4711": ["14711", "47110", "4711.50", "0.4711", "-4711", "customer-4711", "4711-b", "x4711", "4711x"],
    "customer-4711": ["customer-47110", "mycustomer-4711", "customer_4711"],
    'Jos\u00e9 "77%"': ['Marjos\u00e9 "77%"', "Jos\u00e9 77%"],
    "a.b+c@d.org": ["axb+c@d.org", "xa.b+c@d.org", "a.b+c@d.orgs"],
}


@pytest.mark.parametrize("subject", ALONE)
def test_a_subject_is_found_where_it_stands_by_itself(store_settings: Settings, subject: str) -> None:
    """By SQL and by Polars alike, and not in the middle of another name or number."""
    texts = [*ALONE[subject], *IN_ANOTHER[subject]]
    store = made(store_settings)
    with store.begin() as connection:
        insert_rows(connection, labels, [("small", "labels", 0, n, text, "fraud", n) for n, text in enumerate(texts)])
    assert traces(store, [subject, "tok_k1_another"]) == {"labels": len(ALONE[subject])}
    found = pl.Series(texts).str.contains(pattern_of([subject, "tok_k1_another"]))
    assert found.to_list() == [text in ALONE[subject] for text in texts]


def test_the_example_of_the_page_is_accepted(pipeline_file: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "retention.md"
    example = re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[0]
    pipeline_file.write_text(pipeline_file.read_text(encoding="utf-8") + example, encoding="utf-8")
    assert find_plan(pipeline_file).pipeline.retention.suspicious == "2500d"


def test_a_card_is_erased_by_its_tokens_and_called_by_none_that_could_be_guessed(
    pipeline_file: Path, tmp_path: Path, fraudstream: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """The number comes by standard input; decisions under an earlier key go, too."""
    card = "4111111111111111"
    path = tmp_path / "keys.toml"
    make_keys(path)
    old = read_keys(path, "the test")
    add_key(path)
    keys = read_keys(path, "the test")
    store = made(load_settings(environ={}, folder=tmp_path))
    target = target_of(pipeline_file, store)
    tokens = [keys.token(card.encode()), old.token(card.encode())]
    for part, token in enumerate(tokens):
        target.write(_of(range(2 * part, 2 * part + 2), START_MS, token.encode()))
    target.write(_of(range(4, 5), START_MS))
    arguments = ("erase", "-", str(pipeline_file), "--json", "--set", f"token_keys_file={path}")
    done = fraudstream(*arguments, input=f"{card}\n")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["erased"]["decisions"] == 4
    assert [row["key"] for row in rows(store, decisions, decisions.c.sequence)] == [None] * 4 + ["c0"]
    said = str(rows(store, audit))
    assert f"hmac:{keys.active}:" in said
    assert hashlib.sha256(card.encode()).hexdigest() not in said and card not in said
