"""The model that serves: the current one, or what takes its place where that is missing or damaged.

Scoring does not stop over a model. A damaged one is replaced by the last one saved before it that is whole, and where
there is none the rules decide alone, which every decision says (`degraded`).
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from fraudstream.engine.column import Floats
from fraudstream.errors import DamagedModel
from fraudstream.models.artifact import load_artifact, load_version, versions_in
from fraudstream.models.scorer import OnnxScorer
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


def load_scorer(plan: Plan, settings: Settings) -> ServingScorer | None:
    """The model that is to serve a pipeline; None where it declares none, or no whole one is there.

    Raises:
        ModelError: It was trained for other features.
    """
    model = plan.pipeline.model
    if model is None:
        return None
    folder, name = settings.models_folder, model.name or plan.pipeline.name
    try:
        artifact = load_artifact(folder, name)
        return ServingScorer(OnnxScorer(artifact, model.features)) if artifact is not None else None
    except DamagedModel as error:
        LOGGER.error("%s", error)
    return _older(folder, name, model.features)


def _older(folder: Path, name: str, features: tuple[str, ...]) -> ServingScorer | None:
    """The last version saved that is whole."""
    for version in versions_in(folder, name):
        try:
            scorer = OnnxScorer(load_version(folder, name, version), features)
        except DamagedModel:
            continue
        LOGGER.error("the model %s, version %s, serves in its place", name, version)
        return ServingScorer(scorer)
    LOGGER.error("no version of the model %s is whole: the rules decide alone, flagged degraded", name)
    return None
