"""Histories that are kept with sensitive values masked: what of them can still be used."""

from __future__ import annotations

from fraudstream.errors import UsageError
from fraudstream.plan.plan import Plan


def require_unmasked(plan: Plan, keeper: str) -> None:
    """A history can be made again only where events can be told apart as they were told apart live.

    Args:
        plan: What the history is for.
        keeper: What keeps it: `lake` or `store`.

    Raises:
        UsageError: Features look back over a field that is masked there.
    """
    keys = {name for log in plan.logs for name in log.by} | {plan.pipeline.event.id, plan.pipeline.event.key}
    masked = [field.name for field in plan.pipeline.event.fields if field.sensitive and field.name in keys]
    if masked:
        raise UsageError(
            f"The {keeper} holds {', '.join(masked)} masked, and the history of {plan.pipeline.name} goes by it.",
            "Read the topic, or a file of events as they came.",
        )
