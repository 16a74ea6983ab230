"""A case is opened for an alert, taken, and closed once; each step is in the audit chain."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from fraudstream.errors import UsageError
from fraudstream.settings import Settings, load_settings
from fraudstream.store.bulk import insert_rows
from fraudstream.store.cases import Status, Verdict, assign, close, list_cases, open_case
from fraudstream.store.engine import Store, connect
from fraudstream.store.migrate import upgrade
from fraudstream.store.tables import alerts, audit

ALERT = ("shop", "pay-in", 2, 7, "e7", "****", "12.50", "review", 0.7, "HIGH", *["[]"] * 2, None, *["{}"] * 2, 5, 6)


def with_an_alert(settings: Settings) -> Store:
    """A store that has one."""
    store = connect(settings)
    upgrade(store)
    with store.begin() as connection:
        insert_rows(connection, alerts, [ALERT])
    return store


def test_a_case_from_opening_to_verdict(store_settings: Settings) -> None:
    store = with_an_alert(store_settings)
    opened = open_case(store, "shop", "pay-in-2-7", now_ms=10)
    assert (opened.status, opened.alert_id, opened.opened_at) == ("open", "pay-in-2-7", 10)
    assert open_case(store, "shop", "pay-in-2-7", now_ms=11) == opened
    assert assign(store, opened.case_id, "ana", now_ms=12).status == "working"
    closed = close(store, opened.case_id, Verdict.FRAUD, "called the customer", now_ms=13)
    assert (closed.status, closed.assignee, closed.verdict, closed.changed_at) == ("closed", "ana", "fraud", 13)
    assert (list_cases(store), list_cases(store, Status.OPEN)) == ([closed], [])
    with pytest.raises(UsageError, match="is closed: fraud"):
        assign(store, opened.case_id, "bob")
    with store.begin(read_only=True) as connection:
        entries = connection.execute(select(audit).order_by(audit.c.sequence)).all()
    assert [entry.action for entry in entries[1:]] == ["case opened", "case assigned", "case closed"]
    assert "customer" not in str(entries)


def test_what_is_no_alert_in_the_store_has_no_case(tmp_path: Path) -> None:
    store = with_an_alert(load_settings(environ={}, folder=tmp_path))
    for pipeline, alert_id in (("shop", "pay-in-2-8"), ("another", "pay-in-2-7")):
        with pytest.raises(UsageError, match="has no alert"):
            open_case(store, pipeline, alert_id)
    for nonsense in ("", "pay-in", "pay-x-1", "-1-2"):
        with pytest.raises(UsageError, match="no alert's id"):
            open_case(store, "shop", nonsense)
    with pytest.raises(UsageError, match="There is no case 5"):
        close(store, 5, Verdict.FRAUD)


def test_the_commands_say_how_the_pipeline_learns_of_it(
    tmp_path: Path, fraudstream: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    with_an_alert(load_settings(environ={}, folder=tmp_path))
    assert "case 1 of shop, alert pay-in-2-7: open" in fraudstream("case", "open", "shop", "pay-in-2-7").stdout
    done = fraudstream("case", "close", "1", "legitimate")
    assert done.returncode == 0
    assert "fraudstream label shop e7 legitimate" in done.stderr
    assert "legitimate" in fraudstream("case", "list", "--status", "closed").stdout
