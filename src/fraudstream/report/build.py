"""A report as one page: how well a model does and, unless only that is asked for, why."""

from __future__ import annotations

from fraudstream.report.explanation import explanation
from fraudstream.report.html import page
from fraudstream.report.material import Material
from fraudstream.report.performance import performance


def report(material: Material, *, with_explanation: bool = True) -> str:
    """The page, HTML that needs nothing but itself."""
    sections = performance(material)
    if with_explanation:
        sections += explanation(material)
    name, folds = material.plan.pipeline.name, [each.fold for each in material.tested]
    period = f"{material.day(folds[0].test_from_ms)} to {material.day(folds[-1].test_until_ms - 1)}"
    about = (
        f"{material.model.trainer} on {material.source}: {material.dataset.events:,} events, judged on "
        f"{len(folds)} test periods, {period}."
    )
    foot = f"fraudstream · pipeline {material.plan.versions.pipeline} · the same history and seed give the same page"
    return page(f"{name}: model report", about, sections, foot)
