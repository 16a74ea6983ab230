"""`fraudstream evaluate`: what a pipeline's model is worth, measured on several periods."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fraudstream.cli.console import show_json
from fraudstream.cli.history import Columns, Data, LabelColumn, TimeColumn, TruthSource, Without, duration
from fraudstream.cli.judging import (
    Folds,
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
    feature_delay: Annotated[
        str | None,
        typer.Option(
            "--feature-delay",
            metavar="DURATION",
            help="Label features see labels so long after their events: what faster labels are worth.",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write a page with curves, costs and segments.")
    ] = None,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Judge a pipeline's model on several test periods of a history, each after training on what came before it.

    Between training and test lies the time that labels take, and keys known to be compromised are left out of the test.
    No model is saved.
    """
    from fraudstream.report.build import report

    protocol = protocol_of(label_delay, folds, test_span, train_span, test_from, top, seed)
    settings = settings_from(bootstrap_servers, config, values)
    source = Source(pipeline, data, label, truth, column, without, time_column)
    features_wait_ms = None if feature_delay is None else duration("--feature-delay", feature_delay)
    judged = judge(source, protocol, None, settings, features_wait_ms)
    if html is not None:
        write_page(html, lambda: report(judged.material, with_explanation=False))
    if as_json:
        show_json(document(judged))
    else:
        show_folds(judged)
