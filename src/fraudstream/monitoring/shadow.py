"""A new version in the shadow of live decisions, before it is promoted: waited for, and judged."""

from __future__ import annotations

import time
from collections.abc import Callable

from fraudstream.models.gate import DEFAULT_TOLERANCE
from fraudstream.monitoring.comparison import Comparison
from fraudstream.monitoring.retraining import Shadowed

LOOK_S = 2.0


def await_shadow(compared: Callable[[], Comparison], wanted: int, within_s: float, least_frauds: int) -> Shadowed:
    """Waits until a version was scored beside so many live decisions, and judges it by them.

    Args:
        compared: Compares it with the champion, as of now.
        wanted: How many live decisions.
        within_s: How long to wait for them.
        least_frauds: With fewer known frauds among them, quality is not judged.
    """
    deadline = time.monotonic() + within_s
    found = compared()
    while found.events < wanted and time.monotonic() < deadline:
        time.sleep(min(LOOK_S, max(0.0, deadline - time.monotonic())))
        found = compared()
    return judged(found, wanted, least_frauds)


def judged(found: Comparison, wanted: int, least_frauds: int) -> Shadowed:
    """What scoring in the shadow says of a version."""
    said = (
        f"in the shadow of {found.events:,} live decisions it came to the same outcome in {found.same_outcome:.1%}, "
        f"with {found.more_alerts:,} alerts more and {found.fewer_alerts:,} fewer"
    )
    if found.events < wanted:
        return Shadowed(False, f"{said}; {wanted:,} decisions were asked for")
    if found.frauds < least_frauds or found.champion is None or found.challenger is None:
        return Shadowed(True, said)
    now, before = found.challenger.average_precision, found.champion.average_precision
    said = f"{said}; average precision {now:.4f} against {before:.4f} on {found.frauds:,} frauds known among them"
    return Shadowed(now >= before - DEFAULT_TOLERANCE, said)
