"""Nothing of the audit chain can be changed unnoticed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, select, update

from fraudstream.errors import UsageError
from fraudstream.settings import Settings, load_settings
from fraudstream.store.audit import Anchor, append, noted_anchors, parse_anchor, verify
from fraudstream.store.engine import connect
from fraudstream.store.migrate import open_store, upgrade
from fraudstream.store.tables import audit


def _write(connection: Connection, count: int) -> list[Anchor]:
    return [append(connection, "ana", "case opened", f"case {n}", {"n": n, "text": "ü"}, n) for n in range(count)]


def _edit(connection: Connection, number: int, column: str, value: Any) -> None:
    connection.execute(update(audit).where(audit.c.sequence == number).values({column: value}))


def test_a_chain_as_written_is_whole(store_settings: Settings) -> None:
    store = connect(store_settings)
    upgrade(store)
    with store.begin() as connection:
        anchors = _write(connection, 5)
    with store.begin(read_only=True) as connection:
        found = verify(connection, anchors)
    assert found == (6, anchors[-1], 5, [])  # one of the upgrade before them


_CHANGES = st.sampled_from(["edit", "delete", "swap", "truncate", "rewrite", "insert"])


@given(change=_CHANGES, count=st.integers(2, 6), data=st.data())
def test_every_edit_deletion_reorder_truncation_and_rewriting_is_found(change: str, count: int, data: Any) -> None:
    """Whatever is done to whichever entry; of all anchors only the newest is needed."""
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        audit.create(connection)
        head = _write(connection, count)[-1]
        number = data.draw(st.integers(1, count))
        if change == "edit":
            column = data.draw(st.sampled_from(["at", "actor", "action", "subject", "detail", "previous_hash", "hash"]))
            _edit(connection, number, column, 99 if column == "at" else "changed")
        elif change == "delete":
            connection.execute(audit.delete().where(audit.c.sequence == number))
        elif change == "swap":
            other = data.draw(st.integers(1, count).filter(lambda n: n != number))
            for old, new in ((number, 1_000), (other, number), (1_000, other)):
                _edit(connection, old, "sequence", new)
        elif change == "truncate":
            connection.execute(audit.delete().where(audit.c.sequence >= number))
        elif change == "insert":
            entry = connection.execute(select(audit).where(audit.c.sequence == number)).one()
            connection.execute(audit.insert().values(entry._asdict() | {"sequence": count + 1}))
        else:  # the whole chain made anew by one who knows how, from an entry that says something else
            kept = connection.execute(select(audit).order_by(audit.c.sequence)).all()
            connection.execute(audit.delete())
            for entry in kept:
                actor = "bob" if entry.sequence == number else entry.actor
                append(connection, actor, entry.action, entry.subject, {"n": entry.sequence}, entry.at)
        assert verify(connection, [head]).findings


def test_each_entry_written_is_noted_outside_the_database(tmp_path: Path) -> None:
    store = open_store(load_settings(environ={}, folder=tmp_path))
    with store.change("rule changed", "HIGH", actor="ana"):
        pass
    anchors = noted_anchors(store.anchors, store.name)
    assert [anchor.sequence for anchor in anchors] == [1, 2]
    assert noted_anchors(store.anchors, "another") == []


def test_a_change_whose_anchor_cannot_be_noted_is_done_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(load_settings(environ={}, folder=tmp_path))
    store.anchors.unlink()
    store.anchors.mkdir()
    with store.change("rule changed", "HIGH"):
        pass
    with store.begin(read_only=True) as connection:
        head = verify(connection, []).head
    assert head is not None and head.sequence == 2
    assert f"is a directory): note elsewhere that the audit chain is at {head}." in caplog.text
    with pytest.raises(UsageError, match=r"audit-anchors\.txt cannot be read: is a directory"):
        noted_anchors(store.anchors, store.name)


def test_a_line_that_a_full_disk_cut_off_spoils_no_other(tmp_path: Path) -> None:
    store = open_store(load_settings(environ={}, folder=tmp_path))
    whole = store.anchors.read_text()
    store.anchors.write_text(whole + whole[:40])
    with store.change("rule changed", "HIGH"):
        pass
    assert [anchor.sequence for anchor in noted_anchors(store.anchors, store.name)] == [1, 2]
    store.anchors.write_text(f"1:00 {store.name}\n")
    with pytest.raises(UsageError, match=r"Line 1 of .*audit-anchors\.txt: '1:00' is no anchor"):
        noted_anchors(store.anchors, store.name)


def test_what_is_missing_and_what_was_cut_off_are_told_apart(tmp_path: Path) -> None:
    store = open_store(load_settings(environ={}, folder=tmp_path))
    with store.begin() as connection:
        anchors = _write(connection, 4)
        connection.execute(audit.delete().where(audit.c.sequence.in_([2, 5])))
        findings = verify(connection, anchors).findings
    assert "entry 2 was noted outside the database and is missing" in findings
    assert [finding for finding in findings if "its end was cut off" in finding] == [
        "the chain ends at entry 4, but entry 5 was noted outside the database: its end was cut off"
    ]


def test_a_change_that_fails_leaves_no_entry(tmp_path: Path) -> None:
    store = open_store(load_settings(environ={}, folder=tmp_path))
    with pytest.raises(ZeroDivisionError), store.change("rule changed", "HIGH"):
        raise ZeroDivisionError
    assert len(noted_anchors(store.anchors, store.name)) == 1


def test_the_command_finds_a_truncation_by_the_file_and_by_an_anchor_given(
    tmp_path: Path, fraudstream: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    store = open_store(load_settings(environ={}, folder=tmp_path))
    with store.change("rule changed", "HIGH"):
        pass
    head = fraudstream("audit", "head").stdout.strip()
    assert fraudstream("audit", "verify").returncode == 0
    assert "rule changed" in fraudstream("audit", "list").stdout
    with store.begin() as connection:
        connection.execute(audit.delete().where(audit.c.sequence == 2))
    by_file = fraudstream("audit", "verify")
    assert by_file.returncode == 1 and "its end was cut off" in by_file.stdout
    store.anchors.unlink()
    without = fraudstream("audit", "verify")
    assert without.returncode == 0 and "would not be noticed" in without.stderr
    assert fraudstream("audit", "verify", "--anchor", head).returncode == 1


@pytest.mark.parametrize("text", ["", "1", "x:" + "0" * 64, "1:" + "g" * 64, "1:00"])
def test_what_is_no_anchor_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no anchor"):
        parse_anchor(text)
