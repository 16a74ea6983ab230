"""Checks of a pipeline's model: it is there, whole, signed as demanded, and scores as when it was made."""

from __future__ import annotations

from collections.abc import Iterator

from fraudstream.doctor.finding import Finding, Subject, error, ok, warning
from fraudstream.errors import ModelError
from fraudstream.models.scorer import load_whole
from fraudstream.runner.serving import registry_of


def model(subject: Subject) -> Iterator[Finding]:
    """Every version that has a part can play it."""
    assert subject.plan is not None
    plan, registry = subject.plan, registry_of(subject.plan, subject.settings)
    declared = plan.pipeline.model
    if registry is None or declared is None:
        yield ok(f"{plan.pipeline.name} declares none: the rules decide.")
        return
    roles = registry.roles()
    if roles.champion is None:
        yield warning(
            f"There is no version of {registry.name} in {registry.folder}: decisions are made without it (degraded).",
            f"Train one with `fraudstream train {plan.pipeline.name}`, or set models_folder.",
        )
    for version in (roles.champion, *roles.challengers):
        if version is None:
            continue
        part = "champion" if version == roles.champion else "challenger"
        try:
            load_whole(registry.folder, registry.name, version, declared.features)
            yield ok(f"{registry.name} {version}, the {part}, is whole and scores as it did when it was made.")
        except ModelError as broken:
            finding = error if version == roles.champion else warning
            yield finding(f"The {part} cannot serve. {broken.found}", broken.advice)
