"""An Isolation Forest by scikit-learn: for pipelines nobody has labelled.

Liu, Ting, Zhou: "Isolation Forest", ICDM 2008. An event is the stranger the fewer random cuts set it apart. The raw
score is 2 ** -(mean path length / expected path length), in 0…1, larger for what is stranger.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudstream.models.contributions import pack_trees
from fraudstream.training.forest import LEAF, OUTPUT, Floats, Int64s, Tree, power_of_sum

Matrix = npt.NDArray[np.float32]

PARAMETERS: dict[str, Any] = {"trees": 100, "sample": 256}
_EULER = float(np.euler_gamma)


class IsolationTrees:
    """A trained forest."""

    output = OUTPUT
    largest_difference = 1e-9

    def __init__(self, forest: Any) -> None:
        self._forest = forest

    def predict(self, matrix: Matrix) -> Floats:
        """float64[n]: the trainer's own anomaly scores, larger for what is stranger."""
        return -np.asarray(self._forest.score_samples(matrix), np.float64)

    def to_onnx(self) -> bytes:
        """The same function as an ONNX file: a leaf holds its share of the exponent."""
        return power_of_sum(self._trees(1.0), self._forest.n_features_in_, 0.5)

    def contributions(self) -> bytes:
        """The file that says what each input adds to the margin, the logarithm of the raw score to the base 2."""
        return pack_trees(self._trees(-1.0), self._forest.n_features_in_)

    def _trees(self, sign: float) -> list[Tree]:
        expected = float(_path_length(np.array([self._forest.max_samples_]))[0])
        scale = sign / (expected * len(self._forest.estimators_))
        return [_tree(each.tree_, scale) for each in self._forest.estimators_]


def fit(matrix: Matrix, seed: int, parameters: Mapping[str, Any]) -> IsolationTrees:
    """Trains on events as they are, fraud among them: it is rare enough not to look usual.

    Args:
        matrix: float32[n, features].
        seed: Of everything random.
        parameters: As `ModelRef.parameters`: the number of trees, and how many events each is made of.
    """
    from sklearn.ensemble import IsolationForest

    chosen = PARAMETERS | dict(parameters)
    sample = min(chosen["sample"], len(matrix))
    forest = IsolationForest(n_estimators=chosen["trees"], max_samples=sample, random_state=seed, n_jobs=1)
    return IsolationTrees(forest.fit(matrix))


def _tree(tree: Any, scale: float) -> Tree:
    """A tree as arrays; a leaf's value is the path to it, and what a full tree would add for the events in it."""
    left, right = (np.asarray(side, np.int64) for side in (tree.children_left, tree.children_right))
    depth = np.zeros(len(left), np.int64)
    for node in np.flatnonzero(left != LEAF).tolist():  # scikit-learn numbers parents before their children
        depth[left[node]] = depth[right[node]] = depth[node] + 1
    value = (depth + _path_length(np.asarray(tree.n_node_samples, np.int64))) * scale
    feature = np.where(left == LEAF, LEAF, np.asarray(tree.feature, np.int64))
    cover = np.asarray(tree.n_node_samples, np.float64)
    return Tree(feature, np.asarray(tree.threshold, np.float64), left, right, value, cover)


def _path_length(events: Int64s) -> Floats:
    """The expected depth at which one of that many events stands alone: equation 1 of the paper."""
    length = np.zeros(len(events))
    length[events == 2] = 1.0
    many = events > 2
    n = events[many].astype(np.float64)
    length[many] = 2.0 * (np.log(n - 1.0) + _EULER) - 2.0 * (n - 1.0) / n
    return length
