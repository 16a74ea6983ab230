"""Logistic regression by scikit-learn, with inputs brought to a common scale inside the graph: the plainest model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudstream.models.contributions import pack_linear
from fraudstream.training.forest import INPUT, OUTPUT, Floats, model_bytes

Matrix = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

PARAMETERS: dict[str, Any] = {"C": 1.0, "max_iter": 1_000}


class Logistic:
    """A trained regression: 1 / (1 + exp(-(weights · (x - mean) / scale + intercept)))."""

    output = OUTPUT
    largest_difference = 1e-9

    def __init__(self, scaler: Any, regression: Any) -> None:
        self._scaler, self._regression = scaler, regression

    def predict(self, matrix: Matrix) -> Floats:
        """float64[n]: the trainer's own probabilities."""
        scaled = self._scaler.transform(matrix.astype(np.float64))
        return np.asarray(self._regression.predict_proba(scaled)[:, 1], np.float64)

    def to_onnx(self) -> bytes:
        """The same function as an ONNX file, in float64."""
        from onnx import TensorProto, helper, numpy_helper

        constants = {
            "mean": self._scaler.mean_,
            "scale": self._scaler.scale_,
            "weights": self._regression.coef_.T,
            "intercept": self._regression.intercept_,
        }
        nodes = [
            helper.make_node("Cast", [INPUT], ["wide"], to=TensorProto.DOUBLE),
            helper.make_node("Sub", ["wide", "mean"], ["centred"]),
            helper.make_node("Div", ["centred", "scale"], ["scaled"]),
            helper.make_node("MatMul", ["scaled", "weights"], ["weighted"]),
            helper.make_node("Add", ["weighted", "intercept"], ["log_odds"]),
            helper.make_node("Sigmoid", ["log_odds"], [OUTPUT]),
        ]
        tensors = [numpy_helper.from_array(np.asarray(value, np.float64), name) for name, value in constants.items()]
        return model_bytes(nodes, "logistic", len(constants["mean"]), tensors)

    def contributions(self) -> bytes:
        """The file that says what each input adds to the log-odds: its weight, by how far it is from its mean."""
        weight = self._regression.coef_[0] / self._scaler.scale_
        mean = self._scaler.mean_
        return pack_linear(weight, mean, float(self._regression.intercept_[0] - weight @ mean))


def fit(
    matrix: Matrix,
    fraud: Bools,
    held: Bools,
    weight: Floats,
    seed: int,
    parameters: Mapping[str, Any],
    show: Callable[[int, int], None],
) -> tuple[Logistic, Floats]:
    """Trains without the held-out end, whose scores say where thresholds lie, then on all. As `lightgbm.fit`."""
    chosen = PARAMETERS | dict(parameters)
    first = _fit(matrix[~held], fraud[~held], weight[~held], chosen)
    show(1, 2)
    whole = _fit(matrix, fraud, weight, chosen)
    show(2, 2)
    return whole, first.predict(matrix[held])


def _fit(matrix: Matrix, fraud: Bools, weight: Floats, parameters: dict[str, Any]) -> Logistic:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    scaled = scaler.fit_transform(matrix.astype(np.float64))
    return Logistic(scaler, LogisticRegression(**parameters).fit(scaled, fraud, sample_weight=weight))
