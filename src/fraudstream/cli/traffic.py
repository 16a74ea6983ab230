"""What `simulate` and `produce` share: clean stopping, the progress line, the summary."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from fraudstream.errors import UsageError
from fraudstream.simulate.delivery import Delivered
from fraudstream.telemetry import logs
from fraudstream.units import format_instant, parse_duration, parse_instant


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; the second of them ends the process as usual."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def progress_line(total: int | None, title: str) -> Iterator[Callable[[Delivered], None] | None]:
    """A progress bar on stderr, where somebody watches it; yields what to call with the state."""
    if not sys.stderr.isatty() or logs.is_json():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total, rate="")

        def show(done: Delivered) -> None:
            bar.update(task, completed=done.events, rate=f"{done.events_per_s:,.0f}/s · fraud {done.fraud:,}")

        yield show


def summary_of(done: Delivered, **more: Any) -> dict[str, Any]:
    """The summary as a JSON object."""
    return {
        "events": done.events,
        "fraud": done.fraud,
        "labels": done.labels,
        "labels_not_due": done.labels_not_due,
        "first_event_at": None if done.first_at_ms is None else format_instant(done.first_at_ms),
        "last_event_at": None if done.last_at_ms is None else format_instant(done.last_at_ms),
        "seconds": round(done.seconds, 3),
        "events_per_s": round(done.events_per_s, 1),
        "stopped": done.stopped,
        **more,
    }


def summary_text(done: Delivered, where: str, labels_topic: str | None) -> str:
    """The summary for a reader."""
    lines = [f"{done.events:,} events to {where} in {done.seconds:.1f} s ({done.events_per_s:,.0f}/s)"]
    if done.first_at_ms is not None and done.last_at_ms is not None:
        lines.append(f"event time {format_instant(done.first_at_ms)} … {format_instant(done.last_at_ms)}")
    if labels_topic:
        lines.append(f"{done.labels:,} labels to {labels_topic}, {done.labels_not_due:,} not due before the last event")
    return "\n".join(lines)


def duration_ms(option: str, text: str) -> int:
    """Milliseconds of an option's duration.

    Raises:
        UsageError: It is not one.
    """
    try:
        return parse_duration(text)
    except ValueError as wrong:
        raise UsageError(f"{option}: {wrong}.") from None


def instant_ms(option: str, text: str) -> int:
    """Epoch milliseconds of an option's instant, UTC unless it says otherwise.

    Raises:
        UsageError: It is not one.
    """
    try:
        return parse_instant(text)
    except ValueError as wrong:
        raise UsageError(f"{option}: {wrong}.") from None
