"""`fraudstream evaluate`: what a pipeline's model is worth, measured on several periods."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from fraudstream.cli.console import show_json
from fraudstream.cli.history import (
    Columns,
    Data,
    LabelColumn,
    TimeColumn,
    TruthSource,
    Without,
    duration,
    note_rejected,
    open_history,
    progress,
    truth_for,
)
from fraudstream.cli.options import AsJson, BootstrapServers, ConfigFile, SetValues, settings_from
from fraudstream.errors import UsageError
from fraudstream.units import MILLISECONDS, format_instant

if TYPE_CHECKING:
    from fraudstream.training.prequential import Fold, Protocol

_NAMES = {
    "auc": "AUC ROC",
    "ap": "average precision",
    "cp": "card precision",
    "precision": "precision",
    "recall": "recall",
    "money_caught": "money caught",
    "money_disturbed": "genuine money alerted",
    "calibration_error": "calibration error",
    "brier": "Brier score",
}


def command(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    data: Data,
    label: LabelColumn = None,
    truth: TruthSource = None,
    column: Columns = None,
    without: Without = None,
    time_column: TimeColumn = None,
    label_delay: Annotated[str, typer.Option("--label-delay", help="How long after an event its label comes.")] = "7d",
    folds: Annotated[int, typer.Option("--folds", min=1, help="Test periods, one after the other.")] = 4,
    test_span: Annotated[str, typer.Option("--test-span", help="How long each is, whole days.")] = "7d",
    train_span: Annotated[str, typer.Option("--train-span", help="How long a time is learned from.")] = "28d",
    test_from: Annotated[
        str | None, typer.Option("--test-from", metavar="DAY", help="First test day; default: as late as possible.")
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Keys (cards) that can be looked at in a day.")] = 100,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same figures.")] = 1,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Judge a pipeline's model on several test periods of a history, each after training on what came before it.

    Between training and test lies the time that labels take, and keys known to be compromised are left out of the test.
    No model is saved.
    """
    from fraudstream.pipelines import find_plan
    from fraudstream.training.dataset import make_dataset
    from fraudstream.training.prequential import Protocol, evaluate
    from fraudstream.training.trainers import require_libraries

    started = time.monotonic()
    protocol = Protocol(
        folds,
        _days("--test-span", test_span),
        duration("--train-span", train_span),
        duration("--label-delay", label_delay),
        None if test_from is None else _day("--test-from", test_from),
        top,
        seed,
    )
    settings = settings_from(bootstrap_servers, config, values)
    declared = find_plan(pipeline, settings.pipelines_folder)
    if declared.pipeline.model is None:
        raise UsageError(f"{declared.pipeline.name} declares no model: there is nothing to judge.", "It runs as it is.")
    require_libraries(declared.pipeline.model)
    plan, history = open_history(declared, data, column, without, time_column, settings)
    known = truth_for(history, plan, label, truth, settings)
    if known is None:
        raise UsageError(
            "A model is judged by what events really were, and nothing says so.",
            "Name the column that does with --label, or a file with --truth.",
        )
    with progress() as show:
        rows = len(history)
        dataset = make_dataset(plan, history, known, protocol.label_delay_ms, lambda n: show("features", n, rows))
        with history.explained():
            found = evaluate(declared.pipeline.model, dataset, protocol, show)
    note_rejected(history)
    document = _document(declared.pipeline.name, protocol, found, time.monotonic() - started)
    if as_json:
        show_json(document)
    else:
        _print(document, found, top)


def _days(option: str, text: str) -> int:
    span_ms = duration(option, text)
    if not span_ms or span_ms % MILLISECONDS["d"]:
        raise UsageError(f"{option} {text} is not a number of whole days.", "Investigators work by the day: write 7d.")
    return span_ms


def _day(option: str, text: str) -> int:
    try:
        return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * 1_000
    except ValueError:
        raise UsageError(f"{option} {text} is no day.", "Write it like 2026-01-31.") from None


def _document(name: str, protocol: Protocol, folds: list[Fold], seconds: float) -> dict[str, object]:
    from fraudstream.training.prequential import summary

    return {
        "pipeline": name,
        "label_delay_days": protocol.label_delay_ms / MILLISECONDS["d"],
        "train_days": protocol.train_span_ms / MILLISECONDS["d"],
        "top_keys": protocol.top_keys,
        "measures": {key: {"mean": mean, "spread": spread} for key, (mean, spread) in summary(folds).items()},
        "folds": [
            {
                "train_from": format_instant(fold.train_from_ms),
                "train_until": format_instant(fold.train_until_ms),
                "test_from": format_instant(fold.test_from_ms),
                "test_until": format_instant(fold.test_until_ms),
                "events": fold.events,
                "frauds": fold.frauds,
                "left_out": fold.left_out,
                **fold.measures,
            }
            for fold in folds
        ],
        "seconds": round(seconds, 1),
    }


def _print(document: dict[str, object], folds: list[Fold], top: int) -> None:
    from fraudstream.training.prequential import summary

    def day(at_ms: int) -> str:
        return format_instant(at_ms)[:10]

    print(f"{document['pipeline']}: {len(folds)} test periods, labels {document['label_delay_days']:g} days late")
    for fold in folds:
        card = f"   card precision {fold.measures['cp']:.3f}" if "cp" in fold.measures else ""
        print(
            f"  {day(fold.test_from_ms)} to {day(fold.test_until_ms - 1)}   {fold.events:>8,} events, "
            f"{fold.frauds:>5,} fraud, {fold.left_out:>7,} left out   AUC {fold.measures['auc']:.3f}   "
            f"AP {fold.measures['ap']:.3f}{card}"
        )
    print("  mean ± spread over the periods:")
    for key, (mean, spread) in summary(folds).items():
        name = _NAMES[key] + (f" (top {top} a day)" if key == "cp" else "")
        print(f"    {name:<32} {mean:.3f} ± {spread:.3f}")
    print(f"  in {document['seconds']} s")
