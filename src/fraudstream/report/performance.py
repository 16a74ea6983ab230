"""How well the model does: figures over the test periods, curves, calibration, cost, and parts of the traffic."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fraudstream.evaluate.calibration import calibrate
from fraudstream.evaluate.cost import cost_curve
from fraudstream.evaluate.curves import Curve, curve_of
from fraudstream.evaluate.segments import count_segments
from fraudstream.plan.plan import Plan
from fraudstream.report.html import Section, figure, figures, paragraph, table, tiles
from fraudstream.report.material import Material, sample
from fraudstream.report.svg import Axis, Plot, axis_over, percent, short
from fraudstream.schema.types import Kind
from fraudstream.training.prequential import summary
from fraudstream.units import MILLISECONDS

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

NAMES = {
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
_ROWS = 12
_HOURS = ["0 to 6 h", "6 to 12 h", "12 to 18 h", "18 to 24 h"]


def performance(material: Material) -> list[Section]:
    """The sections of an evaluation."""
    return [
        Section("summary", "Summary", _summary(material)),
        Section("curves", "Curves", figures(_roc(material), _precision_recall(material))),
        Section("thresholds", "Thresholds", _thresholds(material)),
        Section("segments", "Parts of the traffic", _segments(material)),
    ]


def _summary(material: Material) -> str:
    folds = [each.fold for each in material.tested]
    found = summary(folds)
    shown = [(NAMES[name], f"{mean:.3f}", f"± {spread:.3f}") for name, (mean, spread) in found.items()][:6]
    days = [f"{material.day(fold.test_from_ms)} to {material.day(fold.test_until_ms - 1)[5:]}" for fold in folds]
    counts = {
        "events": [f"{fold.events:,}" for fold in folds],
        "frauds": [f"{fold.frauds:,}" for fold in folds],
        "left out": [f"{fold.left_out:,}" for fold in folds],
    }
    rows = [[name, *numbers, ""] for name, numbers in counts.items()]
    rows += [
        [NAMES[name], *(f"{fold.measures[name]:.3f}" for fold in folds), f"{mean:.3f} ± {spread:.3f}"]
        for name, (mean, spread) in found.items()
    ]
    delay = material.protocol.label_delay_ms / MILLISECONDS["d"]
    span = material.protocol.train_span_ms / MILLISECONDS["d"]
    about = (
        f"Each period was judged by a model that had learned from the {span:g} days before it, less the {delay:g} days "
        "that labels take. Events of keys that were known to be compromised by then are left out."
    )
    return tiles(shown) + paragraph(about) + table("Every test period", ["", *days, "mean ± spread"], rows)


def _curves(material: Material) -> Iterator[tuple[Curve, str]]:
    assert material.dataset.fraud is not None
    for each in material.tested:
        yield curve_of(each.raw, material.dataset.fraud[each.rows]), material.day(each.fold.test_from_ms)


def _roc(material: Material) -> str:
    auc = summary([each.fold for each in material.tested])["auc"]
    about = f"Area under the curve {auc[0]:.3f} ± {auc[1]:.3f} over {len(material.tested)} test periods."
    x, y = Axis("genuine events alerted", shown=percent), Axis("frauds found", shown=percent)
    plot = Plot("ROC curve", x, y, about, legend_low=True)
    for curve, _ in _curves(material):
        plot.line(*_rates(curve), 1, faint=True)
    whole = curve_of(material.raw, material.fraud)
    plot.line(*_rates(whole), 1, "all periods")
    plot.diagonal("by chance")
    wrong, right = _rates(whole)
    at = np.searchsorted(wrong, [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2], side="right") - 1
    rows = [[percent(float(wrong[place])), percent(float(right[place]))] for place in at.tolist()]
    numbers = table(
        "Frauds found where so many genuine events are alerted", ["genuine events alerted", "frauds found"], rows
    )
    return figure("ROC curve", plot.svg(), f"{about} Faint: each period.", numbers)


def _rates(curve: Curve) -> tuple[Floats, Floats]:
    wrong, right = (np.concatenate([[0], each]) for each in (curve.wrong, curve.right))
    return wrong / max(wrong[-1], 1), right / max(right[-1], 1)


def _precision_recall(material: Material) -> str:
    ap = summary([each.fold for each in material.tested])["ap"]
    share = float(material.fraud.mean())
    about = f"Average precision {ap[0]:.3f} ± {ap[1]:.3f}; alerts drawn by lot would have {percent(share)}."
    plot = Plot(
        "Precision and recall", Axis("recall: frauds found", shown=percent), Axis("precision", shown=percent), about
    )
    for curve, _ in _curves(material):
        plot.line(curve.right / curve.right[-1], curve.right / (curve.right + curve.wrong), 1, faint=True)
    whole = curve_of(material.raw, material.fraud)
    recall, precision = whole.right / whole.right[-1], whole.right / (whole.right + whole.wrong)
    plot.line(recall, precision, 1, "all periods")
    rows = []
    for wanted in np.arange(0.1, 1.0, 0.1):
        place = int(np.searchsorted(recall, wanted))
        rows.append([percent(float(recall[place])), percent(float(precision[place])), f"{whole.threshold[place]:.4f}"])
    numbers = table("Precision where so many frauds are found", ["recall", "precision", "raw score from"], rows)
    return figure("Precision and recall", plot.svg(), f"{about} Faint: each period.", numbers)


def _thresholds(material: Material) -> str:
    parts = [_scores(material)]
    if material.probability is not None:
        parts.append(_calibration(material, material.probability))
    if material.amount is not None:
        parts.append(_cost(material, material.amount))
    return figures(*parts)


def _calibration(material: Material, probability: Floats) -> str:
    found = calibrate(probability, material.fraud)
    about = f"Calibration error {found.error:.4f}, Brier score {found.brier:.4f}. On the diagonal, probabilities hold."
    x, y = Axis("predicted probability", shown=percent), Axis("share of frauds", shown=percent)
    plot = Plot("Calibration", x, y, about, legend_low=True)
    plot.diagonal("as predicted")
    groups = list(zip(found.predicted.tolist(), found.observed.tolist(), found.events.tolist(), strict=True))
    said = [f"predicted {percent(p)}, observed {percent(o)}, {n:,} events" for p, o, n in groups]
    plot.line(found.predicted, found.observed, 1, "observed")
    plot.points(found.predicted, found.observed, 1, said)
    rows = [[percent(p), percent(o), f"{n:,}"] for p, o, n in groups]
    numbers = table("Groups of equally many frauds", ["predicted", "observed", "events"], rows)
    return figure("Calibration", plot.svg(), about, numbers)


def _scores(material: Material) -> str:
    """How scores are distributed, of frauds and of genuine events, on a scale of odds where there is room for both."""
    raw, fraud = material.raw, material.fraud
    odds = _odds(raw)
    edges = np.linspace(float(odds.min()), float(odds.max()) + 1e-9, 31)
    shares = [np.histogram(odds[kind], edges)[0] / max(int(kind.sum()), 1) for kind in (~fraud, fraud)]
    about = "Share of genuine events and of frauds by raw score. The further apart, the better."
    x = axis_over("raw score (log scale of odds)", edges, shown=lambda each: short(1 / (1 + 10.0**-each)))
    plot = Plot("Scores", x, axis_over("share of their kind", *shares, shown=percent, zero=True), about)
    for place, name in enumerate(("genuine", "fraud")):
        plot.columns(edges, shares[place], place + 1, name)
    threshold = material.last.threshold
    if threshold is not None:
        plot.mark(float(_odds(np.array([threshold]))[0]), f"alerts from {short(threshold)}")
    return figure("Scores", plot.svg(), about)


def _odds(raw: Floats) -> Floats:
    """The logarithm of the odds of scores from 0 to 1, to the base 10."""
    inside = np.clip(raw, 1e-6, 1 - 1e-6)
    found: Floats = np.log10(inside / (1 - inside))
    return found


def _cost(material: Material, amount: Floats) -> str:
    """Cost against threshold: reviews cost time, frauds nobody looks at cost their amount."""
    days = len(material.tested) * material.protocol.test_span_ms / MILLISECONDS["d"]
    found = cost_curve(material.raw, material.fraud, amount, material.investigation)
    best = found.cheapest
    about = (
        f"A review costs {short(material.investigation)}, a fraud that is not reviewed its amount. Cheapest is "
        f"{short(float(found.threshold[best]))}: {short(found.reviews[best] / days)} reviews a day, "
        f"{short(float(found.cost[best]) / days)} a day in all; without a model {short(float(found.missed[0]) / days)}."
    )
    places = sample(len(found.threshold), 2_000)
    reviews, cost, missed = (each[places] / days for each in (found.reviews, found.cost, found.missed))
    near = reviews <= max(4.0 * found.reviews[best] / days, 20.0)
    x = axis_over("reviews a day", reviews[near], zero=True)
    plot = Plot("Cost against threshold", x, axis_over("cost a day", cost[near], missed[near], zero=True), about)
    plot.line(reviews[near], cost[near], 1, "in all")
    plot.line(reviews[near], missed[near], 2, "frauds missed")
    plot.mark(float(found.reviews[best] / days), "cheapest")
    shown = np.unique(np.searchsorted(found.reviews / days, np.linspace(0, float(reviews[near].max()), _ROWS)))
    rows = [
        [
            short(float(found.threshold[place])),
            *(short(float(each[place]) / days) for each in (found.reviews, found.missed, found.cost)),
        ]
        for place in np.minimum(shown, len(found.threshold) - 1).tolist()
    ]
    heads = ["raw score from", "reviews a day", "missed a day", "cost a day"]
    return figure("Cost against threshold", plot.svg(), about, table("What thresholds cost", heads, rows))


def _segments(material: Material) -> str:
    alert = material.alert
    if alert is None:
        return paragraph("An anomaly model has no threshold of its own to alert at, so there is nothing to compare.")
    rows = []
    for what, segment, names in _parts(material):
        found = count_segments(segment, len(names), material.fraud, alert)
        for name, events, frauds, alerts, right in zip(names, *(each.tolist() for each in found), strict=True):
            if events:
                rows.append(
                    [
                        f"{what}: {name}",
                        *(f"{number:,}" for number in (events, frauds, alerts)),
                        percent(frauds / events),
                        percent(right / alerts) if alerts else "–",
                        percent(right / frauds) if frauds else "–",
                    ]
                )
    heads = ["part", "events", "frauds", "alerts", "share of frauds", "precision", "recall"]
    about = "Alerts at each period's threshold. A part with much lower recall is where frauds get through."
    return paragraph(about) + table("By amount, time of day and yes-or-no inputs", heads, rows)


def _parts(material: Material) -> Iterator[tuple[str, Int64s, list[str]]]:
    """What the traffic is divided by: the name, int64[m] the segment of each event, and the segments' names."""
    if material.amount is not None:
        edges = np.unique(np.quantile(material.amount, [0.25, 0.5, 0.75, 0.95]))
        bounds = ["0", *(short(each) for each in edges.tolist())]
        names = [f"{low} to {high}" for low, high in pairwise(bounds)] + [f"above {bounds[-1]}"]
        yield "amount", np.searchsorted(edges, material.amount).astype(np.int64), names
    hour = material.dataset.event_at_ms[material.rows] // MILLISECONDS["h"] % 24
    yield "time (UTC)", (hour // 6).astype(np.int64), _HOURS
    for name in _flags(material.plan):
        values = material.dataset.matrix[material.rows, material.model.features.index(name)]
        yield name, np.where(values == 1, 0, np.where(values == 0, 1, 2)).astype(np.int64), ["yes", "no", "not known"]


def _flags(plan: Plan) -> list[str]:
    """The model's yes-or-no inputs."""
    assert plan.pipeline.model is not None
    return [name for name in plan.pipeline.model.features if plan.types[name].kind is Kind.BOOLEAN]
