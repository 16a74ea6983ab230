"""Every trainer's artefact gives its scores, the same history gives the same bytes, and wrong parameters are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import pytest

from fraudstream.define.decision import ModelRef
from fraudstream.errors import UsageError
from fraudstream.pipelines import find_plan
from fraudstream.plan.compile import plan_of
from fraudstream.training import xgboost
from fraudstream.training.dataset import Dataset, make_dataset
from fraudstream.training.history import History
from fraudstream.training.split import Split, split_by_time
from fraudstream.training.train import Options, Trained, train
from fraudstream.training.trainers import fit, require_libraries
from fraudstream.training.truth import truth_of_file

Simulated = Callable[..., tuple[Path, Path]]
PLAN = find_plan("user-activity", environ={})
OPTIONS = Options(trained_at="2026-03-01T00:00:00+00:00")
FOREST = "sklearn:sklearn.ensemble.RandomForestClassifier"
MODELS: list[tuple[str, dict[str, Any]]] = [
    ("xgboost", {"rounds": 60, "max_depth": 5}),
    ("xgboost", {"rounds": 20, "patience_rounds": 0, "fraud_weight": "balanced"}),
    ("lightgbm", {"rounds": 30, "patience_rounds": 0, "fraud_weight": 10}),
    ("logistic", {"fraud_weight": "balanced"}),
    (FOREST, {"n_estimators": 20, "max_depth": 8, "fraud_weight": 5.0}),
    ("sklearn:sklearn.neural_network.MLPClassifier", {"hidden_layer_sizes": (8, 4), "max_iter": 20}),
]


def declared(trainer: str, parameters: dict[str, Any]) -> ModelRef:
    assert PLAN.pipeline.model is not None
    return msgspec.structs.replace(PLAN.pipeline.model, trainer=trainer, parameters=parameters)


def trained(model: ModelRef, simulated: Simulated, folder: Path) -> Trained:
    plan = plan_of(msgspec.structs.replace(PLAN.pipeline, model=model))
    events, truth = simulated("user-activity")
    history = History(events, plan.pipeline.event)
    return train(plan, folder, history, truth_of_file(truth, plan.pipeline.event, len(history)), OPTIONS)


@pytest.fixture(scope="module")
def dataset(simulated: Simulated) -> tuple[Dataset, Split]:
    events, truth = simulated("user-activity")
    history = History(events, PLAN.pipeline.event)
    made = make_dataset(PLAN, history, truth_of_file(truth, PLAN.pipeline.event, len(history)), 0)
    return made, split_by_time(made.event_at_ms, 0.3, 0)


@pytest.mark.parametrize(("trainer", "parameters"), MODELS)
def test_what_is_saved_gives_the_trainers_scores_and_is_made_again_byte_for_byte(
    trainer: str, parameters: dict[str, Any], simulated: Simulated, tmp_path: Path
) -> None:
    """`train` itself compares every score of the test with the trainer's, to 1e-6 or less, and loads what it saved."""
    model = declared(trainer, parameters)
    first, again = (trained(model, simulated, tmp_path / part) for part in ("a", "b"))
    assert first.manifest == again.manifest
    assert first.manifest.trainer == trainer and first.manifest.card is not None
    assert first.manifest.card.parameters.items() >= parameters.items()
    metrics = first.manifest.metrics
    assert metrics["auc_roc"] > 0.6 and metrics["average_precision"] > 1.2 * metrics["frauds"] / metrics["events"]
    assert metrics["calibration_error"] < 0.05, "probabilities are right although frauds weigh more"


def test_xgboosts_graph_agrees_also_where_an_input_is_a_threshold(dataset: tuple[Dataset, Split]) -> None:
    """XGBoost goes left below a threshold, the graph at or below one: the number before it in float32."""
    made, split = dataset
    model = fit(declared("xgboost", {"rounds": 40}), made, split, 1, lambda *_: None).model
    assert isinstance(model, xgboost.XgboostTrees)
    matrix = np.repeat(made.matrix[:200], 20, axis=0)
    row = 0
    for tree in model._trees():
        for feature, threshold in zip(tree.feature, tree.threshold, strict=True):
            if feature >= 0:
                below = np.float32(threshold)
                for value in (below, np.nextafter(below, np.float32(np.inf))):
                    matrix[row % len(matrix), feature] = value
                    row += 1
    assert row > 200
    (score,) = onnxruntime.InferenceSession(model.to_onnx()).run(["score"], {"features": matrix})
    np.testing.assert_allclose(score[:, 0], model.predict(matrix), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("trainer", "parameters", "said"),
    [
        (FOREST, {"n_estimator": 3}, "Did you mean 'n_estimators'?"),
        ("sklearn:sklearn.ensemble.Forest", {}, "sklearn.ensemble has no Forest"),
        ("sklearn:sklearn.linear_model.LinearRegression", {}, "no classifier that gives probabilities"),
    ],
)
def test_an_estimator_that_is_not_there_or_lacks_a_parameter_is_named_before_training(
    trainer: str, parameters: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=r".") as raised:
        require_libraries(declared(trainer, parameters))
    assert said in str(raised.value)


def test_an_estimator_that_refuses_a_value_or_cannot_weigh_says_so(dataset: tuple[Dataset, Split]) -> None:
    made, split = dataset
    with pytest.raises(UsageError, match="'max_depth' parameter"):
        fit(declared(FOREST, {"max_depth": "deep"}), made, split, 1, lambda *_: None)
    neighbours = "sklearn:sklearn.neighbors.KNeighborsClassifier"
    with pytest.raises(UsageError, match="cannot weigh events"):
        fit(declared(neighbours, {"fraud_weight": "balanced"}), made, split, 1, lambda *_: None)
