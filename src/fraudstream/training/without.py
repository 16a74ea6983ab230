"""A plan for a history that lacks fields the stream has."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fraudstream.errors import UsageError
from fraudstream.plan.compile import plan_of
from fraudstream.plan.plan import Plan


def plan_without(plan: Plan, fields: Sequence[str]) -> Plan:
    """The plan in which those fields may be null, as they are in every row of such a history.

    What rests on them is null too: a model sees one number in their place and learns nothing from it, so it does not
    use them in the stream either. Without the event's id nothing is recognised as a duplicate.

    Raises:
        UsageError: There is no such field, or the history means nothing without it.
    """
    event = plan.pipeline.event
    for name in fields:
        if event.field(name) is None:
            known = ", ".join(field.name for field in event.fields)
            raise UsageError(f"--without {name} names no field of the event.", f"Its fields: {known}.")
        if name == event.time:
            raise UsageError(f"A history without {name}, its event time, is none.", "Name the column with --column.")
        if name == event.id and plan.label_retention_ms:
            raise UsageError(
                f"--without {name} cannot be: labels name events by it, and the pipeline has features from labels.",
                f"Name the column with --column {name}=COLUMN.",
            )
    if not fields:
        return plan
    free = tuple(
        msgspec.structs.replace(field, required=False) if field.name in fields else field for field in event.fields
    )
    event_id = None if event.id in fields else event.id
    changed = msgspec.structs.replace(event, fields=free, id=event_id)
    return plan_of(msgspec.structs.replace(plan.pipeline, event=changed))
