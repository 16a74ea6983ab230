"""`fraudstream train`: a pipeline's model from a history."""

from __future__ import annotations

import time
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
from fraudstream.units import format_duration, format_instant

if TYPE_CHECKING:
    from fraudstream.plan.plan import Plan
    from fraudstream.training.history import History
    from fraudstream.training.train import Trained


def command(
    pipeline: Annotated[str, typer.Argument(metavar="FILE | NAME", help="A pipeline's YAML file, or its name.")],
    data: Data,
    label: LabelColumn = None,
    truth: TruthSource = None,
    column: Columns = None,
    without: Without = None,
    time_column: TimeColumn = None,
    test_share: Annotated[float, typer.Option("--test-share", help="Share of events, the latest, for the test.")] = 0.3,
    train_span: Annotated[
        str | None, typer.Option("--train-span", help="How long a time is learned from; default: all before the test.")
    ] = None,
    search: Annotated[
        int, typer.Option("--search", metavar="TRIES", min=1, help="Choose among so many parameters, before the test.")
    ] = 1,
    label_delay: Annotated[str, typer.Option("--label-delay", help="How long after an event its label comes.")] = "7d",
    alert_share: Annotated[
        float, typer.Option("--alert-share", help="Isolation Forest: share of events to send to review.")
    ] = 0.01,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same model.")] = 1,
    bootstrap_servers: BootstrapServers = None,
    config: ConfigFile = None,
    values: SetValues = None,
    as_json: AsJson = False,
) -> None:
    """Train a pipeline's model from a history, and test it on the latest part.

    The first model of a pipeline serves at once; later ones are challengers until `fraudstream model promote`.

    Features are computed by the stream's own code, in event-time order, and labels come as late as they would.
    """
    from fraudstream.pipelines import find_plan
    from fraudstream.training.train import Options, train
    from fraudstream.training.trainers import require_libraries

    started = time.monotonic()
    for option, share in (("--test-share", test_share), ("--alert-share", alert_share)):
        if not 0 < share < 1:
            raise UsageError(f"{option} {share:g} is not possible.", "Give a share between 0 and 1.")
    delay_ms = duration("--label-delay", label_delay)
    settings = settings_from(bootstrap_servers, config, values)
    declared = find_plan(pipeline, settings.pipelines_folder)
    if declared.pipeline.model is None:
        raise UsageError(f"{declared.pipeline.name} declares no model: there is nothing to train.", "It runs as it is.")
    require_libraries(declared.pipeline.model)
    plan, history = open_history(declared, data, column, without, time_column, settings)
    known = truth_for(history, plan, label, truth, settings)
    span_ms = None if train_span is None else duration("--train-span", train_span)
    options = Options(test_share, delay_ms, alert_share, seed, span_ms, search)
    with progress() as show:
        done = train(plan, settings.models_folder, history, known, options, show)
    note_rejected(history)
    if as_json:
        show_json(_document(done, history, time.monotonic() - started))
    else:
        _print(done, declared, time.monotonic() - started)


def _document(done: Trained, history: History, seconds: float) -> dict[str, object]:
    at_ms, split = done.dataset.event_at_ms, done.split
    return {
        "model": done.manifest.name,
        "version": done.manifest.version,
        "trainer": done.manifest.trainer,
        "folder": done.folder,
        "rows": len(history),
        "rejected": dict(history.rejected.rows),
        "duplicates": done.dataset.duplicates,
        "trained_on": split.stop.stop - split.learn.start,
        "train_from": format_instant(int(at_ms[split.learn.start])),
        "train_until": format_instant(int(at_ms[split.stop.stop - 1])),
        "test_from": format_instant(int(at_ms[split.test.start])),
        "test_until": format_instant(int(at_ms[-1])),
        "gap": format_duration(split.gap_ms) if split.gap_ms else None,
        "parameters": done.manifest.card.parameters if done.manifest.card else {},
        "raw_score_at_review": done.threshold,
        "metrics": done.manifest.metrics,
        "seconds": round(seconds, 3),
    }


def _print(done: Trained, plan: Plan, seconds: float) -> None:
    from fraudstream.models.registry import Registry

    dataset, split, found = done.dataset, done.split, done.manifest.metrics
    fraud = dataset.fraud

    def part(name: str, rows: slice) -> str:
        first, last = (format_instant(int(dataset.event_at_ms[row]))[:10] for row in (rows.start, rows.stop - 1))
        frauds = "" if fraud is None else f", {int(fraud[rows].sum()):,} fraud"
        return f"  {name:<6} {first} to {last}   {rows.stop - rows.start:>9,} events{frauds}"

    print(f"{done.manifest.name}: {done.manifest.trainer} {done.manifest.version} in {seconds:.1f} s")
    print(part("train", slice(split.learn.start, split.stop.stop)))
    if split.gap_ms:
        print(f"  gap    {format_duration(split.gap_ms)}: labels come that late")
    print(part("test", split.test))
    if done.manifest.card is not None and done.manifest.card.search:
        chosen = {
            name: value
            for name, value in done.manifest.card.parameters.items()
            if plan.pipeline.model is None or plan.pipeline.model.parameters.get(name) != value
        }
        print(f"  {done.manifest.card.search}")
        print(f"  to keep them: parameters: {{{', '.join(f'{name}: {value}' for name, value in chosen.items())}}}")
    if "auc_roc" in found:
        print(f"  AUC ROC {found['auc_roc']:.3f}   average precision {found['average_precision']:.3f}")
    review_at = plan.pipeline.policy.review_threshold
    line = f"  review from {review_at:g}: alerts on {found['alert_share']:.2%} of events"
    if "precision" in found:
        line += f", precision {found['precision']:.3f}, recall {found['recall']:.3f}"
    print(line)
    if done.threshold is None:
        print("  the score is the model's own probability: too few frauds to place the review threshold by them")
    else:
        print(f"  a score of {review_at:g} is the model's raw {done.threshold:.4g}")
    serving = Registry(done.folder.parent.parent, done.manifest.name).roles().champion == done.manifest.version
    name = plan.pipeline.name
    next_step = f"`fraudstream run {name}` scores with it"
    if not serving:
        next_step = f"a challenger: `fraudstream model promote {name} {done.manifest.version}` makes it the champion"
    print(f"  saved in {done.folder}; {next_step}")
