"""Contributions are exact: those of LightGBM and of all subsets, and they add up to what the model adds up."""

from __future__ import annotations

from itertools import combinations
from math import factorial
from pathlib import Path
from typing import Any

import lightgbm as peer
import numpy as np
import numpy.typing as npt
import pytest

from fraudstream.errors import DamagedModel
from fraudstream.models.artifact import CONTRIBUTIONS, Manifest, load_version, save_artifact, version_of
from fraudstream.models.contributions import (
    LEAF,
    Contributor,
    Tree,
    TreeContributor,
    pack_linear,
    pack_trees,
    read_contributor,
)  # fmt: skip
from fraudstream.training import estimator, isolation_forest, lightgbm, logistic, xgboost

Floats = npt.NDArray[np.float64]
INPUTS = 6


def matrix_of(rows: int, seed: int) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    matrix = rng.gamma(1.5, 40, (rows, INPUTS)).astype(np.float32)
    matrix[:, 1] = rng.poisson(2, rows)
    matrix[rng.random(rows) < 0.2, 0] = -1
    matrix[:, 5] = 3.0
    return matrix


def boosted(leaves: int) -> tuple[Any, lightgbm.BoostedTrees]:
    """A booster of many leaves, so that paths ask about the same input again and again."""
    matrix = matrix_of(8_000, 1)
    noise = np.random.default_rng(2).normal(0, 60, len(matrix))
    fraud = matrix[:, 0] + 30 * matrix[:, 1] * (matrix[:, 2] > 50) + matrix[:, 3] + noise > 250
    parameters = {"objective": "binary", "num_leaves": leaves, "use_missing": False, "verbosity": -1, "num_threads": 1}
    booster = peer.train(parameters, peer.Dataset(matrix, fraud.astype(float)), 60)
    return booster, lightgbm.BoostedTrees(booster)


@pytest.mark.parametrize("leaves", [2, 16, 255])
def test_contributions_of_boosted_trees_are_lightgbms(leaves: int) -> None:
    booster, model = boosted(leaves)
    rows = matrix_of(300, 3)
    expected = booster.predict(rows, pred_contrib=True)
    found = read_contributor(model.contributions(), INPUTS)(rows.astype(np.float64))
    np.testing.assert_allclose(found.values, expected[:, :-1], rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.base, expected[:, -1], rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.margin, booster.predict(rows, raw_score=True), rtol=0, atol=1e-9)
    assert np.abs(found.values).max() > 0.5


def test_contributions_are_shapley_values_by_their_definition() -> None:
    """Over all subsets of inputs: what is known of an event goes its way, the rest as training went."""
    _, model = boosted(16)
    trees = model._trees()[:5]
    rows = matrix_of(8, 4).astype(np.float64)
    found = TreeContributor(trees)(rows)
    for row, values in zip(rows, found.values, strict=True):
        for each in range(INPUTS):
            others = [other for other in range(INPUTS) if other != each]
            total = 0.0
            for size in range(INPUTS):
                weight = factorial(size) * factorial(INPUTS - size - 1) / factorial(INPUTS)
                for known in combinations(others, size):
                    total += weight * sum(_mean(t, row, {*known, each}) - _mean(t, row, set(known)) for t in trees)
            assert values[each] == pytest.approx(total, abs=1e-12)


def _mean(tree: Tree, row: Floats, known: set[int], node: int = 0) -> float:
    if tree.feature[node] == LEAF:
        return float(tree.value[node])
    left, right = int(tree.left[node]), int(tree.right[node])
    if int(tree.feature[node]) in known:
        return _mean(tree, row, known, left if row[tree.feature[node]] <= tree.threshold[node] else right)
    parts = tree.cover[[left, right]] / tree.cover[node]
    return float(parts[0] * _mean(tree, row, known, left) + parts[1] * _mean(tree, row, known, right))


def test_those_of_an_isolation_forest_add_up_to_the_logarithm_of_its_score() -> None:
    model = isolation_forest.fit(matrix_of(2_000, 5), 1, {})
    rows = matrix_of(500, 6)
    found = read_contributor(model.contributions(), INPUTS)(rows.astype(np.float64))
    np.testing.assert_allclose(found.margin, np.log2(model.predict(rows)), rtol=0, atol=1e-9)
    strangest = int(np.argmax(model.predict(rows)))
    assert found.values[strangest].max() > 0, "what makes an event strange raises its score"


