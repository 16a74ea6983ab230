"""Why the model says what it says: what matters, how scores move, what it got wrong and why, and what has changed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fraudstream.evaluate.dependence import partial_dependence, telling_values
from fraudstream.evaluate.drift import SHIFTED, STABLE, counts_of, ks, psi, reference_of
from fraudstream.models.contributions import Contributor
from fraudstream.report.html import Cell, Section, figure, figures, paragraph, table
from fraudstream.report.material import Material, sample
from fraudstream.report.svg import Plot, axis_over, bars, percent, short
from fraudstream.training.prequential import Tested
from fraudstream.units import format_instant

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

_EXPLAINED_EVENTS, _AVERAGED_EVENTS, _COMPARED_EVENTS = 2_000, 400, 20_000
_MOST_CODES, _MOST_INPUTS, _MOST_WRONG, _MOST_REASONS = 15, 6, 8, 3


def explanation(material: Material) -> list[Section]:
    """The sections that explain the model of the last test period."""
    contributor = material.contributor(material.last)
    sections = []
    if contributor is not None:
        importance = _importance(material, contributor)
        order = np.argsort(-importance, kind="stable")
        sections.append(Section("importance", "What matters", _matters(material, importance)))
        sections.append(Section("dependence", "How scores move", _moves(material, order[:_MOST_INPUTS])))
        sections.append(Section("errors", "What it got wrong, and why", _wrong(material)))
    return [*sections, Section("drift", "What has changed since training", _changed(material))]


def _importance(material: Material, contributor: Contributor) -> Floats:
    """float64[inputs]: the mean size of each input's contribution, frauds and genuine events counting as they come."""
    last = material.last
    rows = last.rows[sample(len(last.rows), _EXPLAINED_EVENTS)]
    found: Floats = np.abs(contributor(material.dataset.matrix[rows].astype(np.float64)).values).mean(axis=0)
    return found


def _matters(material: Material, importance: Floats) -> str:
    speaker, names = material.speaker, material.model.features
    by_code = np.bincount(speaker.group, weights=importance, minlength=len(speaker.codes))
    order = np.argsort(-by_code, kind="stable")
    top = order[:_MOST_CODES].tolist()
    about = "Mean size of the contribution to the margin over the last test period, inputs of one reason together."
    codes, sizes = [speaker.codes[code] for code in top], [float(by_code[code]) for code in top]
    rows = [
        [
            speaker.codes[code],
            short(float(by_code[code])),
            percent(float(by_code[code] / max(by_code.sum(), 1e-12))),
            Cell(", ".join(names[place] for place in np.flatnonzero(speaker.group == code).tolist()), "words"),
        ]
        for code in order.tolist()
    ]
    shown = figure("Reasons by weight", bars("Reasons by weight", about, codes, sizes, short), about)
    heads = ["reason", "mean size", "of all", "inputs"]
    return figures(shown) + table("Every reason", heads, rows)


def _moves(material: Material, inputs: Int64s) -> str:
    last, matrix = material.last, material.dataset.matrix
    rows = matrix[last.rows[sample(len(last.rows), _AVERAGED_EVENTS)]]
    parts = []
    for column in inputs.tolist():
        name = material.model.features[column]
        values = telling_values(material.known(last.rows, column))
        if len(values) < 2:
            continue
        found = partial_dependence(last.model.predict, rows, column, values)
        low, high = float(found.mean.min()), float(found.mean.max())
        about = f"Mean raw score of the same events with {name} set to each value: from {short(low)} to {short(high)}."
        plot = Plot(name, axis_over(name, found.value), axis_over("mean raw score", found.mean, zero=True), about)
        plot.line(found.value, found.mean, 1)
        plot.points(found.value, found.mean, 1)
        pairs = zip(found.value.tolist(), found.mean.tolist(), strict=True)
        numbers = table("Partial dependence", [name, "mean raw score"], [[short(x), short(y)] for x, y in pairs])
        parts.append(figure(name, plot.svg(), about, numbers))
    about = "Everything else stays as it was; where inputs go together, some of these events could not happen."
    return paragraph(about) + figures(*parts)


