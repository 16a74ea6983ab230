"""The work on alerts: a case is opened for an alert, somebody takes it, and it ends with a verdict. All is audited."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection, select, update

from fraudstream.errors import UsageError
from fraudstream.store.engine import Store
from fraudstream.store.tables import alerts, cases


class Status(StrEnum):
    """How a case stands."""

    OPEN = "open"
    WORKING = "working"
    """Somebody has it."""
    CLOSED = "closed"


class Verdict(StrEnum):
    """What the event of a case turned out to be."""

    FRAUD = "fraud"
    LEGITIMATE = "legitimate"


class Case(NamedTuple):
    """A case, in the columns of its table; instants are epoch ms."""

    case_id: int
    pipeline: str
    input_topic: str
    input_partition: int
    input_offset: int
    status: str
    assignee: str | None
    verdict: str | None
    note: str | None
    opened_at: int
    changed_at: int

    @property
    def alert_id(self) -> str:
        """The alert's id, as alert records have it."""
        return f"{self.input_topic}-{self.input_partition}-{self.input_offset}"


def open_case(store: Store, pipeline: str, alert_id: str, now_ms: int | None = None) -> Case:
    """Opens the case of an alert that is in the store; one that has a case already keeps it.

    Raises:
        UsageError: The pipeline has no such alert in the store.
        StoreUnreachable, StoreError: The database does not answer, or refuses.
    """
    topic, partition, offset = _coordinates(alert_id)
    place = {"pipeline": pipeline, "input_topic": topic, "input_partition": partition, "input_offset": offset}
    with store.begin() as connection:
        if connection.execute(select(alerts.c.outcome).filter_by(**place)).first() is None:
            raise UsageError(
                f"The store {store.name} has no alert {alert_id} of {pipeline}.",
                "`fraudstream sink store` writes them; `fraudstream alerts` shows their ids.",
            )
        found = connection.execute(select(cases).filter_by(**place)).one_or_none()
    if found is not None:
        return Case(*found)
    at_ms = _now(now_ms)
    with store.change("case opened", f"{pipeline} {alert_id}") as connection:
        row = place | {"status": Status.OPEN.value, "opened_at": at_ms, "changed_at": at_ms}
        number = connection.execute(cases.insert().values(row)).inserted_primary_key
        assert number is not None
        return _case(connection, number[0])


def assign(store: Store, case_id: int, assignee: str, now_ms: int | None = None) -> Case:
    """Gives a case to somebody.

    Raises:
        UsageError: There is no such case, or it is closed.
        StoreUnreachable, StoreError: The database does not answer, or refuses.
    """
    return _change(store, case_id, "case assigned", {"assignee": assignee, "status": Status.WORKING.value}, now_ms)


def close(store: Store, case_id: int, verdict: Verdict, note: str | None = None, now_ms: int | None = None) -> Case:
    """Ends a case with what was found.

    Raises:
        UsageError: There is no such case, or it is closed.
        StoreUnreachable, StoreError: The database does not answer, or refuses.
    """
    values = {"verdict": verdict.value, "status": Status.CLOSED.value, "note": note}
    return _change(store, case_id, "case closed", values, now_ms)


def list_cases(store: Store, status: Status | None = None) -> list[Case]:
    """The cases, oldest first.

    Raises:
        StoreUnreachable, StoreError: The database does not answer, or refuses.
    """
    wanted = select(cases).order_by(cases.c.case_id)
    if status is not None:
        wanted = wanted.where(cases.c.status == status.value)
    with store.begin(read_only=True) as connection:
        return [Case(*row) for row in connection.execute(wanted)]


def event_id_of(store: Store, case: Case) -> str | None:
    """The id of a case's event; None where the alert is not kept any more."""
    place = {name: getattr(case, name) for name in ("pipeline", "input_topic", "input_partition", "input_offset")}
    with store.begin(read_only=True) as connection:
        return connection.execute(select(alerts.c.event_id).filter_by(**place)).scalar()


def _change(store: Store, case_id: int, action: str, values: dict[str, str | None], now_ms: int | None) -> Case:
    # What is audited says what was decided; a note may name people, and people can ask to be forgotten.
    detail = {name: value for name, value in values.items() if name != "note"}
    with store.change(action, f"case {case_id}", detail) as connection:
        before = _case(connection, case_id)
        if before.status == Status.CLOSED:
            raise UsageError(f"Case {case_id} is closed: {before.verdict}.", "Open cases can be changed.")
        changed = update(cases).where(cases.c.case_id == case_id)
        connection.execute(changed.values(values | {"changed_at": _now(now_ms)}))
        return _case(connection, case_id)


def _case(connection: Connection, case_id: int) -> Case:
    found = connection.execute(select(cases).where(cases.c.case_id == case_id)).one_or_none()
    if found is None:
        raise UsageError(f"There is no case {case_id}.", "See `fraudstream case list`.")
    return Case(*found)


def _coordinates(alert_id: str) -> tuple[str, int, int]:
    topic, _, place = alert_id.rpartition("-")
    topic, _, partition = topic.rpartition("-")
    if not topic or not partition.isdecimal() or not place.isdecimal():
        raise UsageError(f"{alert_id!r} is no alert's id.", "It is TOPIC-PARTITION-OFFSET, as alerts have it.")
    return topic, int(partition), int(place)


def _now(now_ms: int | None) -> int:
    return time.time_ns() // 1_000_000 if now_ms is None else now_ms
