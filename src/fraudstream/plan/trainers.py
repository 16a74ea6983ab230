"""How models are trained: the trainers, and the parameters each of them takes.

Only names, kinds and limits: the libraries behind them are imported where they train.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from fraudstream.define.decision import ModelRef, ParameterValue
from fraudstream.define.reader import suggestion
from fraudstream.plan.scope import Scope


class Limits(NamedTuple):
    """What a parameter's value may be.

    Attributes:
        kind: `int`, `float` (whole numbers as well) or `bool`.
        least, most: The smallest and the greatest value allowed.
        above: Whether the value has to be greater than `least`.
    """

    kind: type
    least: float = 0
    most: float = 1_000_000
    above: bool = False

    def __str__(self) -> str:
        if self.kind is bool:
            return "true or false"
        kind = "a whole number" if self.kind is int else "a number"
        return (
            f"{kind} {f'above {self.least:,g}, at most' if self.above else f'from {self.least:,g} to'} {self.most:,g}"
        )

    def allow(self, value: ParameterValue) -> bool:
        """Whether a value is of this kind and within the limits."""
        if self.kind is bool or isinstance(value, bool):
            return self.kind is bool and isinstance(value, bool)
        if not isinstance(value, int) and not (self.kind is float and isinstance(value, float)):
            return False
        return self.least <= value <= self.most and not (self.above and value == self.least)


_SHARE = Limits(float, 0, 1, above=True)
_WEIGHT = Limits(float)
LIGHTGBM: dict[str, Limits] = {
    "rounds": Limits(int, 1, 10_000),
    "patience_rounds": Limits(int, 0, 10_000),
    "learning_rate": _SHARE,
    "num_leaves": Limits(int, 2, 4_096),
    "max_depth": Limits(int, -1, 64),
    "max_bin": Limits(int, 2, 4_095),
    "min_data_in_bin": Limits(int, 1),
    "min_data_in_leaf": Limits(int, 0),
    "min_sum_hessian_in_leaf": _WEIGHT,
    "min_gain_to_split": _WEIGHT,
    "lambda_l1": _WEIGHT,
    "lambda_l2": _WEIGHT,
    "feature_fraction": _SHARE,
    "feature_fraction_bynode": _SHARE,
    "bagging_fraction": _SHARE,
    "bagging_freq": Limits(int),
    "path_smooth": _WEIGHT,
    "extra_trees": Limits(bool),
}
XGBOOST: dict[str, Limits] = {
    "rounds": Limits(int, 1, 10_000),
    "patience_rounds": Limits(int, 0, 10_000),
    "learning_rate": _SHARE,
    "max_depth": Limits(int, 1, 24),
    "max_leaves": Limits(int, 0, 4_096),
    "max_bin": Limits(int, 2, 65_535),
    "min_child_weight": _WEIGHT,
    "gamma": _WEIGHT,
    "reg_alpha": _WEIGHT,
    "reg_lambda": _WEIGHT,
    "subsample": _SHARE,
    "colsample_bytree": _SHARE,
    "colsample_bynode": _SHARE,
}
LOGISTIC: dict[str, Limits] = {"C": Limits(float, 0, 1e9, above=True), "max_iter": Limits(int, 1, 100_000)}
ISOLATION_FOREST: dict[str, Limits] = {
    "trees": Limits(int, 1, 10_000),
    "sample": Limits(int, 2),
}
TRAINERS: dict[str, dict[str, Limits]] = {
    "lightgbm": LIGHTGBM,
    "xgboost": XGBOOST,
    "logistic": LOGISTIC,
    "isolation_forest": ISOLATION_FOREST,
}
FRAUD_WEIGHT = "fraud_weight"
"""Of every trainer that learns from known frauds: how many genuine events one fraud counts as, or `balanced`."""
BALANCED = "balanced"
_HEAVY = Limits(float, 0, 1_000_000, above=True)
_ESTIMATOR = re.compile(r"sklearn:sklearn(\.[A-Za-z_][A-Za-z0-9_]*)+")


def check_trainer(scope: Scope, model: ModelRef) -> None:
    """The trainer is known, and so are its parameters."""
    known = TRAINERS.get(model.trainer)
    is_estimator = _ESTIMATOR.fullmatch(model.trainer) is not None
    if known is None and not is_estimator:
        advice = suggestion(model.trainer, [*TRAINERS, "sklearn:sklearn.ensemble.RandomForestClassifier"])
        scope.problem("model.trainer", f"unknown trainer {model.trainer[:80]!r}.", advice)
        return
    for name, value in model.parameters.items():
        path = f"model.parameters.{name[:80]}"
        if name == FRAUD_WEIGHT and model.trainer != "isolation_forest":
            if value != BALANCED and not _HEAVY.allow(value):
                scope.problem(path, f"{value!r} is not allowed.", f"Give `{BALANCED}`, or {_HEAVY}.")
        elif known is None:
            continue  # an estimator's own: only its library knows them, and says so before it trains
        elif name not in known:
            scope.problem(path, f"{model.trainer} has no parameter {name[:80]!r}.", suggestion(name, known))
        elif not known[name].allow(value):
            scope.problem(path, f"{value!r} is not allowed.", f"Give {known[name]}.")
