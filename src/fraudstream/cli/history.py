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
from fraudstream.errors import BrokerUnreachable, TopicError, UsageError
from fraudstream.telemetry import logs
from fraudstream.units import parse_duration

if TYPE_CHECKING:
    from fraudstream.plan.plan import Plan
    from fraudstream.settings import Settings
    from fraudstream.training.files import HistorySource
    from fraudstream.training.history import History
    from fraudstream.training.trainers import Show
    from fraudstream.training.truth import Truth

LAKE, STORE = "lake", "store"
"""What stands for the lake and the operational store, in the place of a file or topic."""
SOURCES = "FILE | TOPIC | lake | store | database:TABLE"
SOURCES_HELP = "Past events: .parquet, .csv or .jsonl, a topic, the lake, the store, or a table of history_url."
Data = Annotated[str, typer.Option("--data", metavar=SOURCES, help=SOURCES_HELP)]
LabelColumn = Annotated[
    str | None, typer.Option("--label", metavar="COLUMN", help="Column of the truth; guessed; none: there is none.")
]
TruthSource = Annotated[
    str | None,
    typer.Option(
        "--truth",
        metavar="FILE | TOPIC | store | database:TABLE",
        help="Truth by event id: what `simulate --truth` writes, a labels topic, the store's labels, or a table.",
    ),
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
    declared: Plan,
    data: str,
    column: list[str] | None,
    without: list[str] | None,
    time_column: str | None,
    settings: Settings,
) -> tuple[Plan, History]:
    """The history, and the plan without the fields it does not have.

    Raises:
        UsageError, SettingError: An option is not understood, or a setting is missing.
        DataError: The history cannot be read, or lacks columns.
        BrokerUnreachable, TopicError: There is no such topic, or no broker.
        StoreError: The database does not answer, or refuses.
    """
    from fraudstream.training.history import History
    from fraudstream.training.without import plan_without

    columns = pairs(column or [])
    plan = plan_without(declared, without or [])
    history = History(_source(declared, data, settings), plan.pipeline.event, columns, time_column)
    if history.absent:
        show_note(f"note: {history.name} has no {', '.join(history.absent)}; what rests on them is null in training.")
    return plan, history


def _source(plan: Plan, data: str, settings: Settings) -> Path | HistorySource:
    """Where the events are. What each kind needs is imported only when it is meant."""
    from fraudstream.training.database import PREFIX, database_table

    if data.startswith(PREFIX):
        return database_table(settings, data.removeprefix(PREFIX))
    path = path_of(data)
    if path is not None:
        return path
    if data == LAKE:
        from fraudstream.training.lake import lake_source

        return lake_source(settings, plan)
    if data == STORE:
        from fraudstream.training.store import StoreSource

        return StoreSource(settings, plan)
    from fraudstream.training.topic import TopicSource

    with _taken_as_topic(data):
        return TopicSource(settings, data, plan.pipeline)


def path_of(name: str) -> Path | None:
    """The file a name means; None where it means a topic: it is no path, and does not end as a history file does."""
    from fraudstream.training.files import KINDS

    path = Path(name)
    return path if path.suffix in KINDS or path.exists() or "/" in name else None


@contextmanager
def _taken_as_topic(name: str) -> Iterator[None]:
    """Where there is no such topic, the message says that no such file was found, either."""
    from fraudstream.training.files import KINDS

    try:
        yield
    except (BrokerUnreachable, TopicError) as failed:
        note = f"There is no file {name}, and what does not end with {', '.join(KINDS)} is taken for a topic."
        raise type(failed)(f"{note} {failed.found}", failed.advice) from None


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


def truth_for(
    history: History, plan: Plan, label: str | None, truth: str | None, settings: Settings, option: str = "--truth"
) -> Truth | None:
    """The truth that was named, the column that looks like it, or the labels that are kept where the events are."""
    from fraudstream.training.store import StoreSource
    from fraudstream.training.truth import guess_label, truth_of_column

    if truth is not None and label is not None:
        raise UsageError(f"--label and {option} both say what was fraud.", "Give one of them.")
    names, event = history.source.names, plan.pipeline.event
    if label == "none" and "none" not in names:
        return None
    if label is None and truth is None:
        label = guess_label(names, event)
        if label is not None:
            show_note(f"note: the truth is taken from the column {label}; --label names another.")
        elif history.source.timestamp_ms is not None and plan.pipeline.labels is not None:
            of_store = isinstance(history.source, StoreSource)
            truth = STORE if of_store else plan.pipeline.labels.name
            where = "labels in the store" if of_store else f"topic {truth}"
            show_note(f"note: the truth is taken from the {where}; {option} names another source.")
    if label is not None:
        return truth_of_column(history.source, label)
    if truth is None:
        return None
    return _named_truth(truth, history, plan, settings)


def _named_truth(truth: str, history: History, plan: Plan, settings: Settings) -> Truth:
    from fraudstream.training.database import PREFIX, database_table
    from fraudstream.training.truth import truth_of_file, truth_of_source

    event = plan.pipeline.event
    if truth.startswith(PREFIX):
        return truth_of_source(database_table(settings, truth.removeprefix(PREFIX)), event, len(history))
    path = path_of(truth)
    if path is not None:
        return truth_of_file(path, event, len(history))
    if truth == STORE:
        from fraudstream.training.store import truth_of_store

        return truth_of_store(settings, plan)
    from fraudstream.training.topic import truth_of_topic

    with _taken_as_topic(truth):
        found, rejected = truth_of_topic(settings, truth, event)
    if rejected:
        show_note(f"note: {rejected.total():,} records of {truth} are no labels.")
    return found


@contextmanager
def progress() -> Iterator[Show]:
    """A progress line on stderr; without a terminal one line a stage."""
    last = ("", 0.0)
    on_terminal = sys.stderr.isatty() and not logs.is_json()

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
