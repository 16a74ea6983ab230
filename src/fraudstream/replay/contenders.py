"""A pipeline ready to decide a history: its plan with the champion of its model, or with another version."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fraudstream.engine.column import Floats
from fraudstream.engine.program import Scorer
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


class Remembering:
    """A model that two contenders share: asked for the same inputs again, it need not score them again.

    Args:
        scorer: The model.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._inputs: list[Floats] = []
        self._scores: Floats | None = None

    @property
    def version(self) -> str:
        """The model's version."""
        return self._scorer.version

    def score(self, inputs: list[Floats]) -> Floats | None:
        """As the model's."""
        same = len(inputs) == len(self._inputs) and all(
            np.array_equal(one, other, equal_nan=True) for one, other in zip(inputs, self._inputs, strict=True)
        )
        if not same:
            self._inputs, self._scores = inputs, self._scorer.score(inputs)
        return None if self._scores is None else self._scores.copy()

    def contributions(self, inputs: list[Floats]) -> tuple[float, Floats] | None:
        """As the model's."""
        return self._scorer.contributions(inputs)


def shared(one: Scorer | None, other: Scorer | None) -> tuple[Scorer | None, Scorer | None]:
    """Two contenders' models; where they are the same version, one that remembers."""
    if one is None or other is None or one.version != other.version:
        return one, other
    remembering = Remembering(one)
    return remembering, remembering
