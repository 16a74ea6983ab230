"""Gradient-boosted trees by XGBoost."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudstream.models.contributions import pack_trees
from fraudstream.training.forest import LEAF, OUTPUT, Floats, Tree, sigmoid_of_sum

Matrix = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

ROUNDS, PATIENCE_ROUNDS = "rounds", "patience_rounds"
PARAMETERS: dict[str, Any] = {
    ROUNDS: 400,
    PATIENCE_ROUNDS: 40,
    "learning_rate": 0.05,
    "max_depth": 4,
    "max_bin": 1024,
    "min_child_weight": 1.0,
    "reg_lambda": 1.0,
}
"""What a pipeline may set by `model.parameters`, among others (`plan/trainers.py`), and what it is otherwise."""
_FIXED: dict[str, Any] = {
    "objective": "binary:logistic",
    "eval_metric": "logloss",
    "tree_method": "hist",
    "base_score": 0.5,  # the sum of the leaves is the log-odds, with nothing to add
    "nthread": 1,
    "verbosity": 0,
}


class XgboostTrees:
    """A trained booster.

    Attributes:
        largest_difference: XGBoost adds its leaves up in float32; the graph, in float64, is the more exact one.
    """

    output = OUTPUT
    largest_difference = 1e-6

    def __init__(self, booster: Any) -> None:
        self._booster = booster

    def predict(self, matrix: Matrix) -> Floats:
        """float64[n]: the trainer's own probabilities."""
        return np.asarray(self._booster.inplace_predict(matrix), np.float64)

    def to_onnx(self) -> bytes:
        """The same function as an ONNX file."""
        return sigmoid_of_sum(self._trees(), self._booster.num_features())

    def contributions(self) -> bytes:
        """The file that says what each input adds to the log-odds."""
        return pack_trees(self._trees(), self._booster.num_features())

    def _trees(self) -> list[Tree]:
        model = json.loads(self._booster.save_raw("json"))["learner"]["gradient_booster"]["model"]
        return [_tree(tree) for tree in model["trees"]]


def fit(
    matrix: Matrix,
    fraud: Bools,
    held: Bools,
    weight: Floats,
    seed: int,
    parameters: Mapping[str, Any],
    show: Callable[[int, int], None],
) -> tuple[XgboostTrees, Floats]:
    """Trains as `lightgbm.fit` does: until the held-out end is predicted no better, then as many rounds on all.

    Args:
        matrix: float32[n, features].
        fraud: bool[n], the truth.
        held: bool[n], the end of the period.
        weight: float64[n], how much each event counts.
        seed: Of everything random.
        parameters: As `ModelRef.parameters`.
        show: Called with the rounds done and the most there can be.
    """
    import xgboost

    chosen = PARAMETERS | dict(parameters)
    most, patience = chosen.pop(ROUNDS), chosen.pop(PATIENCE_ROUNDS)
    chosen |= _FIXED | {"seed": seed}

    class Shown(xgboost.callback.TrainingCallback):  # type: ignore[misc]
        """Tells of every round."""

        def __init__(self, before: int) -> None:
            super().__init__()
            self._before = before

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            show(self._before + epoch + 1, 2 * most)
            return False

    def rows(part: Bools) -> Any:
        return xgboost.DMatrix(matrix[part], fraud[part].astype(np.float32), weight=weight[part], nthread=1)

    first = xgboost.train(
        chosen,
        rows(~held),
        most,
        evals=[(rows(held), "held")] if patience else [],
        early_stopping_rounds=patience or None,
        verbose_eval=False,
        callbacks=[Shown(0)],
    )
    rounds = first.best_iteration + 1 if patience else most
    unseen = np.asarray(first.inplace_predict(matrix[held], iteration_range=(0, rounds)), np.float64)
    everything = rows(np.ones(len(fraud), np.bool_))
    return XgboostTrees(xgboost.train(chosen, everything, rounds, callbacks=[Shown(most)])), unseen


def _tree(tree: dict[str, Any]) -> Tree:
    """A tree of XGBoost's JSON: `x < threshold` goes left, which of float32 is `x <= the number before it`."""
    left, right = (np.array(tree[side], np.int64) for side in ("left_children", "right_children"))
    numbers = np.array(tree["split_conditions"], np.float32)
    is_leaf = left == LEAF
    feature = np.where(is_leaf, LEAF, np.array(tree["split_indices"], np.int64))
    threshold = np.nextafter(numbers, np.float32(-np.inf)).astype(np.float64)
    return Tree(
        feature,
        threshold,
        np.where(is_leaf, 0, left),
        np.where(is_leaf, 0, right),
        numbers.astype(np.float64),
        np.array(tree["sum_hessian"], np.float64),
    )
