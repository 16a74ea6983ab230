"""How long what is kept of a pipeline is kept."""

from __future__ import annotations

import msgspec


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How long rows are kept, as durations; None: for ever. It changes no decision and is no part of the version.

    Attributes:
        decisions: Decisions, in the store and in the lake, from when they were made.
        alerts: Alerts in the store, from when they were raised.
        cases: Cases that are closed, from when they were.
        labels: Labels in the store, from when they were known.
        dead_letters: Dead letters in the store, from the Kafka timestamp of their record, else from their own.
        notifications: Notifications that were sent or failed for good, from when they were made.
        events: Raw events in the lake, from their Kafka timestamp.
        suspicious: Suspicious decisions in the lake, from when they were made.
        topics: Records on topics, by topic: Kafka's `retention.ms`. What is not named is kept as the cluster has it.
    """

    decisions: str | None = None
    alerts: str | None = None
    cases: str | None = None
    labels: str | None = None
    dead_letters: str | None = None
    notifications: str | None = None
    events: str | None = None
    suspicious: str | None = None
    topics: tuple[tuple[str, str], ...] = ()


KEEP_ALL = Retention()
