"""The model that serves: the champion, or what takes its place where that is missing or damaged.

Scoring does not stop over a model. A damaged one is replaced by the last champion before it that is whole, and where
there is none the rules decide alone, which every decision says (`degraded`).
"""

from __future__ import annotations

import logging

import numpy as np

from fraudstream.engine.column import Floats
from fraudstream.errors import DamagedModel
from fraudstream.models.registry import Registry
from fraudstream.models.scorer import OnnxScorer, load_whole
from fraudstream.plan.plan import Plan
from fraudstream.settings import Settings

LOGGER = logging.getLogger("fraudstream.runner")


class ServingScorer:
    """A model at work: where it fails on a batch, its events are decided by the rules alone, flagged `degraded`.

    Args:
        scorer: The model.
    """

    def __init__(self, scorer: OnnxScorer) -> None:
        self._scorer = scorer

    @property
    def version(self) -> str:
        """The model's version."""
        return self._scorer.version

    def score(self, inputs: list[Floats]) -> Floats:
        """As `OnnxScorer.score`; NaN for the whole batch where the model fails."""
        try:
            return self._scorer.score(inputs)
        except Exception as error:  # ONNX Runtime has no common base for its errors
            LOGGER.warning("the model %s failed, the rules decide alone: %s", self.version, error)
            return np.full(len(inputs[0]), np.nan)


def registry_of(plan: Plan, settings: Settings) -> Registry | None:
    """The versions of a pipeline's model; None where it declares none."""
    model = plan.pipeline.model
    return None if model is None else Registry(settings.models_folder, model.name or plan.pipeline.name)


def load_scorer(plan: Plan, settings: Settings) -> ServingScorer | None:
    """The model that is to serve a pipeline; None where it declares none, or no whole one is there.

    Raises:
        ModelError: It was trained for other features.
    """
    registry = registry_of(plan, settings)
    if registry is None or registry.roles().champion is None:
        return None
    assert plan.pipeline.model is not None
    champion, *before = reversed(registry.served())
    for version in (champion, *before):
        try:
            scorer = load_whole(registry.folder, registry.name, version, plan.pipeline.model.features)
        except DamagedModel as error:
            LOGGER.error("%s", error)
            continue
        if version != champion:
            LOGGER.error("the model %s, version %s, serves in its place", registry.name, version)
        return ServingScorer(scorer)
    LOGGER.error("no champion of the model %s is whole: the rules decide alone, flagged degraded", registry.name)
    return None
