"""Any classifier of scikit-learn, by its import path, such as `sklearn:sklearn.ensemble.RandomForestClassifier`.

It becomes ONNX through skl2onnx, over float64: converters assume float32 otherwise, and then an input that lies on a
threshold of a tree goes the other way than in training (see decision 0007). What is converted is compared with the
estimator on every test event before anything is saved, as with every trainer, so a conversion that is not exact is
refused and not served.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudstream.errors import UsageError
from fraudstream.training.estimator_contributions import contributions_of
from fraudstream.training.forest import INPUT, OUTPUT, Floats

Matrix = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

PREFIX = "sklearn:"
_OPSETS = {"": 18, "ai.onnx.ml": 3}  # 3: the first whose trees have float64 thresholds, and skl2onnx's highest


class Estimator:
    """A trained classifier."""

    output = OUTPUT
    largest_difference = 1e-6

    def __init__(self, estimator: Any, trainer: str, mean: Floats) -> None:
        self._estimator, self._trainer, self._mean = estimator, trainer, mean

    def predict(self, matrix: Matrix) -> Floats:
        """float64[n]: the estimator's own probabilities of fraud."""
        return np.asarray(self._estimator.predict_proba(matrix.astype(np.float64))[:, 1], np.float64)

    def to_onnx(self) -> bytes:
        """The same function as an ONNX file.

        Raises:
            UsageError: skl2onnx does not know the estimator.
        """
        import skl2onnx
        from onnx import TensorProto, helper
        from skl2onnx.common.data_types import DoubleTensorType
        from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

        inputs = int(self._estimator.n_features_in_)
        try:
            model = skl2onnx.to_onnx(
                self._estimator,
                initial_types=[("wide", DoubleTensorType([None, inputs]))],
                options={id(self._estimator): {"zipmap": False}},
                target_opset=_OPSETS,
            )
        except (MissingConverter, MissingShapeCalculator, NotImplementedError, RuntimeError, NameError) as failed:
            reason = str(failed).strip().splitlines()[0]
            raise UsageError(
                f"{self._trainer} cannot be written as ONNX: {reason}", "Choose an estimator that skl2onnx supports."
            ) from None
        graph = model.graph
        probabilities = graph.output[1].name
        nodes = [
            helper.make_node("Cast", [INPUT], ["wide"], to=TensorProto.DOUBLE),
            *graph.node,
            helper.make_node("Identity", [probabilities], [OUTPUT]),
        ]
        whole = helper.make_graph(
            nodes,
            "estimator",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", inputs])],
            [helper.make_tensor_value_info(OUTPUT, graph.output[1].type.tensor_type.elem_type, ["n", 2])],
            list(graph.initializer),
        )
        made = helper.make_model(
            whole, opset_imports=model.opset_import, ir_version=model.ir_version, producer_name="fraudstream"
        )
        return bytes(made.SerializeToString(deterministic=True))

    def contributions(self) -> bytes:
        """What says how much each input adds; empty where this kind of estimator is not known to do so."""
        return contributions_of(self._estimator, self._mean)


def estimator_class(trainer: str) -> Any:
    """The class that a trainer's import path names.

    Raises:
        UsageError: There is none, or it is no classifier that gives probabilities.
    """
    module, _, name = trainer.removeprefix(PREFIX).rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise UsageError(
            f"The trainer {trainer} is not there: {module} has no {name}.",
            "Write the class as it is imported, like sklearn:sklearn.ensemble.RandomForestClassifier.",
        ) from None
    if not (inspect.isclass(found) and hasattr(found, "fit") and hasattr(found, "predict_proba")):
        raise UsageError(
            f"{trainer} is no classifier that gives probabilities.", "Choose one with fit() and predict_proba()."
        )
    return found


def check_parameters(trainer: str, parameters: Mapping[str, Any]) -> None:
    """Makes sure that the estimator has these parameters.

    Raises:
        UsageError: It has not, or there is no such estimator.
    """
    known = sorted(inspect.signature(estimator_class(trainer).__init__).parameters.keys() - {"self"})
    for name in parameters:
        if name not in known:
            close = get_close_matches(name, known, 1)
            advice = f"Did you mean {close[0]!r}?" if close else f"It has: {', '.join(known)}."
            raise UsageError(f"model.parameters.{name}: {trainer} has no parameter {name!r}.", advice)


def fit(
    trainer: str,
    matrix: Matrix,
    fraud: Bools,
    held: Bools,
    weight: Floats,
    seed: int,
    parameters: Mapping[str, Any],
    show: Callable[[int, int], None],
) -> tuple[Estimator, Floats]:
    """Trains without the held-out end, whose scores say where thresholds lie, then on all. As `lightgbm.fit`.

    Raises:
        UsageError: The estimator refuses its parameters, or cannot weigh events and is asked to.
    """
    check_parameters(trainer, parameters)
    made = estimator_class(trainer)
    known = inspect.signature(made.__init__).parameters
    chosen = {"random_state": seed, "n_jobs": 1}
    chosen = {name: value for name, value in chosen.items() if name in known} | dict(parameters)
    weighs = "sample_weight" in inspect.signature(made.fit).parameters
    if not weighs and (weight != 1).any():
        raise UsageError(f"{trainer} cannot weigh events.", "Leave fraud_weight out.")

    def one(rows: Bools) -> Estimator:
        extra = {"sample_weight": weight[rows]} if weighs else {}
        try:
            found = made(**chosen).fit(matrix[rows].astype(np.float64), fraud[rows], **extra)
        except (TypeError, ValueError) as wrong:  # scikit-learn checks its parameters when it fits
            raise UsageError(f"{trainer} cannot be trained: {wrong}", "Correct model.parameters.") from None
        return Estimator(found, trainer, matrix[rows].mean(axis=0, dtype=np.float64))

    first = one(~held)
    show(1, 2)
    whole = one(np.ones(len(fraud), np.bool_))
    show(2, 2)
    return whole, first.predict(matrix[held])
