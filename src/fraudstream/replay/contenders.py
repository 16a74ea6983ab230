"""A pipeline ready to decide a history: its plan with the champion of its model, or with another version."""

from __future__ import annotations

from pathlib import Path

from fraudstream.models.registry import Registry
from fraudstream.models.scorer import OnnxScorer, load_whole
from fraudstream.plan.plan import Plan


def scorer_for(plan: Plan, models_folder: Path, version: str | None = None) -> OnnxScorer | None:
    """The model of a pipeline; None where it declares none, or has no champion.

    Args:
        plan: The pipeline's plan.
        models_folder: Where models are kept.
        version: Which one; None: the champion.

    Raises:
        ModelError: It is not there, damaged, or was trained for other features.
    """
    model = plan.pipeline.model
    if model is None:
        return None
    registry = Registry(models_folder, model.name or plan.pipeline.name)
    chosen = registry.roles().champion if version is None else version
    return None if chosen is None else load_whole(registry.folder, registry.name, chosen, model.features)
