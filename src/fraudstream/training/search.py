"""Looking for a trainer's parameters, on what lies before the test alone.

Random draws find good values as well as a grid does with many fewer tries (Bergstra and Bengio 2012). Each try is
judged as `fraudstream evaluate` judges: on periods one after the other within the training period, each after training
on what came before it and after the time that labels take. The test takes no part, so its measures stay honest.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import msgspec

from fraudstream.define.decision import ModelRef
from fraudstream.errors import DataError, UsageError
from fraudstream.training.dataset import Dataset
from fraudstream.training.prequential import DAY_MS, Protocol, evaluate, summary
from fraudstream.training.split import Split
from fraudstream.training.trainers import Show

FOLDS = 2
_LONGEST_TEST_DAYS, _LONGEST_TRAINING_DAYS = 7, 28
SPACES: dict[str, dict[str, tuple[Any, ...]]] = {
    "lightgbm": {
        "learning_rate": (0.02, 0.03, 0.05, 0.08, 0.12),
        "num_leaves": (6, 8, 12, 16, 24, 32, 48),
        "min_data_in_leaf": (5, 10, 20, 50, 100, 200),
        "lambda_l2": (0.0, 0.3, 1.0, 3.0, 10.0),
        "feature_fraction": (0.5, 0.7, 0.85, 1.0),
    },
    "xgboost": {
        "learning_rate": (0.02, 0.03, 0.05, 0.08, 0.12),
        "max_depth": (3, 4, 5, 6, 8),
        "min_child_weight": (0.5, 1.0, 3.0, 10.0),
        "reg_lambda": (0.3, 1.0, 3.0, 10.0),
        "colsample_bytree": (0.5, 0.7, 0.85, 1.0),
    },
    "logistic": {"C": (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0)},
}
"""What is drawn from, where the pipeline does not say the value itself."""


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        model: The model with the best parameters.
        chosen: Those that were drawn for it; empty where the pipeline's own were best.
        tries: How many sets of parameters were tried.
        average_precision: The best's, mean over the periods.
        declared: The same of the pipeline's own.
    """

    model: ModelRef
    chosen: dict[str, Any]
    tries: int
    average_precision: float
    declared: float

    def __str__(self) -> str:
        return (
            f"Parameters are the best of {self.tries:,} by average precision on {FOLDS} periods before the test: "
            f"{self.average_precision:.4f}; the declared ones had {self.declared:.4f}."
        )


def search(model: ModelRef, dataset: Dataset, split: Split, tries: int, seed: int, show: Show) -> Found:
    """Tries the parameters that the pipeline declares, and others.

    Args:
        model: What is trained. Parameters that it declares stay as they are.
        dataset: The whole history, with its truth.
        split: What of it is the test.
        tries: How many sets of parameters, the declared one among them.
        seed: Of the draws and of training.
        show: Progress.

    Raises:
        UsageError: Nothing is known to try for the trainer.
        DataError: The training period is too short to be judged within.
    """
    space = {name: values for name, values in SPACES.get(model.trainer, {}).items() if name not in model.parameters}
    if not space:
        raise UsageError(
            f"There is nothing to search for with the trainer {model.trainer}.",
            f"Trainers to search for: {', '.join(SPACES)}, for what the pipeline does not set itself.",
        )
    earlier = dataset.until(int(dataset.event_at_ms[split.stop.stop - 1]))
    protocol = _protocol(earlier, split.gap_ms, seed)
    chance = random.Random(seed)  # noqa: S311 - draws, not secrets
    drawn: list[dict[str, Any]] = [{}]
    for _ in range(20 * tries):
        if len(drawn) == tries:
            break
        draw = {name: chance.choice(values) for name, values in space.items()}
        if draw not in drawn:
            drawn.append(draw)
    results = []
    for number, parameters in enumerate(drawn):
        show("search", number, len(drawn))
        candidate = msgspec.structs.replace(model, parameters=model.parameters | parameters)
        results.append(summary(evaluate(candidate, earlier, protocol))["ap"][0])
    show("search", len(drawn), len(drawn))
    best = max(range(len(drawn)), key=results.__getitem__)
    winner = msgspec.structs.replace(model, parameters=model.parameters | drawn[best])
    return Found(winner, drawn[best], len(drawn), results[best], results[0])


def _protocol(earlier: Dataset, gap_ms: int, seed: int) -> Protocol:
    first, last = int(earlier.event_at_ms[0]), int(earlier.event_at_ms[-1])
    there_ms = (last // DAY_MS + 1) * DAY_MS - first - gap_ms
    test_days = min(there_ms // DAY_MS // (3 * FOLDS), _LONGEST_TEST_DAYS)
    train_span_ms = min(there_ms - FOLDS * test_days * DAY_MS, _LONGEST_TRAINING_DAYS * DAY_MS)
    if test_days < 1:
        raise DataError(
            f"The training period has {max(there_ms, 0) // DAY_MS} days without the time that labels take, too few to "
            "judge parameters within.",
            f"--search needs {3 * FOLDS}. Give a longer history, or a shorter --label-delay.",
        )
    return Protocol(
        folds=FOLDS, test_span_ms=test_days * DAY_MS, train_span_ms=train_span_ms, label_delay_ms=gap_ms, seed=seed
    )
