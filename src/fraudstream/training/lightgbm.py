"""Gradient-boosted trees by LightGBM: for pipelines whose past frauds are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudstream.training.forest import LEAF, Floats, Tree, sigmoid_of_sum

Matrix = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

MOST_ROUNDS = 400
PATIENCE_ROUNDS = 40
PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 16,
    # Sharp limits, such as an amount no ordinary payment exceeds, are blurred by coarse bins.
    "max_bin": 4095,
    "min_data_in_bin": 1,
    "min_data_in_leaf": 20,
    "lambda_l2": 1.0,
    # The scorer never gives a null: it gives the model's number for it.
    "use_missing": False,
    # The same bytes again, on any machine. OpenMP on a busy machine costs more than a second core brings.
    "deterministic": True,
    "force_col_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}


class BoostedTrees:
    """A trained booster.

    Attributes:
        rounds: How many trees it has.
    """

    def __init__(self, booster: Any) -> None:
        self._booster = booster
        self.rounds: int = booster.current_iteration()

    def predict(self, matrix: Matrix) -> Floats:
        """float64[n]: the trainer's own probabilities."""
        return np.asarray(self._booster.predict(matrix, num_threads=1), np.float64)

    def to_onnx(self) -> bytes:
        """The same function as an ONNX file."""
        dump = self._booster.dump_model()
        trees = [_tree(info["tree_structure"]) for info in dump["tree_info"]]
        return sigmoid_of_sum(trees, dump["max_feature_idx"] + 1)


def fit(matrix: Matrix, fraud: Bools, stop: Bools, seed: int, show: Callable[[int, int], None]) -> BoostedTrees:
    """Trains until the last part of the training period is predicted no better.

    Classes are not weighted, so the raw score is the probability of fraud; see `score_map`.

    Args:
        matrix: float32[n, features].
        fraud: bool[n], the truth.
        stop: bool[n], the rows that are not learned from but decide when to stop.
        seed: Of everything random.
        show: Called with the rounds done and the most there can be.
    """
    import lightgbm

    data = lightgbm.Dataset(matrix[~stop], fraud[~stop].astype(np.float64), free_raw_data=True)
    held = lightgbm.Dataset(matrix[stop], fraud[stop].astype(np.float64), reference=data)
    last = [
        lightgbm.early_stopping(PATIENCE_ROUNDS, verbose=False),
        lambda environment: show(environment.iteration + 1, MOST_ROUNDS),
    ]
    parameters = PARAMETERS | {"seed": seed, "metric": "binary_logloss"}
    booster = lightgbm.train(parameters, data, MOST_ROUNDS, valid_sets=[held], callbacks=last)
    kept = lightgbm.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration))
    return BoostedTrees(kept)


def _tree(root: dict[str, Any]) -> Tree:
    """A dumped tree as arrays, each node before its children."""
    nodes = [root]
    left: list[int] = []
    right: list[int] = []
    for node in nodes:  # grows while it is walked
        inner = "split_feature" in node
        if inner and node["decision_type"] != "<=":
            raise AssertionError(f"an input is numeric, yet a node decides by {node['decision_type']!r}")
        left.append(len(nodes) if inner else 0)
        right.append(len(nodes) + 1 if inner else 0)
        if inner:
            nodes += [node["left_child"], node["right_child"]]
    return Tree(
        np.array([node.get("split_feature", LEAF) for node in nodes]),
        np.array([node.get("threshold", 0.0) for node in nodes]),
        np.array(left),
        np.array(right),
        np.array([node.get("leaf_value", 0.0) for node in nodes]),
    )
