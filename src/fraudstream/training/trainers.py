"""The trainers by name: what makes a model of a data set."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from fraudstream.define.decision import ModelRef
from fraudstream.errors import DataError, UsageError
from fraudstream.plan.trainers import BALANCED, FRAUD_WEIGHT
from fraudstream.training import estimator, isolation_forest, lightgbm, logistic, xgboost
from fraudstream.training.dataset import Dataset
from fraudstream.training.split import Split

Floats = npt.NDArray[np.float64]
Show = Callable[[str, int, int], None]
"""Called with the stage, how much of it is done, and how much there is."""

_INSTALL = "Run `pip install 'fraudstream[{}]'`."
ISOLATION_FOREST = "isolation_forest"
_SUPERVISED: dict[str, Any] = {"lightgbm": lightgbm, "xgboost": xgboost, "logistic": logistic}
_LIBRARIES = {
    "lightgbm": {"lightgbm": "train"},
    "xgboost": {"xgboost": "trainers"},
    "sklearn": {"skl2onnx": "trainers"},
}
"""Of each trainer what it needs beyond scikit-learn and onnx, and the extra that installs it."""


class TrainedModel(Protocol):
    """What a trainer gives.

    Attributes:
        output: The output of the ONNX file that is the raw score.
        largest_difference: How far the ONNX file's score may be from the trainer's; 1e-6 at the most.
    """

    output: str
    largest_difference: float

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
        parameters: What it was trained with.
        search: How these were found, a sentence; "" where they are the pipeline's.
    """

    model: TrainedModel
    held: Floats | None
    parameters: dict[str, Any]
    search: str = ""


def is_supervised(model: ModelRef) -> bool:
    """Whether it learns from known frauds; its raw score is a probability then."""
    return model.trainer != ISOLATION_FOREST


def parameters_of(model: ModelRef) -> dict[str, Any]:
    """The trainer's parameters, those at their defaults among them."""
    if model.trainer.startswith(estimator.PREFIX):
        return dict(model.parameters)
    module = _SUPERVISED.get(model.trainer, isolation_forest)
    return dict(module.PARAMETERS) | dict(model.parameters)


def require_libraries(model: ModelRef) -> None:
    """Makes sure that what training needs is installed, and that an estimator has the parameters it is given.

    Raises:
        UsageError: It is not, or has not.
    """
    wanted = {"onnx": "train", "sklearn": "train"} | _LIBRARIES.get(model.trainer.partition(":")[0], {})
    missing = {name: extra for name, extra in wanted.items() if importlib.util.find_spec(name) is None}
    if missing:
        names = ["scikit-learn" if name == "sklearn" else name for name in missing]
        raise UsageError(
            f"Training needs {' and '.join(names)}, which {'is' if len(missing) == 1 else 'are'} not installed.",
            _INSTALL.format(",".join(sorted(set(missing.values())))),
        )
    if model.trainer.startswith(estimator.PREFIX):
        estimator.check_parameters(model.trainer, {k: v for k, v in model.parameters.items() if k != FRAUD_WEIGHT})


def require_onnx() -> None:
    """Makes sure that models made elsewhere can be looked into.

    Raises:
        UsageError: The library is not installed.
    """
    if importlib.util.find_spec("onnx") is None:
        raise UsageError("Registering a model needs onnx, which is not installed.", _INSTALL.format("train"))


def _weights(fraud: npt.NDArray[np.bool_], held: npt.NDArray[np.bool_], wanted: object) -> Floats:
    """float64[n]: 1 for what is genuine, and for fraud what is wanted, or so much that both kinds count the same."""
    learned = fraud[~held]
    heavy = float((~learned).sum() / learned.sum()) if wanted == BALANCED else float(str(wanted))
    return np.where(fraud, heavy, 1.0)


def fit(model: ModelRef, dataset: Dataset, split: Split, seed: int, show: Show) -> Fitted:
    """What the model's trainer makes of the training period of a split.

    Raises:
        DataError: It cannot be learned from.
    """
    period = slice(split.learn.start, split.stop.stop)
    matrix = dataset.matrix[period]
    if not is_supervised(model):
        return Fitted(isolation_forest.fit(matrix, seed, model.parameters), None, parameters_of(model))
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

    parameters = dict(model.parameters)
    weight = _weights(fraud[period], held, parameters.pop(FRAUD_WEIGHT, 1.0))
    if model.trainer.startswith(estimator.PREFIX):
        found = estimator.fit(model.trainer, matrix, fraud[period], held, weight, seed, parameters, note)
    else:
        found = _SUPERVISED[model.trainer].fit(matrix, fraud[period], held, weight, seed, parameters, note)
    return Fitted(*found, parameters_of(model))
