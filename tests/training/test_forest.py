"""The ONNX graphs compute what the trainers compute, also for values that are thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from fraudstream.training import isolation_forest, lightgbm
from fraudstream.training.forest import OUTPUT, Tree, sigmoid_of_sum

Matrix = npt.NDArray[np.float32]


def run(onnx: bytes, matrix: Matrix) -> npt.NDArray[np.float64]:
    scores: npt.NDArray[np.float64] = onnxruntime.InferenceSession(onnx).run([OUTPUT], {"features": matrix})[0]
    assert scores.dtype == np.float64
    return scores[:, 0]


def matrix_of(rows: int, seed: int) -> Matrix:
    """Amounts, counts with many ties, missing values and one constant."""
    rng = np.random.default_rng(seed)
    columns = [rng.gamma(1.5, 40, rows).round(2), rng.poisson(2, rows), rng.normal(0, 1e6, rows), np.full(rows, -1)]
    matrix = np.stack(columns, 1).astype(np.float32)
    matrix[rng.random(rows) < 0.2, 0] = -1
    return matrix


def with_thresholds(matrix: Matrix, trees: list[Tree]) -> Matrix:
    """Plants, for every threshold, the float32 numbers at it and just beside it."""
    planted = matrix.copy()
    row = 0
    for tree in trees:
        for feature, threshold in zip(tree.feature, tree.threshold, strict=True):
            if feature >= 0:
                at = np.float32(threshold)
                for value in (at, np.nextafter(at, np.float32(-np.inf)), np.nextafter(at, np.float32(np.inf))):
                    planted[row % len(planted), feature] = value
                    row += 1
    assert row > 300
    return planted


@pytest.fixture(scope="module")
def boosted() -> tuple[lightgbm.BoostedTrees, Matrix]:
    matrix = matrix_of(20_000, 1)
    noise = np.random.default_rng(2).normal(0, 40, len(matrix))
    fraud = matrix[:, 0] + 30 * matrix[:, 1] + noise > 250
    held = np.arange(len(matrix)) >= 16_000
    return lightgbm.fit(matrix, fraud, held, np.ones(len(fraud)), 1, {}, lambda done, most: None)[0], matrix


def test_boosted_trees_give_lightgbms_probabilities_on_100_000_rows(
    boosted: tuple[lightgbm.BoostedTrees, Matrix], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = boosted
    trees: list[Tree] = []
    honest = lightgbm._tree
    monkeypatch.setattr(lightgbm, "_tree", lambda root: trees.append(honest(root)) or trees[-1])
    onnx = model.to_onnx()
    assert len(trees) == model.rounds > 10
    matrix = with_thresholds(matrix_of(100_000, 3), trees)
    expected = model.predict(matrix)
    assert expected.max() - expected.min() > 0.5
    np.testing.assert_allclose(run(onnx, matrix), expected, rtol=0, atol=1e-12)


def test_thresholds_rounded_to_float32_would_flip_comparisons(
    boosted: tuple[lightgbm.BoostedTrees, Matrix], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why the graph compares in float64: with thresholds of float32, as converters write them, scores differ."""
    model, _ = boosted
    honest, trees = lightgbm._tree, []

    def rounded(root: dict[str, Any]) -> Tree:
        tree = honest(root)
        trees.append(tree)
        near = tree.threshold.astype(np.float32).astype(np.float64)
        return tree._replace(threshold=near)

    monkeypatch.setattr(lightgbm, "_tree", rounded)
    onnx = model.to_onnx()
    matrix = with_thresholds(matrix_of(20_000, 3), trees)
    assert np.abs(run(onnx, matrix) - model.predict(matrix)).max() > 1e-4


@pytest.mark.parametrize("rows", [40, 300, 20_000])
def test_an_isolation_forest_gives_scikit_learns_scores(rows: int) -> None:
    matrix = matrix_of(rows, 4)
    model = isolation_forest.fit(matrix, 1, {})
    there = matrix_of(5_000, 5)
    expected = model.predict(there)
    scores = run(model.to_onnx(), there)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)
    assert expected.max() - expected.min() > 0.1


def test_an_isolation_forest_of_equal_events_is_a_constant() -> None:
    matrix = np.ones((100, 3), np.float32)
    model = isolation_forest.fit(matrix, 1, {})
    np.testing.assert_allclose(run(model.to_onnx(), matrix), model.predict(matrix), rtol=0, atol=1e-12)


def test_a_tree_of_one_leaf_gives_its_value() -> None:
    leaf = Tree(np.array([-1]), np.zeros(1), np.zeros(1, np.int64), np.zeros(1, np.int64), np.array([0.7]), np.ones(1))
    score = run(sigmoid_of_sum([leaf, leaf], 2), np.zeros((3, 2), np.float32))
    np.testing.assert_allclose(score, 1 / (1 + np.exp(-1.4)), rtol=1e-12)
