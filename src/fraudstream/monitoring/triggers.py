"""What calls for retraining: time, drift, or enough new labels."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from fraudstream.monitoring.diary import Entry
from fraudstream.monitoring.watch import Report
from fraudstream.units import format_duration

CURABLE = frozenset({"psi", "ks", "out_of_range", "alert_ratio", "average_precision_loss"})
"""The limits whose passing a new model can help; that inputs are missing or a feature is wrong it cannot."""


class Triggers(NamedTuple):
    """When to retrain.

    Attributes:
        every_ms: So long after the last time; None: not by time.
        on_drift: When a limit is passed that a new model can help.
        new_labels: When so many more events are labelled than at the last time; None: not by labels.
        pause_ms: Not again before so long after the last time, whatever is seen.
    """

    every_ms: int | None
    on_drift: bool
    new_labels: int | None
    pause_ms: int


def due(triggers: Triggers, last: Entry | None, at: datetime, report: Report | None, labels: int) -> str | None:
    """Why to retrain now, as a sentence; None if there is no reason.

    Args:
        triggers: What calls for it.
        last: How the last run began; None before the first.
        at: The present instant.
        report: What is seen of the pipeline; None where it is not watched.
        labels: How many events are labelled.
    """
    elapsed_ms = None if last is None else (at - datetime.fromisoformat(last.at)).total_seconds() * 1_000
    if elapsed_ms is not None and elapsed_ms < triggers.pause_ms:
        return None
    if triggers.on_drift and report is not None:
        seen = [alarm.text for alarm in report.alarms if alarm.limit in CURABLE]
        if seen:
            return f"drift: {'; '.join(seen)}"
    known = 0 if last is None or last.labels is None else last.labels
    if triggers.new_labels is not None and labels - known >= triggers.new_labels:
        return f"{labels - known:,} new labels"
    if triggers.every_ms is not None and (elapsed_ms is None or elapsed_ms >= triggers.every_ms):
        return f"{format_duration(triggers.every_ms)} have passed" if last is not None else "the first time"
    return None