def _wrong(material: Material) -> str:
    """The frauds it was surest were none, and the genuine events it was surest were fraud."""
    misses = _table_of_wrong(material, "Frauds with the lowest scores", fraud=True)
    alarms = _table_of_wrong(material, "Genuine events with the highest scores", fraud=False)
    about = (
        "Numbers in brackets are contributions to the margin: what is above zero spoke for fraud, what is "
        "below against it. What a missed fraud lacks is often something nobody has declared as a feature yet."
    )
    return paragraph(about) + misses + alarms


def _table_of_wrong(material: Material, caption: str, *, fraud: bool) -> str:
    assert material.dataset.fraud is not None
    found: list[tuple[float, Tested, int]] = []
    for tested in material.tested:
        kind = np.flatnonzero(material.dataset.fraud[tested.rows] == fraud)
        order = kind[np.argsort(tested.raw[kind] if fraud else -tested.raw[kind], kind="stable")][:_MOST_WRONG]
        found += [(float(tested.raw[place]), tested, int(tested.rows[place])) for place in order.tolist()]
    found = sorted(found, key=lambda each: each[0] if fraud else -each[0])[:_MOST_WRONG]
    contributors = {id(tested): material.contributor(tested) for _, tested, _ in found}
    rows: list[list[str | Cell]] = []
    for score, tested, row in found:
        contributor = contributors[id(tested)]
        assert contributor is not None
        values = material.dataset.matrix[row].astype(np.float64)
        added = contributor(values[None, :]).values[0]
        said = [
            material.speaker.strongest(values, added, most=_MOST_REASONS, against=against)
            for against in (fraud, not fraud)
        ]
        amount = "–" if material.dataset.amount is None else f"{material.dataset.amount[row]:,.2f}"
        at = format_instant(int(material.dataset.event_at_ms[row]))[:16].replace("T", " ")
        rows.append([at, amount, short(score), *(Cell(each or ("nothing",), "words") for each in said)])
    for_it, against_it = "spoke for fraud", "spoke against it"
    heads = ["event time", "amount", "raw score", *((against_it, for_it) if fraud else (for_it, against_it))]
    return table(caption, heads, rows)


def _changed(material: Material) -> str:
    last = material.last
    first, end = last.split.learn.start, last.split.stop.stop
    learned = first + sample(end - first, _COMPARED_EVENTS)
    rows = [
        _drift(name, material.known(learned, column), material.known(last.rows, column))
        for column, name in enumerate(material.model.features)
    ]
    rows.sort(key=lambda row: -row[0])
    score = _drift("raw score", last.model.predict(material.dataset.matrix[learned]), last.raw)
    about = (
        f"The last test period against the events its model had learned from. PSI below {STABLE} is no change worth a "
        f"look, above {SHIFTED} a real one; KS is the greatest distance of the distribution functions, 0 to 1."
    )
    heads = ["input", "PSI", "KS", "verdict", "null then", "null now", "median then", "median now"]
    shown = [score[1], *(row[1] for row in rows)]
    return paragraph(about) + table("Drift, most first; the score above all", heads, shown)


def _drift(name: str, before: Floats, now: Floats) -> tuple[float, list[str | Cell]]:
    """How much an input drifted, and its row of the table."""
    reference = reference_of(before)
    index, distance = psi(reference.counts, counts_of(now, reference.edges)), ks(before, now)
    word = (
        Cell("stable", "good") if index < STABLE else Cell("look", "warn") if index < SHIFTED else Cell("drift", "bad")
    )
    nulls = [percent(float(np.isnan(each).mean())) for each in (before, now)]
    middles = [short(float(np.median(known))) if len(known := each[~np.isnan(each)]) else "–" for each in (before, now)]
    return index, [name, f"{index:.3f}", f"{distance:.3f}", word, *nulls, *middles]
