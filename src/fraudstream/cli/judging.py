"""How commands that judge a model on a history are told to, and what they find."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudstream.cli.history import duration, note_rejected, open_history, progress, truth_for
from fraudstream.errors import UsageError
from fraudstream.units import MILLISECONDS, format_instant

if TYPE_CHECKING:
    from fraudstream.report.material import Material
    from fraudstream.settings import Settings
    from fraudstream.training.prequential import Fold, Protocol, Tested

LabelDelay = Annotated[str, typer.Option("--label-delay", help="How long after an event its label comes.")]
Folds = Annotated[int, typer.Option("--folds", min=1, help="Test periods, one after the other.")]
TestSpan = Annotated[str, typer.Option("--test-span", help="How long each is, whole days.")]
TrainSpan = Annotated[str, typer.Option("--train-span", help="How long a time is learned from.")]
TestFrom = Annotated[
    str | None, typer.Option("--test-from", metavar="DAY", help="First test day; default: as late as possible.")
]
TopKeys = Annotated[int, typer.Option("--top", min=1, help="Keys (cards) that can be looked at in a day.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same figures.")]
Investigation = Annotated[
    float | None,
    typer.Option("--investigation", min=0, help="What a review costs; default: the policy's costs, else 10."),
]
DEFAULT_INVESTIGATION = 10.0


@dataclass(frozen=True)
class Source:
    """A history and its truth, as options name them."""

    pipeline: str
    data: str
    label: str | None
    truth: str | None
    column: list[str] | None
    without: list[str] | None
    time_column: str | None


@dataclass(frozen=True)
class Judged:
    """What was found: the test periods, all that a report needs, and how long it took."""

    folds: list[Fold]
    material: Material
    seconds: float


def protocol_of(
    label_delay: str, folds: int, test_span: str, train_span: str, test_from: str | None, top: int, seed: int
) -> Protocol:
    """The protocol that options describe.

    Raises:
        UsageError: One of them is not understood.
    """
    from fraudstream.training.prequential import Protocol

    return Protocol(
        folds,
        _days("--test-span", test_span),
        duration("--train-span", train_span),
        duration("--label-delay", label_delay),
        None if test_from is None else _day("--test-from", test_from),
        top,
        seed,
    )


def judge(
    source: Source,
    protocol: Protocol,
    investigation: float | None,
    settings: Settings,
    features_wait_ms: int | None = None,
) -> Judged:
    """Judges a pipeline's model.

    Args:
        source: The history and its truth.
        protocol: How to judge.
        investigation: What a review costs; None: the policy's costs say it, else a default.
        settings: Where pipelines are, and Kafka.
        features_wait_ms: How long after an event its label reaches the features; training, test and the keys that are
            left out stay as the protocol's label delay has them, so that figures of several delays compare. None: as
            the pipeline declares it.

    Raises:
        UsageError: The pipeline has no model, or nothing says what events really were.
        DataError: The history cannot be judged on.
    """
    from fraudstream.pipelines import find_plan
    from fraudstream.report.material import Material
    from fraudstream.training.dataset import make_dataset
    from fraudstream.training.delayed import plan_delayed
    from fraudstream.training.prequential import evaluate
    from fraudstream.training.trainers import require_libraries

    started = time.monotonic()
    declared = find_plan(source.pipeline, settings.pipelines_folder)
    if features_wait_ms is not None:
        declared = plan_delayed(declared, features_wait_ms)
    model, costs = declared.pipeline.model, declared.pipeline.policy.costs
    if model is None:
        raise UsageError(f"{declared.pipeline.name} declares no model: there is nothing to judge.", "It runs as it is.")
    require_libraries(model)
    plan, history = open_history(declared, source.data, source.column, source.without, source.time_column, settings)
    known = truth_for(history, plan, source.label, source.truth, settings)
    if known is None:
        raise UsageError(
            "A model is judged by what events really were, and nothing says so.",
            "Name the column that does with --label, or a file with --truth.",
        )
    if investigation is None:
        investigation = costs.investigation if costs is not None else DEFAULT_INVESTIGATION
    kept: list[Tested] = []
    with progress() as show:
        rows = len(history)
        wait_ms = protocol.label_delay_ms if features_wait_ms is None else features_wait_ms
        dataset = make_dataset(plan, history, known, wait_ms, lambda n: show("features", n, rows))
        if features_wait_ms is not None:
            dataset = dataset.known_after(protocol.label_delay_ms)
        if known.still_coming:
            dataset = dataset.settled(protocol.label_delay_ms, history.name)
        with history.explained():
            found = evaluate(model, dataset, protocol, show, kept.append)
    note_rejected(history)
    material = Material(plan, dataset, protocol, investigation, Path(source.data).name, kept)
    return Judged(found, material, time.monotonic() - started)


def document(judged: Judged) -> dict[str, object]:
    """All figures, for `--json`."""
    from fraudstream.training.prequential import summary

    protocol = judged.material.protocol
    return {
        "pipeline": judged.material.plan.pipeline.name,
        "label_delay_days": protocol.label_delay_ms / MILLISECONDS["d"],
        "train_days": protocol.train_span_ms / MILLISECONDS["d"],
        "top_keys": protocol.top_keys,
        "measures": {key: {"mean": mean, "spread": spread} for key, (mean, spread) in summary(judged.folds).items()},
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
            for fold in judged.folds
        ],
        "seconds": round(judged.seconds, 1),
    }


def show_folds(judged: Judged) -> None:
    """The terminal summary."""
    from fraudstream.report.performance import NAMES
    from fraudstream.training.prequential import summary

    material, folds, day = judged.material, judged.folds, judged.material.day
    days = material.protocol.label_delay_ms / MILLISECONDS["d"]
    print(f"{material.plan.pipeline.name}: {len(folds)} test periods, labels {days:g} days late")
    for fold in folds:
        card = f"   card precision {fold.measures['cp']:.3f}" if "cp" in fold.measures else ""
        print(
            f"  {day(fold.test_from_ms)} to {day(fold.test_until_ms - 1)}   {fold.events:>8,} events, "
            f"{fold.frauds:>5,} fraud, {fold.left_out:>7,} left out   AUC {fold.measures['auc']:.3f}   "
            f"AP {fold.measures['ap']:.3f}{card}"
        )
    print("  mean ± spread over the periods:")
    for key, (mean, spread) in summary(folds).items():
        name = NAMES[key] + (f" (top {material.protocol.top_keys} a day)" if key == "cp" else "")
        print(f"    {name:<32} {mean:.3f} ± {spread:.3f}")
    print(f"  in {judged.seconds:.1f} s")


def write_page(path: Path, page: Callable[[], str]) -> None:
    """Writes a page whole, or says why not.

    Raises:
        UsageError: It cannot be written.
    """
    try:
        path.write_text(page(), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}.", "Name a file in a folder that is there."
        ) from error


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
