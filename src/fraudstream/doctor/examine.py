"""Looks at everything at once, each check within a limit of time, and says what was found."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from fraudstream.doctor import cluster, events, folders, machine, model, outputs, scorers, storage, topics
from fraudstream.doctor.finding import Check, Finding, Level, Subject, error
from fraudstream.errors import BrokerUnreachable, FraudstreamError
from fraudstream.in_time import ask_all
from fraudstream.kafka.client import check_reachable

LIMIT_S = 15.0
_REACHED_WITHIN_S = 3.0
_AGAIN_S = 1.0

CHECKS = (
    Check("cluster", cluster.cluster, of_kafka=True),
    Check("transactions", cluster.transactions, of_kafka=True),
    Check("topics", topics.existence, of_pipeline=True, of_kafka=True),
    Check("topic settings", topics.keeping, of_pipeline=True, of_kafka=True),
    Check("rights", topics.rights, of_pipeline=True, of_kafka=True),
    Check("scorers", scorers.group, of_pipeline=True, of_kafka=True),
    Check("open transactions", scorers.hanging, of_pipeline=True, of_kafka=True),
    Check("clock", machine.clock, of_pipeline=True, of_kafka=True),
    Check("schema registry", events.registry),
    Check("token keys", events.tokens, of_pipeline=True),
    Check("model", model.model, of_pipeline=True),
    Check("snapshots", folders.snapshots, of_pipeline=True),
    Check("store", storage.store),
    Check("notifications", storage.notifications),
    Check("lake", storage.lake),
    Check("channels", outputs.channels),
    Check("sinks", outputs.sinks),
    Check("secrets", folders.secrets),
    Check("disk", folders.disks),
    Check("versions", machine.versions),
    Check("java", machine.java),
)
"""Every check, in the order in which findings are shown."""


class Examined(NamedTuple):
    """A finding, and the name of the check that found it."""

    check: str
    level: Level
    found: str
    advice: str


def examine(subject: Subject, checks: Sequence[Check] = CHECKS, *, limit_s: float = LIMIT_S) -> list[Examined]:
    """What the checks find. One that fails or takes too long is a finding itself; none can keep this from ending."""
    findings = {"Kafka": _reached(subject)}
    reached = findings["Kafka"][0].level is Level.OK
    asked = {check.name: check for check in checks if subject.plan is not None or not check.of_pipeline}
    questions: dict[str, Callable[[], list[Finding]]] = {
        name: partial(_look, check, subject) for name, check in asked.items() if reached or not check.of_kafka
    }
    answers = ask_all(questions, limit_s)
    for name in asked:
        answer = answers.get(name, [Finding(Level.SKIPPED, "Not looked at: Kafka does not answer.")])
        findings[name] = [_failed(answer, limit_s)] if isinstance(answer, Exception) else answer
    return [Examined(name, *finding) for name, found in findings.items() for finding in found]


def _reached(subject: Subject) -> list[Finding]:
    """Whether a broker answers; asked first, so that the checks that need one do not all wait in vain."""
    settings = subject.settings
    try:
        check_reachable(settings, _REACHED_WITHIN_S)
    except FraudstreamError as failed:
        return [error(failed.found, failed.advice)]
    return [Finding(Level.OK, f"{settings.bootstrap_servers} answers (from {settings.origin('bootstrap_servers')}).")]


def _look(check: Check, subject: Subject) -> list[Finding]:
    try:
        return list(check.look(subject))
    except BrokerUnreachable:  # it answered before: a leader may just be elected
        time.sleep(_AGAIN_S)
        return list(check.look(subject))


def _failed(reason: Exception, limit_s: float) -> Finding:
    if isinstance(reason, FraudstreamError):
        return error(reason.found or str(reason), reason.advice)
    if isinstance(reason, TimeoutError):
        return error(f"No answer within {limit_s:g} s.", "See whether what it asks is overloaded or cut off.")
    return error(
        f"This check itself failed: {type(reason).__name__}: {reason}.",
        "Please report it; the other checks stand.",
    )
