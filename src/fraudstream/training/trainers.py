"""The trainers by name: what makes a model of a data set."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from fraudstream.define.decision import ModelRef
from fraudstream.errors import DataError, UsageError
from fraudstream.training import isolation_forest, lightgbm
from fraudstream.training.dataset import Dataset
from fraudstream.training.split import Split

Floats = npt.NDArray[np.float64]
Show = Callable[[str, int, int], None]
"""Called with the stage, how much of it is done, and how much there is."""

LIGHTGBM, ISOLATION_FOREST = "lightgbm", "isolation_forest"


class TrainedModel(Protocol):
    """What a trainer gives."""

    def predict(self, matrix: npt.NDArray[np.float32]) -> Floats:
        """float64[n]: the trainer's own raw scores."""

    def to_onnx(self) -> bytes:
        """The same function as an ONNX file."""

    def contributions(self) -> bytes:
        """The file that says what each input contributes (`models/contributions.py`); empty where nothing says it."""


class Fitted(NamedTuple):
    """A model and what is needed to read its scores.

    Attributes:
        model: The model; it learned from all of the training period.
        held: float64[the split's `stop`], raw scores of a model that had not learned from those events: thresholds and
            probabilities are drawn from them. None of an anomaly model, whose scores are read by their rank.
    """

    model: TrainedModel
    held: Floats | None


def is_supervised(model: ModelRef) -> bool:
    """Whether it learns from known frauds; its raw score is a probability then."""
    return model.trainer != ISOLATION_FOREST


def parameters_of(model: ModelRef) -> dict[str, Any]:
    """The trainer's parameters, those at their defaults among them."""
    defaults = lightgbm.PARAMETERS if model.trainer == LIGHTGBM else isolation_forest.PARAMETERS
    return defaults | dict(model.parameters)


def require_libraries(model: ModelRef) -> None:
    """Makes sure that what training needs is installed.

    Raises:
        UsageError: It is not.
    """
    wanted = {"onnx": "onnx", "sklearn": "scikit-learn"}
    if model.trainer == LIGHTGBM:
        wanted["lightgbm"] = "lightgbm"
    missing = [name for module, name in wanted.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise UsageError(
            f"Training needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed.",
            "Run `pip install 'fraudstream[train]'`.",
        )


def fit(model: ModelRef, dataset: Dataset, split: Split, seed: int, show: Show) -> Fitted:
    """What the model's trainer makes of the training period of a split.

    Raises:
        DataError: It cannot be learned from.
    """
    period = slice(split.learn.start, split.stop.stop)
    matrix = dataset.matrix[period]
    if not is_supervised(model):
        return Fitted(isolation_forest.fit(matrix, seed, model.parameters), None)
    fraud = dataset.fraud_known_by(split.trained_at_ms)
    for name, part in (("to learn from", split.learn), ("held out to choose the threshold on", split.stop)):
        if not fraud[part].any() or fraud[part].all():
            raise DataError(
                f"Of the {part.stop - part.start:,} events {name}, {int(fraud[part].sum()):,} are fraud.",
                "Both kinds are needed. Give a longer history, or check which column is the truth.",
            )
    held = np.arange(period.start, period.stop) >= split.stop.start

    def note(done: int, most: int) -> None:
        show("training", done, most)

    return Fitted(*lightgbm.fit(matrix, fraud[period], held, seed, model.parameters, note))
