"""Gradient-boosted trees by LightGBM: for pipelines whose past frauds are known."""

from __future__ import annotations

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
    "num_leaves": 16,
    # Sharp limits, such as an amount no ordinary payment exceeds, are blurred by coarse bins.
    "max_bin": 4095,
    "min_data_in_bin": 1,
    "min_data_in_leaf": 20,
    "lambda_l2": 1.0,
}
"""What a pipeline may set by `model.parameters`, among others (`plan/trainers.py`), and what it is otherwise."""
FIXED: dict[str, Any] = {
    "objective": "binary",
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

    output = OUTPUT
    largest_difference = 1e-9

    def __init__(self, booster: Any) -> None:
        self._booster = booster
        self.rounds: int = booster.current_iteration()

    def predict(self, matrix: Matrix) -> Floats:
        """float64[n]: the trainer's own probabilities."""
        return np.asarray(self._booster.predict(matrix, num_threads=1), np.float64)

    def to_onnx(self) -> bytes:
        """The same function as an ONNX file."""
        trees = self._trees()
        return sigmoid_of_sum(trees, self._booster.num_feature())

    def contributions(self) -> bytes:
        """The file that says what each input adds to the log-odds."""
        return pack_trees(self._trees(), self._booster.num_feature())

    def _trees(self) -> list[Tree]:
        return [_tree(info["tree_structure"]) for info in self._booster.dump_model()["tree_info"]]


def fit(
    matrix: Matrix,
    fraud: Bools,
    held: Bools,
    weight: Floats,
    seed: int,
    parameters: Mapping[str, Any],
    show: Callable[[int, int], None],
) -> tuple[BoostedTrees, Floats]:
    """Trains until the end of the training period is predicted no better, then with as many rounds on all of it.

    What happened last is what the model will meet next, so it is learned from too. Without patience the number of
    rounds is fixed.

    Args:
        matrix: float32[n, features].
        fraud: bool[n], the truth.
        held: bool[n], the end of the period: at first not learned from, it decides when to stop.
        weight: float64[n], how much each event counts.
        seed: Of everything random.
        parameters: As `ModelRef.parameters`.
        show: Called with the rounds done and the most there can be.

    Returns:
        The model, and float64[held rows], their probabilities by the model that had not learned from them.
    """
    import lightgbm

    chosen = PARAMETERS | dict(parameters)
    most, patience = chosen.pop(ROUNDS), chosen.pop(PATIENCE_ROUNDS)
    chosen |= FIXED | {"seed": seed, "metric": "binary_logloss"}
    truth = fraud.astype(np.float64)
    data = lightgbm.Dataset(matrix[~held], truth[~held], weight=weight[~held])
    callbacks: list[Any] = [lambda environment: show(environment.iteration + 1, 2 * most)]
    ends = []
    if patience:
        ends = [lightgbm.Dataset(matrix[held], truth[held], weight=weight[held], reference=data)]
        callbacks.append(lightgbm.early_stopping(patience, verbose=False))
    first = lightgbm.train(chosen, data, most, valid_sets=ends, callbacks=callbacks)
    rounds = first.best_iteration if patience else most
    unseen = np.asarray(first.predict(matrix[held], num_iteration=rounds, num_threads=1), np.float64)
    everything = lightgbm.Dataset(matrix, truth, weight=weight)
    again: list[Any] = [lambda environment: show(most + environment.iteration + 1, 2 * most)]
    return BoostedTrees(lightgbm.train(chosen, everything, rounds, callbacks=again)), unseen


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
        np.array([float(node.get("internal_count", node.get("leaf_count", 1))) for node in nodes]),
    )
