"""`fraudstream report`: one page of how well a model does and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fraudstream.cli.console import show_json, show_note
from fraudstream.cli.history import Columns, Data, LabelColumn, TimeColumn, TruthSource, Without
from fraudstream.cli.judging import (
    Folds,
    Investigation,
    LabelDelay,
    Seed,
    Source,
    TestFrom,
    TestSpan,
    TopKeys,
    TrainSpan,
    document,
    judge,
    protocol_of,
    show_folds,
    write_page,
)
from fraudstream.cli.options import AsJson, BootstrapServers, ConfigFile, SetValues, settings_from


def command(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    data: Data,
    label: LabelColumn = None,
    truth: TruthSource = None,
    column: Columns = None,
    without: Without = None,
    time_column: TimeColumn = None,
    label_delay: LabelDelay = "7d",
    folds: Folds = 4,
    test_span: TestSpan = "7d",
    train_span: TrainSpan = "28d",
    test_from: TestFrom = None,
    top: TopKeys = 100,
    seed: Seed = 1,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The page; one HTML file.")] = Path("report.html"),
    investigation: Investigation = None,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Judge a pipeline's model on a history, explain it, and write both as one page that needs nothing but itself.

    Curves, calibration, cost against threshold, parts of the traffic; what matters, how scores move, the worst misses
    and false alarms with their reasons in words, and drift. Training and testing is that of `fraudstream evaluate`.
    """
    from fraudstream.report.build import report

    protocol = protocol_of(label_delay, folds, test_span, train_span, test_from, top, seed)
    settings = settings_from(bootstrap_servers, config, values)
    source = Source(pipeline, data, label, truth, column, without, time_column)
    judged = judge(source, protocol, investigation, settings)
    write_page(out, lambda: report(judged.material))
    if as_json:
        show_json(document(judged))
    else:
        show_folds(judged)
    show_note(f"the page is {out}")