@pytest.mark.parametrize("trainer", [xgboost, logistic], ids=lambda module: module.__name__.rpartition(".")[2])
def test_those_of_other_trainers_add_up_to_their_log_odds(trainer: Any) -> None:
    """XGBoost adds up in float32, so its probabilities are that exact and no more."""
    matrix = matrix_of(3_000, 8)
    fraud = matrix[:, 0] + matrix[:, 2] + np.random.default_rng(9).normal(0, 40, len(matrix)) > 190
    held, weight = np.arange(len(matrix)) >= 2_500, np.ones(len(matrix))
    model, _ = trainer.fit(matrix, fraud, held, weight, 1, {}, lambda done, most: None)
    rows = matrix_of(300, 10)
    found = read_contributor(model.contributions(), INPUTS)(rows.astype(np.float64))
    probability = model.predict(rows)
    np.testing.assert_allclose(1 / (1 + np.exp(-found.margin)), probability, rtol=0, atol=model.largest_difference)
    assert probability.max() - probability.min() > 0.5
    if trainer is xgboost:
        import xgboost as library

        own = model._booster.predict(library.DMatrix(rows), pred_contribs=True)
        np.testing.assert_allclose(found.values, own[:, :-1], rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "parameters", "is_log_odds"),
    [
        ("ensemble.RandomForestClassifier", {"n_estimators": 20, "max_depth": 8}, False),
        ("ensemble.ExtraTreesClassifier", {"n_estimators": 10, "max_depth": 6}, False),
        ("tree.DecisionTreeClassifier", {"max_depth": 5}, False),
        ("linear_model.LogisticRegression", {"max_iter": 2_000}, True),
    ],
)
def test_those_of_scikit_learns_own_add_up_to_what_they_predict(
    name: str, parameters: dict[str, Any], is_log_odds: bool
) -> None:
    """A decisive input contributes most, and one that never changes nothing."""
    matrix = matrix_of(3_000, 8)
    fraud = matrix[:, 2] + np.random.default_rng(9).normal(0, 20, len(matrix)) > 120
    held, weight = np.arange(len(matrix)) >= 2_500, np.ones(len(matrix))
    model, _ = estimator.fit(f"sklearn:sklearn.{name}", matrix, fraud, held, weight, 1, parameters, lambda *_: None)
    rows = matrix_of(300, 10)
    found = read_contributor(model.contributions(), INPUTS)(rows.astype(np.float64))
    said = 1 / (1 + np.exp(-found.margin)) if is_log_odds else found.margin
    np.testing.assert_allclose(said, model.predict(rows), rtol=0, atol=1e-9)
    assert np.abs(found.values).mean(axis=0).argmax() == 2 and not found.values[:, 5].any()


def test_nothing_is_said_of_an_estimator_that_is_not_understood() -> None:
    matrix, fraud = matrix_of(500, 1), np.arange(500) % 3 == 0
    held, weight = np.arange(500) >= 400, np.ones(500)
    trainer = "sklearn:sklearn.neural_network.MLPClassifier"
    model, _ = estimator.fit(trainer, matrix, fraud, held, weight, 1, {"max_iter": 5}, lambda *_: None)
    assert model.contributions() == b""


def test_linear_contributions_are_what_differs_from_the_mean() -> None:
    weight, mean = np.array([2.0, -1.0]), np.array([1.0, 10.0])
    found = read_contributor(pack_linear(weight, mean, 0.5), 2)(np.array([[2.0, 7.0]]))
    assert found.base == 0.5 + 2.0 - 10.0
    np.testing.assert_array_equal(found.values, [[2.0, 3.0]])
    assert found.margin[0] == 0.5 + 2.0 * 2.0 - 7.0


def test_a_part_of_a_tree_that_training_never_reached_is_no_division_by_zero() -> None:
    tree = Tree(
        np.array([0, LEAF, LEAF]), np.array([0.5, 0, 0]), np.array([1, 0, 0]), np.array([2, 0, 0]),
        np.array([0, 1.0, 5.0]), np.array([10.0, 10.0, 0.0]),
    )  # fmt: skip
    found = TreeContributor([tree])(np.array([[0.0], [1.0]]))
    np.testing.assert_allclose(found.margin, [1.0, 5.0], atol=1e-9)
    leaf = Tree(*(part[1:2] for part in tree))
    assert TreeContributor([leaf])(np.zeros((2, 1))).margin.tolist() == [1.0, 1.0]


def _damaged() -> list[bytes]:
    _, model = boosted(4)
    trees = model._trees()
    looped = trees[0]._replace(left=np.zeros_like(trees[0].left))
    wide = trees[0]._replace(feature=np.where(trees[0].feature == LEAF, LEAF, 99))
    return [b"", b"\x80", model.contributions()[:-9], pack_trees([looped], INPUTS), pack_trees([wide], INPUTS)]


def test_a_damaged_file_is_refused() -> None:
    for file in _damaged():
        with pytest.raises((ValueError, IndexError)):
            read_contributor(file, INPUTS)
    with pytest.raises(ValueError, match="not for 3 inputs"):
        read_contributor(pack_linear(np.ones(2), np.ones(2), 0.0), 3)


def test_the_same_bytes_give_the_same_contributions_however_events_are_batched() -> None:
    _, model = boosted(16)
    contributor: Contributor = read_contributor(model.contributions(), INPUTS)
    rows = matrix_of(50, 7).astype(np.float64)
    whole = contributor(rows).values
    single = np.concatenate([contributor(rows[at : at + 1]).values for at in range(len(rows))])
    np.testing.assert_array_equal(whole, single)


def test_an_artefact_whose_contributions_were_changed_is_damaged(tmp_path: Path) -> None:
    onnx, file = b"a model", pack_linear(np.ones(2), np.ones(2), 0.0)
    manifest = Manifest(
        name="m", version=version_of(onnx)[0], sha256=version_of(onnx)[1], trainer="test", features=("a", "b"),
        missing=-1.0, output="score", contributions=version_of(file)[1],
    )  # fmt: skip
    place = save_artifact(tmp_path, manifest, onnx, file)
    assert load_version(tmp_path, "m", manifest.version).contributions == file
    (place / CONTRIBUTIONS).write_bytes(file[:-1] + b"\x01")
    with pytest.raises(DamagedModel, match=CONTRIBUTIONS):
        load_version(tmp_path, "m", manifest.version)
    (place / CONTRIBUTIONS).unlink()
    with pytest.raises(DamagedModel, match="cannot be read"):
        load_version(tmp_path, "m", manifest.version)
