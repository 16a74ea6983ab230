"""The model card: what a model was made of, what it is worth and where not to trust it; a page beside the model.

After Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fraudstream.define.decision import ParameterValue

if TYPE_CHECKING:
    from fraudstream.models.artifact import Manifest

_SHARES = ("alert_share", "block_share")
_NAMES = {
    "auc_roc": "AUC ROC",
    "average_precision": "average precision",
    "precision": "precision at the review threshold",
    "recall": "recall at the review threshold",
    "f1": "F1 at the review threshold",
    "alert_share": "events at or above the review threshold",
    "block_share": "events at or above the block threshold",
    "calibration_error": "calibration error",
    "brier": "Brier score",
}


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of the history.

    Attributes:
        begin, end: The instants of its first and its last event, ISO 8601.
        events: How many.
        frauds: How many of them were known to be fraud; None where nothing told.
    """

    begin: str
    end: str
    events: int
    frauds: int | None = None


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the test, and how the model did there.

    Attributes:
        name: Which, such as `amount from 10 to 25`.
        events, frauds: How many.
        alerts: How many reached the review threshold.
        right: How many of these were fraud.
    """

    name: str
    events: int
    frauds: int
    alerts: int
    right: int


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What the manifest says beyond what a scorer needs.

    Attributes:
        training, test: What was learned from and what was tested on.
        parameters: The trainer's, with those at their defaults.
        seed: Of everything random.
        intervals: Of the metrics, from 2.5 to 97.5 % of 200 bootstrap samples of the test, drawn by key where there is
            one: events of one card are not independent.
        segments: Parts of the test.
        calibration: How probabilities were fitted, in words.
        search: How parameters were found, in words; "" where they are the pipeline's.
        limits: Where not to trust it, one sentence each.
    """

    training: Period
    test: Period
    parameters: dict[str, ParameterValue] = {}
    seed: int = 0
    intervals: dict[str, tuple[float, float]] = {}
    segments: tuple[Segment, ...] = ()
    calibration: str = ""
    search: str = ""
    limits: tuple[str, ...] = ()


def card_text(manifest: Manifest) -> str:
    """The card as Markdown."""
    lines = [f"# {manifest.name}, version {manifest.version}", ""]
    lines += [f"Made by `{manifest.trainer}`" + (f" on {manifest.trained_at}." if manifest.trained_at else ".")]
    if manifest.data:
        lines += ["", f"Data: {manifest.data}."]
    card = manifest.card
    if card is not None:
        lines += ["", "| period | from | to | events | frauds |", "|---|---|---|---:|---:|"]
        for name, period in (("training", card.training), ("test", card.test)):
            frauds = "" if period.frauds is None else f"{period.frauds:,}"
            lines.append(f"| {name} | {period.begin} | {period.end} | {period.events:,} | {frauds} |")
    if manifest.metrics:
        lines += ["", "## What it is worth", "", "On the test, which it had not seen:", ""]
        lines += ["| measure | value | 95 % of bootstrap samples |", "|---|---:|---|"]
        lines += [_measure(manifest, name, value) for name, value in manifest.metrics.items() if name in _NAMES]
    if card is not None:
        lines += _of_card(card)
    lines += ["", "## Inputs", "", f"Null is given to the model as {manifest.missing:g}.", ""]
    lines += [", ".join(f"`{name}`" for name in manifest.features)]
    return "\n".join(lines) + "\n"


def _measure(manifest: Manifest, name: str, value: float) -> str:
    form = ".2%" if name in _SHARES else ".4f"
    interval = (manifest.card.intervals if manifest.card else {}).get(name)
    spread = "" if interval is None else f"{interval[0]:{form}} to {interval[1]:{form}}"
    return f"| {_NAMES[name]} | {value:{form}} | {spread} |"


def _of_card(card: Card) -> list[str]:
    lines = []
    if card.segments:
        lines += ["", "## Where", "", "| part of the test | events | frauds | alerts | precision | recall |"]
        lines += ["|---|---:|---:|---:|---:|---:|"]
        for each in card.segments:
            precision = f"{each.right / each.alerts:.3f}" if each.alerts else ""
            recall = f"{each.right / each.frauds:.3f}" if each.frauds else ""
            lines.append(
                f"| {each.name} | {each.events:,} | {each.frauds:,} | {each.alerts:,} | {precision} | {recall} |"
            )
    if card.limits:
        lines += ["", "## Limits", "", *(f"- {limit}" for limit in card.limits)]
    chosen = ", ".join(f"`{name}` {value}" for name, value in card.parameters.items())
    lines += ["", "## How it was made", ""]
    lines += [f"Parameters: {chosen or 'none'}; seed {card.seed}."]
    for sentence in filter(None, (card.search, card.calibration)):
        lines += ["", sentence]
    return lines
