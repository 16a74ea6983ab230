"""`fraudstream dataset`: the features of a history as a table, each as it was known when its event happened."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from fraudstream.cli.console import show_json
from fraudstream.cli.history import (
    SOURCES,
    SOURCES_HELP,
    Columns,
    LabelColumn,
    TimeColumn,
    Without,
    duration,
    note_rejected,
    open_history,
    progress,
    truth_for,
)
from fraudstream.cli.options import AsJson, BootstrapServers, ConfigFile, SetValues, settings_from
from fraudstream.errors import UsageError
from fraudstream.units import format_instant, parse_instant


def command(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    source: Annotated[str, typer.Option("--from", metavar=SOURCES, help=SOURCES_HELP)],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The table: .parquet.")],
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="FILE | TOPIC | store | database:TABLE",
            help="Labels by event id: a file, a topic, the store's, or a table.",
        ),
    ] = None,
    label: LabelColumn = None,
    label_delay: Annotated[
        str, typer.Option("--label-delay", help="How long after an event its label comes, where none says when.")
    ] = "7d",
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="INSTANT", help="Nothing later is in it; default: the last event's time."),
    ] = None,
    column: Columns = None,
    without: Without = None,
    time_column: TimeColumn = None,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Write the features of past events as a table, each as the stream would have known it when its event happened.

    The history goes through the code that scores live. Labels are joined as they were known at one instant: an event
    whose label had not come by then has none. Sensitive fields are given as numbers.
    """
    from fraudstream.pipelines import find_plan
    from fraudstream.training.table import FRAUD, feature_table

    started = time.monotonic()
    if out.suffix != ".parquet":
        raise UsageError(f"--out {out} is no Parquet file's name.", "Let it end with .parquet.")
    if not out.parent.is_dir():
        raise UsageError(f"There is no folder {out.parent} for --out.", "Make it, or name another file.")
    delay_ms = duration("--label-delay", label_delay)
    try:
        as_of_ms = None if as_of is None else parse_instant(as_of)
    except ValueError as wrong:
        raise UsageError(f"--as-of: {wrong}.") from None
    settings = settings_from(bootstrap_servers, config, values)
    plan, history = open_history(
        find_plan(pipeline, settings.pipelines_folder), source, column, without, time_column, settings
    )
    truth = truth_for(history, plan, label, labels, settings, option="--labels")
    with progress() as show:
        rows = len(history)
        table = feature_table(plan, history, truth, delay_ms, as_of_ms, lambda done: show("features", done, rows))
        table.frame.write_parquet(out)
    note_rejected(history)
    frame = table.frame
    known = None if truth is None else frame[FRAUD].drop_nulls()
    document = {
        "file": out,
        "rows": len(frame),
        "columns": frame.columns,
        "as_of": format_instant(table.as_of_ms),
        "later": table.later,
        "duplicates": table.duplicates,
        "rejected": dict(history.rejected.rows),
        "labelled": None if known is None else len(known),
        "frauds": None if known is None else int(known.sum()),
        "seconds": round(time.monotonic() - started, 3),
    }
    if as_json:
        show_json(document)
        return
    print(f"{out}: {len(frame):,} events, {len(frame.columns)} columns, as of {document['as_of']}")
    if known is not None:
        print(f"  {len(known):,} labels were known, {document['frauds']:,} of them fraud")
    if table.duplicates or table.later:
        print(f"  left out: {table.duplicates:,} duplicates, {table.later:,} events after that instant")
