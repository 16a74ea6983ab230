"""A history as commands take it: its file, what its columns are called, and where the truth is."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudstream.cli.console import show_note
from fraudstream.errors import UsageError
from fraudstream.units import parse_duration

if TYPE_CHECKING:
    from fraudstream.plan.plan import Plan
    from fraudstream.training.history import History
    from fraudstream.training.trainers import Show
    from fraudstream.training.truth import Truth

Data = Annotated[Path, typer.Option("--data", metavar="FILE", help="Past events: .parquet, .csv or .jsonl.")]
LabelColumn = Annotated[
    str | None, typer.Option("--label", metavar="COLUMN", help="Column of the truth; guessed; none: there is none.")
]
TruthFile = Annotated[
    Path | None, typer.Option("--truth", metavar="FILE", help="Truth by event id, as `simulate --truth` writes it.")
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="FIELD=COLUMN", help="A field's column, named otherwise; repeatable."),
]
Without = Annotated[
    list[str] | None,
    typer.Option("--without", metavar="FIELD", help="A field the history does not have; repeatable."),
]
TimeColumn = Annotated[
    str | None, typer.Option("--time", metavar="COLUMN", help="Event time, where events have none; guessed.")
]


def open_history(
    declared: Plan, data: Path, column: list[str] | None, without: list[str] | None, time_column: str | None
) -> tuple[Plan, History]:
    """The history, and the plan without the fields it does not have.

    Raises:
        UsageError: An option is not understood.
        DataError: The file cannot be read, or lacks columns.
    """
    from fraudstream.training.history import History
    from fraudstream.training.without import plan_without

    columns = pairs(column or [])
    plan = plan_without(declared, without or [])
    history = History(data, plan.pipeline.event, columns, time_column)
    if history.absent:
        show_note(f"note: {data.name} has no {', '.join(history.absent)}; what rests on them is null in training.")
    return plan, history


def note_rejected(history: History) -> None:
    """Says which rows were no events."""
    if history.rejected.rows:
        show_note(f"note: {history.rejected.rows.total():,} rows are no events: {history.rejected}.")


def duration(option: str, text: str) -> int:
    """An option's duration in milliseconds.

    Raises:
        UsageError: It is none.
    """
    try:
        return parse_duration(text)
    except ValueError as wrong:
        raise UsageError(f"{option}: {wrong}.") from None


def instant(option: str, text: str | None) -> int | None:
    """An option's instant in epoch milliseconds: `2026-01-31`, or `2026-01-31T08:00:00Z`; UTC unless said.

    Raises:
        UsageError: It is none.
    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text} is no instant.", "Write 2026-01-31, or 2026-01-31T08:00:00Z.") from None
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1_000)


def pairs(given: list[str]) -> dict[str, str]:
    """Columns by what they stand for, from options written NAME=COLUMN.

    Raises:
        UsageError: One is not written so.
    """
    parts = [pair.partition("=") for pair in given]
    for name, separator, column in parts:
        if not (name and separator and column):
            raise UsageError(f"--column {name} is not understood.", "Write --column FIELD=COLUMN.")
    return {name.strip(): column.strip() for name, _, column in parts}


def truth_for(history: History, plan: Plan, label: str | None, file: Path | None) -> Truth | None:
    """The truth that was named, or the column that looks like it."""
    from fraudstream.training.truth import guess_label, truth_of_column, truth_of_file

    if file is not None:
        if label is not None:
            raise UsageError("--label and --truth both say what was fraud.", "Give one of them.")
        return truth_of_file(file, plan.pipeline.event, len(history))
    if label == "none" and "none" not in history.file.names:
        return None
    if label is None:
        label = guess_label(history.file.names, plan.pipeline.event)
        if label is None:
            return None
        show_note(f"note: the truth is taken from the column {label}; --label names another.")
    return truth_of_column(history.path, history.file, label)


@contextmanager
def progress() -> Iterator[Show]:
    """A progress line on stderr; without a terminal one line a stage."""
    last = ("", 0.0)
    on_terminal = sys.stderr.isatty()

    def show(stage: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if stage == last[0] and (not on_terminal or now - last[1] < 0.2):
            return
        last = (stage, now)
        if on_terminal:
            print(f"\r\x1b[K{stage} {done:,} of {total:,}", end="", file=sys.stderr, flush=True)
        else:
            show_note(f"{stage} …")

    try:
        yield show
    finally:
        if on_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
